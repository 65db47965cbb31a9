//! Kinds of ways to a site, and which one a visit came by.
//!
//! The rules are those of Google Analytics 4's default channel group, in its order, with three differences: AI assistants
//! are a group of their own; a medium that names a way (`email`, `sms`, `push`, `audio`, `affiliate`) counts before
//! what a source's or campaign's name suggests; a click id stands for the medium that it is sold as, where the link was
//! not tagged by hand. What is tagged and fits nowhere is a campaign.

use crate::query::Tags;
use crate::sources::{self, Kind};

/// The way by which a visitor came; the groups are those that Google Analytics 4 made usual, and AI assistants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Typed, bookmarked, or not told.
    Direct,
    /// A result of a search engine.
    OrganicSearch,
    /// An advertisement beside the results.
    PaidSearch,
    /// A post.
    OrganicSocial,
    /// An advertisement among posts.
    PaidSocial,
    /// A video.
    OrganicVideo,
    /// An advertisement in a video.
    PaidVideo,
    /// A shop's or a price comparison's entry.
    OrganicShopping,
    /// A paid entry of the same.
    PaidShopping,
    /// A banner.
    Display,
    /// An advertisement of another kind.
    PaidOther,
    /// An advertisement that its seller places where it likes.
    CrossNetwork,
    /// A mail.
    Email,
    /// A partner who is paid for it.
    Affiliates,
    /// A podcast.
    Audio,
    /// A text message.
    Sms,
    /// A notification.
    Push,
    /// An answer of a language model.
    AiAssistants,
    /// A link on another site.
    Referral,
    /// A campaign that says nothing of the above.
    Campaign,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Direct,
        Self::OrganicSearch,
        Self::PaidSearch,
        Self::OrganicSocial,
        Self::PaidSocial,
        Self::OrganicVideo,
        Self::PaidVideo,
        Self::OrganicShopping,
        Self::PaidShopping,
        Self::Display,
        Self::PaidOther,
        Self::CrossNetwork,
        Self::Email,
        Self::Affiliates,
        Self::Audio,
        Self::Sms,
        Self::Push,
        Self::AiAssistants,
        Self::Referral,
        Self::Campaign,
    ];

    /// The word in the column `channel`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::OrganicSearch => "organic_search",
            Self::PaidSearch => "paid_search",
            Self::OrganicSocial => "organic_social",
            Self::PaidSocial => "paid_social",
            Self::OrganicVideo => "organic_video",
            Self::PaidVideo => "paid_video",
            Self::OrganicShopping => "organic_shopping",
            Self::PaidShopping => "paid_shopping",
            Self::Display => "display",
            Self::PaidOther => "paid_other",
            Self::CrossNetwork => "cross_network",
            Self::Email => "email",
            Self::Affiliates => "affiliates",
            Self::Audio => "audio",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::AiAssistants => "ai_assistants",
            Self::Referral => "referral",
            Self::Campaign => "campaign",
        }
    }
}

/// Where a visit came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) source: String,
    pub(crate) channel: Channel,
}

impl Origin {
    /// By the first page's tags and by who linked there.
    pub(crate) fn of(tags: &Tags, referrer_domain: Option<&str>) -> Self {
        let small = |text: &Option<String>| text.as_deref().map(str::to_lowercase);
        let click = tags.click.filter(|_| tags.source.is_none());
        let named = small(&tags.source).or_else(|| click.map(|click| click.source.to_owned()));
        let known = match (&named, referrer_domain) {
            (Some(name), _) => sources::by_name(name),
            (None, Some(host)) => sources::by_host(host),
            (None, None) => None,
        };
        let own_word = || named.clone().or_else(|| referrer_domain.map(str::to_owned));
        let source = known.map(|(name, _)| name.to_owned()).or_else(own_word);
        let sold_as = || tags.click.and_then(|click| click.medium).map(str::to_owned);
        let trail = Trail {
            kind: known.map(|(_, kind)| kind),
            medium: small(&tags.medium).or_else(sold_as).unwrap_or_default(),
            campaign: small(&tags.campaign).unwrap_or_default(),
            source: source.as_deref().unwrap_or_default(),
            is_tagged: tags.is_tagged() || tags.click.is_some_and(|click| click.medium.is_some()),
            is_linked: referrer_domain.is_some(),
        };
        let (channel, otherwise) = (trail.channel(), if trail.is_tagged { "unknown" } else { "direct" });
        Self { channel, source: source.unwrap_or_else(|| otherwise.to_owned()) }
    }
}

/// What there is to judge by, in small letters.
struct Trail<'a> {
    source: &'a str,
    kind: Option<Kind>,
    medium: String,
    campaign: String,
    is_tagged: bool,
    is_linked: bool,
}

/// A medium that names a way.
const WAYS: [(Channel, &[&str]); 5] = [
    (Channel::Email, &["email", "e-mail", "e_mail", "e mail", "newsletter", "mail"]),
    (Channel::Affiliates, &["affiliate", "affiliates"]),
    (Channel::Audio, &["audio", "podcast"]),
    (Channel::Sms, &["sms"]),
    (Channel::Display, &["display", "banner", "expandable", "interstitial"]),
];

const SOCIAL_MEDIA: [&str; 6] = ["social", "social-network", "social-media", "sm", "social network", "social media"];

impl Trail<'_> {
    fn channel(&self) -> Channel {
        if !self.is_tagged && !self.is_linked && self.kind.is_none() {
            return Channel::Direct;
        }
        if self.campaign.contains("cross-network") {
            return Channel::CrossNetwork;
        }
        if let Some(channel) = self.way() {
            return channel;
        }
        if self.is_paid() {
            return self.paid();
        }
        self.unpaid()
    }

    fn way(&self) -> Option<Channel> {
        let medium = self.medium.as_str();
        if medium.ends_with("push") || medium.contains("notification") || self.source == "firebase" {
            return Some(Channel::Push);
        }
        let by_medium = WAYS.iter().find(|(_, words)| words.contains(&medium)).map(|(channel, _)| *channel);
        by_medium.or(match self.source {
            "email" | "e-mail" | "e_mail" | "e mail" => Some(Channel::Email),
            "sms" => Some(Channel::Sms),
            _ => None,
        })
    }

    fn is_paid(&self) -> bool {
        let medium = self.medium.as_str();
        medium.contains("cp") || medium == "ppc" || medium == "retargeting" || medium.starts_with("paid")
    }

    fn paid(&self) -> Channel {
        match self.kind {
            _ if self.is_shop_campaign() => Channel::PaidShopping,
            Some(Kind::Shopping) => Channel::PaidShopping,
            Some(Kind::Search) => Channel::PaidSearch,
            Some(Kind::Social) => Channel::PaidSocial,
            Some(Kind::Video) => Channel::PaidVideo,
            _ if self.medium == "cpm" => Channel::Display,
            _ => Channel::PaidOther,
        }
    }

    fn unpaid(&self) -> Channel {
        let medium = self.medium.as_str();
        match self.kind {
            _ if medium == "shopping" || self.is_shop_campaign() => Channel::OrganicShopping,
            Some(Kind::Shopping) => Channel::OrganicShopping,
            _ if SOCIAL_MEDIA.contains(&medium) => Channel::OrganicSocial,
            Some(Kind::Social) => Channel::OrganicSocial,
            Some(Kind::Video) => Channel::OrganicVideo,
            _ if medium.contains("video") => Channel::OrganicVideo,
            Some(Kind::Ai) => Channel::AiAssistants,
            Some(Kind::Search) => Channel::OrganicSearch,
            _ if medium == "organic" => Channel::OrganicSearch,
            Some(Kind::Email) => Channel::Email,
            None if matches!(medium, "ai" | "llm" | "ai-assistant" | "chatbot") => Channel::AiAssistants,
            None if matches!(medium, "referral" | "app" | "link") => Channel::Referral,
            None if medium.contains("mobile") => Channel::Push,
            None if self.is_tagged => Channel::Campaign,
            None => Channel::Referral,
        }
    }

    /// `shopping` anywhere, or a word that begins with `shop` or `eshop`.
    fn is_shop_campaign(&self) -> bool {
        let begins = |at: usize| match self.campaign[..at].chars().next_back() {
            Some(before) => !before.is_ascii_alphabetic() || before == 'e',
            None => true,
        };
        self.campaign.contains("shopping") || self.campaign.match_indices("shop").any(|(at, _)| begins(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(query: &str, referrer: &str) -> (String, &'static str) {
        let domain = (!referrer.is_empty()).then_some(referrer);
        let Origin { source, channel } = Origin::of(&Tags::of(query), domain);
        (source, channel.as_str())
    }

    #[test]
    fn channels() {
        for (query, referrer, source, channel) in [
            ("", "", "direct", "direct"),
            ("page=2", "", "direct", "direct"),
            ("", "google.de", "google", "organic_search"),
            ("", "duckduckgo.com", "duckduckgo", "organic_search"),
            ("", "l.facebook.com", "facebook", "organic_social"),
            ("", "t.co", "twitter", "organic_social"),
            ("", "youtube.com", "youtube", "organic_video"),
            ("", "chatgpt.com", "chatgpt", "ai_assistants"),
            ("", "perplexity.ai", "perplexity", "ai_assistants"),
            ("", "gemini.google.com", "gemini", "ai_assistants"),
            ("utm_source=chatgpt.com", "", "chatgpt", "ai_assistants"),
            ("", "mail.google.com", "gmail", "email"),
            ("", "com.google.android.gm", "gmail", "email"),
            ("", "amazon.de", "amazon", "organic_shopping"),
            ("", "blog.example", "blog.example", "referral"),
            ("gclid=x", "", "google", "paid_search"),
            ("gclid=x", "google.com", "google", "paid_search"),
            ("gbraid=x", "", "google", "paid_search"),
            ("msclkid=x", "bing.com", "bing", "paid_search"),
            ("yclid=x", "", "yandex", "paid_search"),
            ("dclid=x", "news.example", "google", "display"),
            ("ttclid=x", "", "tiktok", "paid_social"),
            ("twclid=x", "t.co", "twitter", "paid_social"),
            ("li_fat_id=x", "", "linkedin", "paid_social"),
            ("fbclid=x", "", "facebook", "organic_social"),
            ("fbclid=x", "m.facebook.com", "facebook", "organic_social"),
            ("fbclid=x&utm_source=fb&utm_medium=paid_social", "", "facebook", "paid_social"),
            ("utm_source=google&utm_medium=cpc", "", "google", "paid_search"),
            ("utm_source=Google&utm_medium=CPC", "", "google", "paid_search"),
            ("utm_source=ig&utm_medium=social", "", "instagram", "organic_social"),
            ("utm_source=youtube&utm_medium=cpv", "", "youtube", "paid_video"),
            ("utm_source=youtube&utm_medium=cpm", "", "youtube", "paid_video"),
            ("utm_source=news.example&utm_medium=cpm", "", "news.example", "display"),
            ("utm_source=news.example&utm_medium=banner", "", "news.example", "display"),
            ("utm_source=news.example&utm_medium=cpa", "", "news.example", "paid_other"),
            ("utm_source=newsletter&utm_medium=email", "", "newsletter", "email"),
            ("utm_source=newsletter&utm_medium=email&utm_campaign=shop_sale", "", "newsletter", "email"),
            ("utm_source=email", "", "email", "email"),
            ("utm_source=partner&utm_medium=affiliate", "", "partner", "affiliates"),
            ("utm_source=show&utm_medium=audio", "", "show", "audio"),
            ("utm_source=sms", "", "sms", "sms"),
            ("utm_source=app&utm_medium=web_push", "", "app", "push"),
            ("utm_source=firebase", "", "firebase", "push"),
            ("utm_source=partner&utm_medium=referral", "", "partner", "referral"),
            ("utm_source=flyer", "", "flyer", "campaign"),
            ("utm_campaign=spring", "", "unknown", "campaign"),
            ("utm_source=google&utm_campaign=Cross-Network", "", "google", "cross_network"),
            ("utm_source=google&utm_medium=cpc&utm_campaign=summer-shop", "", "google", "paid_shopping"),
            ("utm_source=x&utm_campaign=workshop", "", "twitter", "organic_social"),
            ("utm_source=flyer&utm_campaign=workshop", "", "flyer", "campaign"),
            ("utm_source=flyer&utm_campaign=eshop", "", "flyer", "organic_shopping"),
            ("srsltid=x", "google.com", "google", "organic_search"),
            ("srsltid=x", "", "google", "organic_search"),
            ("mc_eid=x", "", "mailchimp", "email"),
            ("utm_medium=organic", "", "unknown", "organic_search"),
            ("utm_source=flyer", "google.com", "flyer", "campaign"),
        ] {
            let (found_source, found_channel) = origin(query, referrer);
            assert_eq!((found_source.as_str(), found_channel), (source, channel), "{query:?} from {referrer:?}");
        }
    }
}

//! Kinds of ways to a site.

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

//! Sources that everybody knows, and what kind they are.

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Search,
    Social,
    Video,
    Shopping,
    Email,
    Ai,
}

/// A source: its name, its kind, and where it lives. A home with a dot is a host and all below it. One without is a
/// name under any ending (`google` is google.de and google.co.uk), itself only: other services of the same company live
/// below it.
struct Known {
    name: &'static str,
    kind: Kind,
    homes: &'static [&'static str],
}

const fn known(name: &'static str, kind: Kind, homes: &'static [&'static str]) -> Known {
    Known { name, kind, homes }
}

/// The first that fits counts: what is more special stands first.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known("chatgpt", Kind::Ai, &["chatgpt.com", "chat.openai.com", "openai.com", "com.openai.chatgpt"]),
    known("gemini", Kind::Ai, &["gemini.google.com", "bard.google.com", "com.google.android.apps.bard"]),
    known("copilot", Kind::Ai, &["copilot.microsoft.com", "copilot.cloud.microsoft", "m365.cloud.microsoft", "edgeservices.bing.com"]),
    known("claude", Kind::Ai, &["claude.ai", "claude.com", "com.anthropic.claude"]),
    known("perplexity", Kind::Ai, &["perplexity.ai", "ai.perplexity.app.android"]),
    known("mistral", Kind::Ai, &["chat.mistral.ai"]),
    known("deepseek", Kind::Ai, &["chat.deepseek.com", "deepseek.com"]),
    known("grok", Kind::Ai, &["grok.com", "x.ai"]),
    known("meta-ai", Kind::Ai, &["meta.ai"]),
    known("you", Kind::Ai, &["you.com"]),
    known("phind", Kind::Ai, &["phind.com"]),
    known("poe", Kind::Ai, &["poe.com"]),
    known("kimi", Kind::Ai, &["kimi.com", "kimi.moonshot.cn"]),
    known("qwen", Kind::Ai, &["chat.qwen.ai"]),
    known("doubao", Kind::Ai, &["doubao.com"]),

    known("gmail", Kind::Email, &["mail.google.com", "inbox.google.com", "com.google.android.gm", "gmail.com"]),
    known("outlook", Kind::Email, &["outlook.live.com", "outlook.office.com", "outlook.office365.com", "outlook.com", "com.microsoft.office.outlook"]),
    known("yahoo-mail", Kind::Email, &["mail.yahoo.com", "mail.yahoo.co.jp"]),
    known("yandex-mail", Kind::Email, &["mail.yandex.ru", "mail.yandex.com"]),
    known("proton", Kind::Email, &["mail.proton.me", "mail.protonmail.com"]),
    known("icloud-mail", Kind::Email, &["icloud.com"]),
    known("mail.ru", Kind::Email, &["e.mail.ru"]),
    known("gmx", Kind::Email, &["gmx.net", "gmx.com", "gmx.de", "gmx.at", "gmx.ch"]),
    known("web.de", Kind::Email, &["navigator.web.de", "deref-web.de", "deref-web-02.de", "deref-gmx.net"]),
    known("mailchimp", Kind::Email, &["list-manage.com", "campaign-archive.com"]),

    known("google-shopping", Kind::Shopping, &["shopping.google.com"]),
    known("amazon", Kind::Shopping, &["amazon"]),
    known("ebay", Kind::Shopping, &["ebay"]),
    known("etsy", Kind::Shopping, &["etsy.com"]),
    known("aliexpress", Kind::Shopping, &["aliexpress.com", "aliexpress"]),
    known("alibaba", Kind::Shopping, &["alibaba.com"]),
    known("walmart", Kind::Shopping, &["walmart.com"]),
    known("idealo", Kind::Shopping, &["idealo"]),
    known("mercadolibre", Kind::Shopping, &["mercadolibre", "mercadolivre"]),
    known("shopify", Kind::Shopping, &["shop.app"]),
    known("shopzilla", Kind::Shopping, &["shopzilla"]),

    known("google", Kind::Search, &["google", "images.google.com", "com.google.android.googlequicksearchbox", "googleadservices.com", "syndicatedsearch.goog"]),
    known("bing", Kind::Search, &["bing.com"]),
    known("duckduckgo", Kind::Search, &["duckduckgo.com", "duck.com", "com.duckduckgo.mobile.android"]),
    known("yahoo", Kind::Search, &["search.yahoo.com", "search.yahoo.co.jp", "yahoo"]),
    known("yandex", Kind::Search, &["yandex", "ya.ru", "com.yandex.browser"]),
    known("baidu", Kind::Search, &["baidu.com"]),
    known("ecosia", Kind::Search, &["ecosia.org", "com.ecosia.android"]),
    known("qwant", Kind::Search, &["qwant.com"]),
    known("startpage", Kind::Search, &["startpage.com"]),
    known("brave", Kind::Search, &["search.brave.com"]),
    known("kagi", Kind::Search, &["kagi.com"]),
    known("naver", Kind::Search, &["search.naver.com", "naver.com"]),
    known("daum", Kind::Search, &["search.daum.net", "daum.net"]),
    known("seznam", Kind::Search, &["search.seznam.cz", "seznam.cz"]),
    known("sogou", Kind::Search, &["sogou.com"]),
    known("so.com", Kind::Search, &["so.com"]),
    known("petal", Kind::Search, &["petalsearch.com"]),
    known("mojeek", Kind::Search, &["mojeek.com"]),
    known("swisscows", Kind::Search, &["swisscows.com"]),
    known("metager", Kind::Search, &["metager.de", "metager.org"]),
    known("aol", Kind::Search, &["search.aol.com", "aol.com"]),
    known("ask", Kind::Search, &["ask.com"]),
    known("rambler", Kind::Search, &["nova.rambler.ru", "rambler.ru"]),
    known("coccoc", Kind::Search, &["coccoc.com"]),
    known("lycos", Kind::Search, &["search.lycos.com"]),
    known("t-online", Kind::Search, &["suche.t-online.de"]),
    known("presearch", Kind::Search, &["presearch.com", "presearch.org"]),

    known("youtube", Kind::Video, &["youtube.com", "youtu.be", "com.google.android.youtube"]),
    known("vimeo", Kind::Video, &["vimeo.com"]),
    known("twitch", Kind::Video, &["twitch.tv"]),
    known("dailymotion", Kind::Video, &["dailymotion.com"]),
    known("bilibili", Kind::Video, &["bilibili.com"]),
    known("netflix", Kind::Video, &["netflix.com"]),
    known("hulu", Kind::Video, &["hulu.com"]),
    known("disneyplus", Kind::Video, &["disneyplus.com"]),
    known("rumble", Kind::Video, &["rumble.com"]),

    known("facebook", Kind::Social, &["facebook.com", "fb.com", "fb.me", "com.facebook.katana"]),
    known("messenger", Kind::Social, &["messenger.com", "m.me", "com.facebook.orca"]),
    known("instagram", Kind::Social, &["instagram.com", "com.instagram.android"]),
    known("threads", Kind::Social, &["threads.net", "threads.com"]),
    known("whatsapp", Kind::Social, &["whatsapp.com", "wa.me", "com.whatsapp"]),
    known("twitter", Kind::Social, &["twitter.com", "t.co", "x.com", "com.twitter.android"]),
    known("linkedin", Kind::Social, &["linkedin.com", "lnkd.in", "com.linkedin.android"]),
    known("tiktok", Kind::Social, &["tiktok.com", "com.zhiliaoapp.musically"]),
    known("reddit", Kind::Social, &["reddit.com", "redd.it", "com.reddit.frontpage"]),
    known("pinterest", Kind::Social, &["pinterest", "pinterest.com", "pin.it", "com.pinterest"]),
    known("snapchat", Kind::Social, &["snapchat.com", "com.snapchat.android"]),
    known("telegram", Kind::Social, &["telegram.org", "telegram.me", "t.me", "web.telegram.org", "org.telegram.messenger"]),
    known("discord", Kind::Social, &["discord.com", "discord.gg", "discordapp.com"]),
    known("slack", Kind::Social, &["slack.com", "com.slack"]),
    known("mastodon", Kind::Social, &["mastodon.social", "mastodon.online", "mstdn.social", "fosstodon.org", "joinmastodon.org"]),
    known("bluesky", Kind::Social, &["bsky.app", "bsky.social", "go.bsky.app", "xyz.blueskyweb.app"]),
    known("hackernews", Kind::Social, &["news.ycombinator.com", "hckrnews.com"]),
    known("lobsters", Kind::Social, &["lobste.rs"]),
    known("tumblr", Kind::Social, &["tumblr.com"]),
    known("quora", Kind::Social, &["quora.com"]),
    known("vk", Kind::Social, &["vk.com", "vkontakte.ru", "com.vkontakte.android"]),
    known("odnoklassniki", Kind::Social, &["ok.ru"]),
    known("weibo", Kind::Social, &["weibo.com", "weibo.cn"]),
    known("wechat", Kind::Social, &["wechat.com", "weixin.qq.com"]),
    known("qq", Kind::Social, &["qq.com"]),
    known("line", Kind::Social, &["line.me", "jp.naver.line.android"]),
    known("kakaotalk", Kind::Social, &["story.kakao.com", "com.kakao.talk"]),
    known("xing", Kind::Social, &["xing.com"]),
    known("flipboard", Kind::Social, &["flipboard.com"]),
    known("stackoverflow", Kind::Social, &["stackoverflow.com", "stackexchange.com"]),
    known("producthunt", Kind::Social, &["producthunt.com"]),
    known("medium", Kind::Social, &["medium.com"]),
    known("substack", Kind::Social, &["substack.com"]),
    known("nextdoor", Kind::Social, &["nextdoor.com"]),
    known("yelp", Kind::Social, &["yelp.com"]),
    known("tripadvisor", Kind::Social, &["tripadvisor"]),
    known("meetup", Kind::Social, &["meetup.com"]),
    known("skype", Kind::Social, &["skype.com"]),
    known("teams", Kind::Social, &["teams.microsoft.com"]),
];

/// Names that people write into tags, and the sources that they mean.
const ALIASES: [(&str, &str); 17] = [
    ("fb", "facebook"),
    ("facebook-ads", "facebook"),
    ("facebookads", "facebook"),
    ("ig", "instagram"),
    ("yt", "youtube"),
    ("x", "twitter"),
    ("li", "linkedin"),
    ("adwords", "google"),
    ("googleads", "google"),
    ("google-ads", "google"),
    ("google_ads", "google"),
    ("bingads", "bing"),
    ("wa", "whatsapp"),
    ("tg", "telegram"),
    ("hn", "hackernews"),
    ("openai", "chatgpt"),
    ("meta", "facebook"),
];

/// The source that a host is, and its kind.
pub(crate) fn by_host(host: &str) -> Option<(&'static str, Kind)> {
    let is_at = |home: &&str| if home.contains('.') { is_below(host, home) } else { is_brand(host, home) };
    KNOWN.iter().find(|known| known.homes.iter().any(&is_at)).map(|known| (known.name, known.kind))
}

/// The source that a tag names, in small letters: by its name, by another name of it, or by its host.
pub(crate) fn by_name(name: &str) -> Option<(&'static str, Kind)> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    let named = KNOWN.iter().find(|known| known.name == name).map(|known| (known.name, known.kind));
    named.or_else(|| by_host(name.strip_prefix("www.").unwrap_or(name)).filter(|_| name.contains('.')))
}

fn is_below(host: &str, home: &str) -> bool {
    host.strip_suffix(home).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// `name.de`, `name.co.uk`, and the same for telephones.
fn is_brand(host: &str, name: &str) -> bool {
    let host = host.strip_prefix("m.").unwrap_or(host);
    let Some(ending) = host.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let parts: Vec<&str> = ending.split('.').collect();
    let is_country = |part: &str| part.len() == 2;
    match parts[..] {
        [one] => (2..=4).contains(&one.len()),
        [second, country] => (2..=3).contains(&second.len()) && is_country(country),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_and_no_one_else_passes_for_them() {
        for (host, expected) in [
            ("google.com", Some(("google", Kind::Search))),
            ("google.co.uk", Some(("google", Kind::Search))),
            ("m.google.de", Some(("google", Kind::Search))),
            ("docs.google.com", None),
            ("mail.google.com", Some(("gmail", Kind::Email))),
            ("gemini.google.com", Some(("gemini", Kind::Ai))),
            ("google.evil.example", None),
            ("notgoogle.com", None),
            ("google", None),
            ("de.search.yahoo.com", Some(("yahoo", Kind::Search))),
            ("l.facebook.com", Some(("facebook", Kind::Social))),
            ("notfacebook.com", None),
            ("x.com", Some(("twitter", Kind::Social))),
            ("netflix.com", Some(("netflix", Kind::Video))),
            ("at.pinterest.com", Some(("pinterest", Kind::Social))),
            ("pinterest.at", Some(("pinterest", Kind::Social))),
            ("amazon.co.jp", Some(("amazon", Kind::Shopping))),
            ("com.google.android.gm", Some(("gmail", Kind::Email))),
            ("m.youtube.com", Some(("youtube", Kind::Video))),
            ("chatgpt.com", Some(("chatgpt", Kind::Ai))),
            ("blog.example", None),
        ] {
            assert_eq!(by_host(host), expected, "{host}");
        }
    }

    #[test]
    fn tags_name_sources_in_many_ways() {
        for (name, expected) in [
            ("google", Some("google")),
            ("google.de", Some("google")),
            ("www.google.com", Some("google")),
            ("fb", Some("facebook")),
            ("chatgpt.com", Some("chatgpt")),
            ("newsletter", None),
            ("", None),
        ] {
            assert_eq!(by_name(name).map(|(name, _)| name), expected, "{name}");
        }
    }

    #[test]
    fn names_are_told_once() {
        let mut names: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        for (_, name) in ALIASES {
            assert!(names.contains(&name), "{name}");
        }
    }
}

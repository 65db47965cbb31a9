//! What the query of the first page says: campaign tags and click ids.

use percent_encoding::percent_decode_str;

/// Campaign tags; empty ones are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tags {
    pub(crate) source: Option<String>,
    pub(crate) medium: Option<String>,
    pub(crate) campaign: Option<String>,
    pub(crate) term: Option<String>,
    pub(crate) content: Option<String>,
    pub(crate) click: Option<&'static Click>,
}

/// A click id: the name of its field, who adds it, and what kind of link it is added to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Click {
    pub(crate) kind: &'static str,
    pub(crate) source: &'static str,
    /// The medium that it stands for, where it stands for one: some are added to all links, paid for or not.
    pub(crate) medium: Option<&'static str>,
}

const fn click(kind: &'static str, source: &'static str, medium: &'static str) -> Click {
    Click { kind, source, medium: if medium.is_empty() { None } else { Some(medium) } }
}

/// The first of these that is there counts: ids of advertisements before those of any link.
const CLICKS: [Click; 26] = [
    click("gclid", "google", "cpc"),
    click("gbraid", "google", "cpc"),
    click("wbraid", "google", "cpc"),
    click("dclid", "google", "display"),
    click("msclkid", "bing", "cpc"),
    click("yclid", "yandex", "cpc"),
    click("ttclid", "tiktok", "paid"),
    click("twclid", "twitter", "paid"),
    click("li_fat_id", "linkedin", "paid"),
    click("rdt_cid", "reddit", "paid"),
    click("sccid", "snapchat", "paid"),
    click("qclid", "quora", "paid"),
    click("vmcid", "yahoo", "cpc"),
    click("tblci", "taboola", "paid"),
    click("dicbo", "outbrain", "paid"),
    click("irclickid", "impact", "affiliate"),
    click("awc", "awin", "affiliate"),
    click("cjevent", "cj", "affiliate"),
    click("gad_source", "google", "cpc"),
    // Of the free listings of shops among the results.
    click("srsltid", "google", "organic"),
    click("ysclid", "yandex", "organic"),
    click("mc_eid", "mailchimp", "email"),
    click("fbclid", "facebook", ""),
    click("igshid", "instagram", ""),
    click("igsh", "instagram", ""),
    click("epik", "pinterest", ""),
];

impl Tags {
    /// The tags of a query without its `?`.
    pub(crate) fn of(query: &str) -> Self {
        let mut tags = Self::default();
        let mut best = CLICKS.len();
        for (name, value) in query.split('&').filter_map(|field| field.split_once('=')) {
            let field = match name.to_ascii_lowercase().as_str() {
                "utm_source" => &mut tags.source,
                "utm_medium" => &mut tags.medium,
                "utm_campaign" => &mut tags.campaign,
                "utm_term" => &mut tags.term,
                "utm_content" => &mut tags.content,
                name => {
                    let known = CLICKS.iter().position(|click| click.kind == name).filter(|_| !value.is_empty());
                    best = known.map_or(best, |at| at.min(best));
                    continue;
                }
            };
            if field.is_none() {
                *field = decoded(value);
            }
        }
        tags.click = CLICKS.get(best);
        tags
    }

    /// Whether a link was tagged by hand.
    pub(crate) fn is_tagged(&self) -> bool {
        self.source.is_some() || self.medium.is_some() || self.campaign.is_some()
    }
}

/// A value; what is no UTF-8 in it is replaced, and so is what would move a terminal's cursor.
fn decoded(value: &str) -> Option<String> {
    let spaced = value.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8_lossy();
    let text = text.trim().replace(char::is_control, " ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_decoded_and_the_first_one_counts() {
        let tags = Tags::of("utm_source=&UTM_Source=News%20Letter&utm_source=b&utm_medium=e+mail&x&=&utm_term=%FF%0a");
        assert_eq!(tags.source.as_deref(), Some("News Letter"));
        assert_eq!(tags.medium.as_deref(), Some("e mail"));
        assert_eq!(tags.term.as_deref(), Some("\u{fffd}"));
        assert_eq!((tags.campaign, tags.content, tags.click), (None, None, None));
    }

    #[test]
    fn an_advertisements_id_counts_before_that_of_any_link() {
        let kind = |query: &str| Tags::of(query).click.map(|click| click.kind);
        assert_eq!(kind("fbclid=a&gclid=b"), Some("gclid"));
        assert_eq!(kind("a=b&fbclid=x"), Some("fbclid"));
        assert_eq!(kind("ScCid=1"), Some("sccid"));
        assert_eq!(kind("gclid="), None);
        assert_eq!(kind("gclidx=1"), None);
        for click in &CLICKS {
            assert_eq!(kind(&format!("{}=1", click.kind)), Some(click.kind));
        }
    }
}

//! The language that a visitor likes best.

/// The primary tag (RFC 5646) of the language with the greatest weight, in small letters; `None` where there is none.
pub(crate) fn primary(accept_language: &str) -> Option<String> {
    let mut best: Option<(f32, &str)> = None;
    for item in accept_language.split(',') {
        let (range, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
        let Some(weight) = weight.filter(|weight| *weight > 0.0) else { continue };
        let Some(tag) = primary_tag(range.trim()) else { continue };
        if best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, tag));
        }
    }
    best.map(|(_, tag)| modern(&tag.to_ascii_lowercase()))
}

fn primary_tag(range: &str) -> Option<&str> {
    let tag = range.split(['-', '_']).next()?;
    let is_tag = (2..=3).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphabetic());
    is_tag.then_some(tag)
}

/// Codes that ISO 639 withdrew, and the Norwegian written by nearly all.
fn modern(tag: &str) -> String {
    match tag {
        "iw" => "he",
        "in" => "id",
        "ji" => "yi",
        "nb" => "no",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::primary;

    #[test]
    fn the_best_liked_language_without_its_variants() {
        for (header, expected) in [
            ("de-DE,de;q=0.9,en;q=0.8", Some("de")),
            ("en;q=0.5, fr-CH", Some("fr")),
            ("ZH_cn", Some("zh")),
            ("iw", Some("he")),
            ("nb-NO", Some("no")),
            ("fil-PH", Some("fil")),
            ("*", None),
            ("", None),
            ("*, en;q=0.3", Some("en")),
            ("en;q=0, de;q=0.1", Some("de")),
            ("en; q=nonsense, de;q=0.1", Some("de")),
            ("<script>", None),
            ("c", None),
        ] {
            assert_eq!(primary(header).as_deref(), expected, "{header}");
        }
    }
}

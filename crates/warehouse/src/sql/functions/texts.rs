//! LogParser's functions of texts.

use std::borrow::Cow;

use super::rows::{Arg, Out};

/// Which token an index means: from 0, or from the end (-1 is the last); `None` where there is none.
fn index(at: i64, tokens: usize) -> Option<usize> {
    let at = if at < 0 { i64::try_from(tokens).ok()?.checked_add(at)? } else { at };
    usize::try_from(at).ok().filter(|at| *at < tokens)
}

/// Where the tokens begin and end. No separator makes one token.
fn tokens<'a>(text: &'a str, separator: &'a str) -> Vec<(usize, usize)> {
    if separator.is_empty() {
        return vec![(0, text.len())];
    }
    let mut found = Vec::new();
    let mut from = 0;
    for (at, _) in text.match_indices(separator) {
        found.push((from, at));
        from = at + separator.len();
    }
    found.push((from, text.len()));
    found
}

pub(super) fn extract_token<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (text, at) = (args[0].text(), args[1].int());
    let separator = args.get(2).map_or(",", |arg| arg.text());
    if at >= 0 && !separator.is_empty() {
        return Out::text(text.split(separator).nth(usize::try_from(at).ok()?)?);
    }
    let tokens = tokens(text, separator);
    let (from, to) = tokens[index(at, tokens.len())?];
    Out::text(&text[from..to])
}

pub(super) fn extract_prefix<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let text = args[0].text();
    let tokens = tokens(text, args[2].text());
    let (_, to) = tokens[index(args[1].int(), tokens.len())?];
    Out::text(&text[..to])
}

pub(super) fn extract_suffix<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let text = args[0].text();
    let tokens = tokens(text, args[2].text());
    let back = index(args[1].int(), tokens.len())?;
    let (from, _) = tokens[tokens.len() - 1 - back];
    Out::text(&text[from..])
}

/// A path or URL without its query.
fn without_query(text: &str) -> &str {
    text.split_once('?').map_or(text, |(path, _)| path)
}

fn filename(text: &str) -> &str {
    let path = without_query(text);
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

pub(super) fn extract_filename<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    Out::text(filename(args[0].text()))
}

pub(super) fn extract_extension<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (_, extension) = filename(args[0].text()).rsplit_once('.')?;
    if extension.is_empty() { None } else { Out::text(extension) }
}

pub(super) fn extract_path<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let path = without_query(args[0].text());
    match path.rfind(['/', '\\']) {
        // The root is a path of its own.
        Some(0) => Out::text(&path[..1]),
        Some(at) => Out::text(&path[..at]),
        None => None,
    }
}

pub(super) fn replace_chr<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (text, chars, new) = (args[0].text(), args[1].text(), args[2].text());
    if !text.contains(|c| chars.contains(c)) {
        return Out::text(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if chars.contains(c) { out.push_str(new) } else { out.push(c) }
    }
    Out::text(Cow::Owned(out))
}

/// In characters, from 0.
pub(super) fn last_index_of<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let (text, sought) = (args[0].text(), args[1].text());
    let at = text.rfind(sought)?;
    i64::try_from(text[..at].chars().count()).ok().map(Out::Int)
}

pub(super) fn strcnt<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let sought = args[1].text();
    let found = if sought.is_empty() { 0 } else { args[0].text().matches(sought).count() };
    i64::try_from(found).ok().map(Out::Int)
}

/// `SUBSTR` as LogParser has it: characters count from 0, and from the end where negative.
pub(super) fn substr_from_0<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let text = args[0].text();
    let from = args[1].int();
    let from = if from < 0 { i64::try_from(text.chars().count()).ok()?.checked_add(from)?.max(0) } else { from };
    let offset = |text: &str, at: i64| {
        let at = usize::try_from(at.max(0)).unwrap_or(usize::MAX);
        text.char_indices().nth(at).map_or(text.len(), |(at, _)| at)
    };
    let rest = &text[offset(text, from)..];
    Out::text(match args.get(2) {
        Some(len) => &rest[..offset(rest, len.int())],
        None => rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arg::{Int, Text};

    fn text(out: Option<Out<'_>>) -> Option<String> {
        match out? {
            Out::Text(text) => Some(text.into_owned()),
            other => Some(format!("{other:?}")),
        }
    }

    #[test]
    fn tokens_count_from_both_ends() {
        let token = |at, separator| text(extract_token(&[Text("a.b..d"), Int(at), Text(separator)]));
        for (at, wanted) in
            [(0, Some("a")), (2, Some("")), (3, Some("d")), (4, None), (-1, Some("d")), (-4, Some("a")), (-5, None)]
        {
            assert_eq!(token(at, ".").as_deref(), wanted, "{at}");
        }
        assert_eq!(token(0, "").as_deref(), Some("a.b..d"));
        assert_eq!(token(i64::MIN, "."), None);
        assert_eq!(text(extract_token(&[Text("a,b"), Int(1)])).as_deref(), Some("b"));
        let prefix = |at| text(extract_prefix(&[Text("value1.value2.value3"), Int(at), Text(".")]));
        assert_eq!(prefix(1).as_deref(), Some("value1.value2"));
        assert_eq!(prefix(3), None);
        let suffix = |at, separator| text(extract_suffix(&[Text("/a/b?mbx=x=y"), Int(at), Text(separator)]));
        assert_eq!(suffix(0, "mbx=").as_deref(), Some("x=y"));
        assert_eq!(suffix(1, "/").as_deref(), Some("a/b?mbx=x=y"));
    }

    #[test]
    fn paths_have_parts() {
        for (path, name, extension, folder) in [
            ("/a/b.tar.gz?x=/y.z", "b.tar.gz", Some("gz"), Some("/a")),
            ("C:\\logs\\u_ex.log", "u_ex.log", Some("log"), Some("C:\\logs")),
            ("/", "", None, Some("/")),
            ("/x.", "x.", None, Some("/")),
            ("plain", "plain", None, None),
        ] {
            assert_eq!(text(extract_filename(&[Text(path)])).as_deref(), Some(name), "{path}");
            assert_eq!(text(extract_extension(&[Text(path)])).as_deref(), extension, "{path}");
            assert_eq!(text(extract_path(&[Text(path)])).as_deref(), folder, "{path}");
        }
    }

    #[test]
    fn characters_are_no_bytes() {
        let part = |from, len| text(substr_from_0(&[Text("äöü"), Int(from), Int(len)]));
        assert_eq!(part(0, 2).as_deref(), Some("äö"));
        assert_eq!(part(-1, 9).as_deref(), Some("ü"));
        assert_eq!(part(5, 1).as_deref(), Some(""));
        assert_eq!(part(0, -1).as_deref(), Some(""));
        assert_eq!(last_index_of(&[Text("äbä"), Text("ä")]), Some(Out::Int(2)));
        assert_eq!(strcnt(&[Text("aXbXc"), Text("X")]), Some(Out::Int(2)));
        assert_eq!(text(replace_chr(&[Text("a-b_c"), Text("-_"), Text("::")])).as_deref(), Some("a::b::c"));
    }
}

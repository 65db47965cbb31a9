//! Finds the place for a script in a page: at the start of its head, whether the page writes that down or not.
//!
//! What may stand before (HTML, 13.2.6.4.1 to 3: "initial", "before html", "before head"): a byte order mark, white space,
//! comments, the doctype, the start tags of `html` and `head`. Behind that of `head`, or before anything else, a script is
//! the head's first child.

/// The start of a tag or a comment is known by so many bytes.
const KNOWN_BY: usize = 5;

/// Where the scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Between tags.
    Between,
    /// In `<!--`; so many of the bytes that end it have come (of `-->`; of `--!>` three).
    Comment { ends: u8 },
    /// In `<!` or `<?`: until `>`.
    Declaration,
    /// In a tag, perhaps in a quoted value of an attribute.
    Tag { quote: Option<u8>, is_head: bool },
}

#[derive(Debug)]
pub(super) struct Scan {
    at: At,
    /// Bytes of a tag that is not known yet.
    held: Vec<u8>,
}

/// What a piece of a page comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// So many bytes of what was held and of the piece can go; the rest is held.
    GoesOn(usize),
    /// The place is behind so many bytes of what was held and of the piece.
    Found(usize),
}

impl Scan {
    pub(super) const fn new() -> Self {
        Self { at: At::Between, held: Vec::new() }
    }

    /// The next piece. The bytes that were held come before it, and are taken.
    pub(super) fn piece(&mut self, piece: &[u8]) -> (Vec<u8>, Scanned) {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let scanned = self.scan(&bytes);
        if let Scanned::GoesOn(gone) = scanned {
            self.held = bytes[gone..].to_vec();
        }
        (bytes, scanned)
    }

    /// What is held when the page ends.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut place = 0;
        while let Some(&byte) = bytes.get(place) {
            match self.at {
                At::Between => match byte {
                    b' ' | b'\t' | b'\n' | b'\r' | 0x0c => place += 1,
                    0xef | 0xbb | 0xbf => place += 1,
                    b'<' => {
                        let rest = &bytes[place..];
                        match opens(rest) {
                            Opens::Unknown => return Scanned::GoesOn(place),
                            Opens::Other => return Scanned::Found(place),
                            Opens::Comment => (self.at, place) = (At::Comment { ends: 2 }, place + 4),
                            Opens::Declaration => (self.at, place) = (At::Declaration, place + 2),
                            Opens::Html => (self.at, place) = (At::Tag { quote: None, is_head: false }, place + 5),
                            Opens::Head => (self.at, place) = (At::Tag { quote: None, is_head: true }, place + 5),
                        }
                    }
                    _ => return Scanned::Found(place),
                },
                At::Comment { ends } => {
                    place += 1;
                    self.at = match (byte, ends) {
                        (b'>', 2 | 3) => At::Between,
                        (b'!', 2) => At::Comment { ends: 3 },
                        (b'-', 0..=2) => At::Comment { ends: (ends + 1).min(2) },
                        (b'-', _) => At::Comment { ends: 1 },
                        _ => At::Comment { ends: 0 },
                    };
                }
                At::Declaration => {
                    place += 1;
                    if byte == b'>' {
                        self.at = At::Between;
                    }
                }
                At::Tag { quote, is_head } => {
                    place += 1;
                    match (quote, byte) {
                        (None, b'>') if is_head => return Scanned::Found(place),
                        (None, b'>') => self.at = At::Between,
                        (None, b'"' | b'\'') => self.at = At::Tag { quote: Some(byte), is_head },
                        (Some(open), _) if open == byte => self.at = At::Tag { quote: None, is_head },
                        _ => {}
                    }
                }
            }
        }
        Scanned::GoesOn(place)
    }
}

/// What a `<` opens.
enum Opens {
    Unknown,
    Comment,
    Declaration,
    Html,
    Head,
    Other,
}

fn opens(bytes: &[u8]) -> Opens {
    let is_part_of = |text: &[u8]| {
        let known = bytes.len().min(text.len());
        bytes[..known].eq_ignore_ascii_case(&text[..known])
    };
    match bytes {
        [_, b'?', ..] => Opens::Declaration,
        [_, b'!', b'-', b'-', ..] => Opens::Comment,
        [_, b'!'] | [_, b'!', b'-'] => Opens::Unknown,
        [_, b'!', ..] => Opens::Declaration,
        _ if bytes.len() <= KNOWN_BY && (is_part_of(b"<html") || is_part_of(b"<head")) => Opens::Unknown,
        // `<header>` is another tag.
        [_, _, _, _, _, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'>', ..] if is_part_of(b"<html") => Opens::Html,
        [_, _, _, _, _, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'>', ..] if is_part_of(b"<head") => Opens::Head,
        _ => Opens::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page with `|` at the place, sent in pieces that end at these places.
    fn marked(page: &[u8], ends: &[usize]) -> Vec<u8> {
        let (mut scan, mut sent, mut found, mut from) = (Scan::new(), Vec::new(), false, 0);
        for &to in ends.iter().chain([&page.len()]) {
            let piece = &page[from..to];
            from = to;
            if found {
                sent.extend_from_slice(piece);
                continue;
            }
            let (bytes, scanned) = scan.piece(piece);
            match scanned {
                Scanned::GoesOn(gone) => {
                    assert!(bytes.len() - gone <= KNOWN_BY, "few bytes wait");
                    sent.extend_from_slice(&bytes[..gone]);
                }
                Scanned::Found(place) => {
                    found = true;
                    sent.extend_from_slice(&bytes[..place]);
                    sent.push(b'|');
                    sent.extend_from_slice(&bytes[place..]);
                }
            }
        }
        if !found {
            sent.extend_from_slice(&scan.rest());
            sent.push(b'|');
        }
        sent
    }

    #[test]
    fn the_place_is_the_same_wherever_a_piece_ends() {
        for expected in [
            "<!doctype html><html><head>|<title>t</title></head><body></body></html>",
            "<!DOCTYPE html>\n<HTML lang='a>b' data-x=\"<head>\">\n<HEAD data-y='>'>|\n<meta charset=utf-8>",
            "\u{feff} <!-- <head> --> <!-- a -> b --!><html><head\n>|x",
            "<!----><!-->|-->text", // The second one is `<!-->`.
            "<!-- a --!b --->|x",
            "<?xml version=\"1.0\"?><!doctype html><html><head/>|<title>",
            "<!doctype html>|<title>No head</title>",
            "<!doctype html><html>|<header>x</header>",
            "<!doctype html>|<htmlx>",
            "|<p>nothing before",
            "|text <head>",
            "<html>|<body><head>",
            "<!-- never ends <head>|",
            "<html><hea|",
            "|",
        ] {
            let page = expected.replacen('|', "", 1).into_bytes();
            let expected = expected.as_bytes();
            assert_eq!(marked(&page, &[]), expected);
            for first in 0..=page.len() {
                assert_eq!(marked(&page, &[first]), expected, "in two at {first}");
                for second in first..=page.len() {
                    assert_eq!(marked(&page, &[first, second]), expected, "in three at {first} and {second}");
                }
            }
            assert_eq!(marked(&page, &(0..page.len()).collect::<Vec<_>>()), expected, "byte by byte");
        }
    }
}

//! What a file of Rust declares, defines, imports and names: as much as tells which files it needs.

use std::collections::BTreeSet;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Modules that have files of their own, but for those of tests.
    pub(super) modules: Vec<String>,
    /// Names of items that it defines.
    pub(super) defined: BTreeSet<String>,
    /// What its `use` declarations bring.
    pub(super) imports: Vec<Import>,
    /// Paths that it names elsewhere, those that begin with `crate`, `self`, `super` or one of its modules.
    pub(super) paths: Vec<Vec<String>>,
}

/// A name that a `use` brings.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// `*` for all that is there.
    pub(super) name: String,
    /// Whether it is a re-export.
    pub(super) is_public: bool,
}

/// What an item's name follows.
const DEFINES: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];

impl Source {
    pub(super) fn parse(text: &str) -> Self {
        let tokens = without_tests(&tokens(text));
        let mut source = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            let next = tokens.get(at + 1).map_or("", String::as_str);
            match tokens[at].as_str() {
                "mod" if tokens.get(at + 2).is_some_and(|token| token == ";") => {
                    source.modules.push(next.to_owned());
                    at += 2;
                }
                "use" => {
                    let end = tokens[at..].iter().position(|token| token == ";").map_or(tokens.len(), |end| at + end);
                    let is_public = at > 0 && matches!(tokens[at - 1].as_str(), "pub" | ")");
                    source.import(&tokens[at + 1..end], &[], is_public);
                    at = end;
                }
                token => {
                    if DEFINES.contains(&token) {
                        let name = tokens[at + 1..].iter().find(|token| *token != "!");
                        source.defined.extend(name.cloned());
                    }
                    let is_inner = at > 0 && tokens[at - 1] == "::";
                    if next == "::" && !is_inner && is_word(token) {
                        let path = path(&tokens[at..]);
                        at += 2 * (path.len() - 1);
                        source.paths.push(path);
                    }
                }
            }
            at += 1;
        }
        source
    }

    /// A tree of a `use`, behind a prefix.
    fn import(&mut self, tree: &[String], prefix: &[String], is_public: bool) {
        let mut path = prefix.to_vec();
        let mut at = 0;
        while at < tree.len() {
            match tree[at].as_str() {
                "::" => {}
                "{" => {
                    split(&tree[at + 1..]).into_iter().for_each(|part| self.import(part, &path, is_public));
                    return;
                }
                "as" => {
                    let name = tree.get(at + 1).cloned().unwrap_or_default();
                    self.imports.push(Import { path, name, is_public });
                    return;
                }
                "*" => {
                    self.imports.push(Import { path, name: "*".to_owned(), is_public });
                    return;
                }
                "self" if !path.is_empty() => {}
                word => path.push(word.to_owned()),
            }
            at += 1;
        }
        if let Some(name) = path.last().cloned() {
            self.imports.push(Import { path, name, is_public });
        }
    }
}

/// The parts of a tree up to the brace that ends it.
fn split(tree: &[String]) -> Vec<&[String]> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, token) in tree.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => {
                parts.push(&tree[from..at]);
                break;
            }
            "}" => depth -= 1,
            "," if depth == 0 => {
                parts.push(&tree[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts
}

/// The words of a path, as far as it goes.
fn path(tokens: &[String]) -> Vec<String> {
    let mut path = vec![tokens[0].clone()];
    for pair in tokens[1..].chunks_exact(2) {
        if pair[0] != "::" || !is_word(&pair[1]) {
            break;
        }
        path.push(pair[1].clone());
    }
    path
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The tokens without what follows `#[cfg(test)]`: an item, up to its `;` or its last brace.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().zip(MARK).filter(|(token, mark)| token == mark).count() < MARK.len() {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut depth = 0;
        while at < tokens.len() {
            let token = tokens[at].as_str();
            at += 1;
            match token {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// Words, `::`, and single other characters; without comments, texts, characters and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = raw_text(rest) {
            len
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A character, or a lifetime.
            let is_character = rest[1..].starts_with('\\') || rest[1..].chars().nth(1) == Some('\'');
            if is_character { quoted(rest, '\'') } else { 1 + word_len(&rest[1..]) }
        } else if is_word(rest) {
            let len = word_len(rest);
            tokens.push(rest[..len].to_owned());
            len
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[skip..];
    }
    tokens
}

fn word_len(text: &str) -> usize {
    text.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(text.len())
}

/// The length of a raw text, if one begins here.
fn raw_text(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + len)
}

/// The length of a text or a character with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, next) in text.char_indices().skip(1) {
        match next {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            next if next == quote => return at + next.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

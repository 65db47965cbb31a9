//! The functions, in one table: what each is made of, whose it is, and what is said of it. What is registered, what is
//! rewritten and what is shown (`visitlog functions`, `docs/functions.md`) comes from here.

use datafusion::logical_expr::ScalarUDF;

use super::known::Known;
use super::rows::{Checked, Gives, Pure, Takes, Told};
use super::{agents, arithmetic, clock, digits, pages, quantize, texts, times, urls, win32};
use Takes::{Int, Text};

/// Whose function it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Whose {
    /// Ours, for logs and visits.
    Ours,
    /// LogParser's; it is there in any statement.
    LogParsers,
    /// LogParser's, where SQL means something else by the name: it is there in its dialect.
    InItsDialect,
    /// Nobody's: others are rewritten to it.
    Hidden,
}

/// What LogParser's word for something is in SQL.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Word {
    /// SQL, for so many arguments: `$1`, `$2`, or `$*` for all.
    Said(&'static [(usize, &'static str)]),
    /// All arguments, with this between them.
    Folded(&'static str),
    /// The share that this aggregate has of the whole.
    Shared(&'static str),
    /// Not offered, and why.
    Refused(&'static str),
}

/// What a function is made of.
pub(super) enum Is {
    /// What looks at one row: its arguments, how many there must be, what it gives.
    Row(&'static [Takes], usize, Gives, Pure),
    /// The same, and it refuses some.
    Checked(&'static [Takes], Gives, Checked),
    /// What looks at a text, and knows something of the world.
    Told(Gives, Told),
    /// A function of its own.
    Own(fn(&Known) -> ScalarUDF),
    /// Another word for what SQL has.
    Word(Word),
    /// What is done before the parser sees it.
    Clause,
}

/// One function.
pub(in super::super) struct Entry {
    pub(in super::super) name: &'static str,
    /// As a reader writes them.
    arguments: &'static str,
    says: &'static str,
    pub(in super::super) whose: Whose,
    pub(super) is: Is,
}

impl Entry {
    /// What it is in SQL, where it is another word for something.
    pub(in super::super) const fn word(&self) -> Option<Word> {
        if let Is::Word(word) = self.is { Some(word) } else { None }
    }
}

/// What is shown of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, with their parentheses.
    pub arguments: &'static str,
    /// What it gives.
    pub says: &'static str,
    /// Whether it is one of LogParser's.
    pub is_logparsers: bool,
    /// Whether it is there in LogParser's dialect only.
    pub needs_dialect: bool,
}

/// The functions that SQL itself lacks.
pub fn functions() -> impl Iterator<Item = FunctionInfo> {
    ENTRIES.iter().filter(|entry| !entry.says.is_empty()).map(|entry| FunctionInfo {
        name: entry.name,
        arguments: entry.arguments,
        says: entry.says,
        is_logparsers: entry.whose != Whose::Ours,
        needs_dialect: entry.whose == Whose::InItsDialect || matches!(entry.is, Is::Clause),
    })
}

/// The functions of this name.
pub(in super::super) fn named(name: &str) -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter().filter(move |entry| entry.name.eq_ignore_ascii_case(name))
}

const fn ours(name: &'static str, arguments: &'static str, says: &'static str, is: Is) -> Entry {
    Entry { name, arguments, says, whose: Whose::Ours, is }
}

const fn lp(name: &'static str, arguments: &'static str, says: &'static str, is: Is) -> Entry {
    Entry { name, arguments, says, whose: Whose::LogParsers, is }
}

const fn own(name: &'static str, arguments: &'static str, says: &'static str, is: Is) -> Entry {
    Entry { name, arguments, says, whose: Whose::InItsDialect, is }
}

const fn hidden(name: &'static str, is: Is) -> Entry {
    Entry { name, arguments: "", says: "", whose: Whose::Hidden, is }
}

/// All of them. Of two with one name, the first that fits is meant.
pub(super) const ENTRIES: &[Entry] = &[
    ours(
        "cookie",
        "(header, name)",
        "a cookie of a `Cookie` header",
        Is::Row(&[Text, Text], 2, Gives::Text, urls::cookie),
    ),
    ours(
        "query_param",
        "(url, name)",
        "a parameter of a URL or of a query string, decoded",
        Is::Row(&[Text, Text], 2, Gives::Text, urls::query_param),
    ),
    ours("url_decode", "(text)", "the text with `%41` and `+` undone", Is::Row(&[Text], 1, Gives::Text, urls::decode)),
    ours("url_encode", "(text)", "the opposite", Is::Row(&[Text], 1, Gives::Text, urls::encode)),
    ours("ua_browser", "(user_agent)", "the browser", Is::Told(Gives::Text, agents::browser)),
    ours("ua_os", "(user_agent)", "the operating system", Is::Told(Gives::Text, agents::os)),
    ours(
        "ua_device",
        "(user_agent)",
        "`desktop`, `mobile`, `tablet` and the like",
        Is::Told(Gives::Text, agents::device),
    ),
    ours("ua_bot", "(user_agent)", "the kind of bot; NULL for people", Is::Told(Gives::Text, agents::bot)),
    ours("is_bot", "(user_agent)", "whether it is a bot", Is::Told(Gives::Bool, agents::is_bot)),
    ours("country", "(ip)", "where an address is: two letters", Is::Told(Gives::Text, agents::country)),
    ours(
        "page",
        "(site, path [, query])",
        "the page, as reports have it: the path in its normal form, with the parameters that make a page of their own on that site",
        Is::Own(pages::function),
    ),
    lp(
        "ADD",
        "(a, b)",
        "the sum; of a moment and a span (`TIMESTAMP('01:30', 'hh:mm')`) in its dialect",
        Is::Word(Word::Folded(" + ")),
    ),
    own("ADD", "(a, b)", "", Is::Word(Word::Said(&[(2, "logparser_add($1, $2)")]))),
    lp(
        "SUB",
        "(a, b)",
        "the difference; of moments, a span that counts from the year 0, in its dialect",
        Is::Word(Word::Folded(" - ")),
    ),
    own("SUB", "(a, b)", "", Is::Word(Word::Said(&[(2, "logparser_sub($1, $2)")]))),
    lp("MUL", "(a, b)", "the product", Is::Word(Word::Folded(" * "))),
    lp("DIV", "(a, b)", "the quotient; NULL by 0 in its dialect", Is::Word(Word::Folded(" / "))),
    own("DIV", "(a, b)", "", Is::Word(Word::Said(&[(2, "(($1) / NULLIF(($2), 0))")]))),
    lp("MOD", "(a, b)", "the remainder; NULL by 0 in its dialect", Is::Word(Word::Folded(" % "))),
    own("MOD", "(a, b)", "", Is::Word(Word::Said(&[(2, "(($1) % NULLIF(($2), 0))")]))),
    lp("BIT_AND", "(a, b)", "the bits that both have", Is::Word(Word::Said(&[(2, "(($1) & ($2))")]))),
    lp("BIT_OR", "(a, b)", "the bits that one of them has", Is::Word(Word::Said(&[(2, "(($1) | ($2))")]))),
    lp("BIT_XOR", "(a, b)", "the bits that only one of them has", Is::Word(Word::Said(&[(2, "(($1) # ($2))")]))),
    lp("BIT_NOT", "(a)", "the bits that it has not", Is::Word(Word::Said(&[(1, "(-1 - ($1))")]))),
    lp("BIT_SHL", "(a, n)", "the bits, `n` places up", Is::Word(Word::Said(&[(2, "(($1) << ($2))")]))),
    lp("BIT_SHR", "(a, n)", "the bits, `n` places down", Is::Word(Word::Said(&[(2, "(($1) >> ($2))")]))),
    lp("SQR", "(x)", "the square", Is::Word(Word::Said(&[(1, "(($1) * ($1))")]))),
    lp("SQRROOT", "(x)", "the square root", Is::Word(Word::Said(&[(1, "sqrt($1)")]))),
    lp("EXP10", "(x)", "10 to that power", Is::Word(Word::Said(&[(1, "power(10.0, $1)")]))),
    own("LOG", "(x)", "the natural logarithm", Is::Word(Word::Said(&[(1, "ln($1)")]))),
    lp(
        "QNTFLOOR_TO_DIGIT",
        "(n, digits)",
        "the number with all but its first digits 0",
        Is::Row(&[Int, Int], 2, Gives::Int, digits::floor_to_digit),
    ),
    lp(
        "QNTROUND_TO_DIGIT",
        "(n, digits)",
        "the number rounded to its first digits",
        Is::Row(&[Int, Int], 2, Gives::Int, digits::round_to_digit),
    ),
    lp(
        "QUANTIZE",
        "(x, n)",
        "a number rounded down to a multiple of `n`; a moment, to `n` seconds of its zone's clock",
        Is::Own(quantize::function),
    ),
    lp(
        "STRCAT",
        "(a, b)",
        "one text behind the other; NULL is an empty one in its dialect",
        Is::Word(Word::Folded(" || ")),
    ),
    own("STRCAT", "(a, b)", "", Is::Word(Word::Said(&[(2, "concat($1, $2)")]))),
    lp("STRLEN", "(text)", "how many characters", Is::Word(Word::Said(&[(1, "character_length($1)")]))),
    lp("STRREV", "(text)", "the text from its end", Is::Word(Word::Said(&[(1, "reverse($1)")]))),
    lp("STRCNT", "(text, sought)", "how often it is there", Is::Row(&[Text, Text], 2, Gives::Int, texts::strcnt)),
    lp(
        "STRREPEAT",
        "(text, n)",
        "the text `n` times, up to 64 KiB",
        Is::Checked(&[Text, Int], Gives::Text, digits::repeat),
    ),
    lp("ROT13", "(text)", "each letter 13 places on", Is::Row(&[Text], 1, Gives::Text, digits::rot13)),
    own(
        "SUBSTR",
        "(text, from [, n])",
        "a part of the text; characters count from 0",
        Is::Word(Word::Said(&[(2, "substr_from_0($*)"), (3, "substr_from_0($*)")])),
    ),
    own(
        "SUBSTRING",
        "(text, from [, n])",
        "the same",
        Is::Word(Word::Said(&[(2, "substr_from_0($*)"), (3, "substr_from_0($*)")])),
    ),
    lp("TO_UPPERCASE", "(text)", "in capitals", Is::Word(Word::Said(&[(1, "upper($1)")]))),
    lp("TO_LOWERCASE", "(text)", "in small letters", Is::Word(Word::Said(&[(1, "lower($1)")]))),
    lp("REPLACE_STR", "(text, sought, new)", "with each place replaced", Is::Word(Word::Said(&[(3, "replace($*)")]))),
    lp(
        "REPLACE_CHR",
        "(text, characters, new)",
        "with each of the characters replaced",
        Is::Row(&[Text, Text, Text], 3, Gives::Text, texts::replace_chr),
    ),
    lp(
        "INDEX_OF",
        "(text, sought)",
        "where it is first, from 0; NULL where it is not",
        Is::Word(Word::Said(&[(2, "(NULLIF(strpos($1, $2), 0) - 1)")])),
    ),
    lp(
        "LAST_INDEX_OF",
        "(text, sought)",
        "where it is last",
        Is::Row(&[Text, Text], 2, Gives::Int, texts::last_index_of),
    ),
    lp(
        "EXTRACT_TOKEN",
        "(text, n [, sep])",
        "the token `n` from 0; from the end where negative",
        Is::Row(&[Text, Int, Text], 2, Gives::Text, texts::extract_token),
    ),
    lp(
        "EXTRACT_PREFIX",
        "(text, n, sep)",
        "the first `n` + 1 tokens",
        Is::Row(&[Text, Int, Text], 3, Gives::Text, texts::extract_prefix),
    ),
    lp(
        "EXTRACT_SUFFIX",
        "(text, n, sep)",
        "the last `n` + 1 tokens",
        Is::Row(&[Text, Int, Text], 3, Gives::Text, texts::extract_suffix),
    ),
    lp(
        "EXTRACT_VALUE",
        "(text, key [, sep])",
        "the value of `key=value`",
        Is::Row(&[Text, Text, Text], 2, Gives::Text, urls::extract_value),
    ),
    lp("EXTRACT_FILENAME", "(path)", "the file's name", Is::Row(&[Text], 1, Gives::Text, texts::extract_filename)),
    lp(
        "EXTRACT_EXTENSION",
        "(path)",
        "what is behind its last dot",
        Is::Row(&[Text], 1, Gives::Text, texts::extract_extension),
    ),
    lp("EXTRACT_PATH", "(path)", "the folder", Is::Row(&[Text], 1, Gives::Text, texts::extract_path)),
    lp("URLESCAPE", "(text)", "as `url_encode`", Is::Row(&[Text, Int], 1, Gives::Text, urls::encode)),
    lp("URLUNESCAPE", "(text)", "as `url_decode`", Is::Row(&[Text, Int], 1, Gives::Text, urls::decode)),
    lp("HEX_TO_INT", "(hex)", "the number", Is::Row(&[Text], 1, Gives::Int, digits::hex_to_int)),
    lp(
        "HEX_TO_ASC",
        "(hex)",
        "the characters; a dot for what can't be printed",
        Is::Row(&[Text], 1, Gives::Text, digits::hex_to_text),
    ),
    lp("HEX_TO_PRINT", "(hex)", "the same", Is::Row(&[Text], 1, Gives::Text, digits::hex_to_text)),
    lp("IPV4_TO_INT", "(ip)", "an IPv4 address as a number", Is::Row(&[Text], 1, Gives::Int, digits::ipv4_to_int)),
    lp("INT_TO_IPV4", "(n)", "the opposite", Is::Row(&[Int], 1, Gives::Text, digits::int_to_ipv4)),
    lp(
        "WIN32_ERROR_DESCRIPTION",
        "(code)",
        "what a number in `sc-win32-status` says",
        Is::Row(&[Int], 1, Gives::Text, win32::description),
    ),
    lp("REPLACE_IF_NULL", "(x, y)", "`y` where `x` is NULL", Is::Word(Word::Said(&[(2, "COALESCE($*)")]))),
    lp(
        "REPLACE_IF_NOT_NULL",
        "(x, y)",
        "`y` where `x` is not NULL",
        Is::Word(Word::Said(&[(2, "CASE WHEN ($1) IS NOT NULL THEN ($2) END")])),
    ),
    lp(
        "TIMESTAMP",
        "('text', 'format')",
        "a moment; a day or a time of day where the format has no other letters",
        Is::Word(Word::Said(&[(2, "timestamp_constant($*)")])),
    ),
    lp("SYSTEM_TIMESTAMP", "()", "now", Is::Word(Word::Said(&[(0, "now()")]))),
    lp("SYSTEM_DATE", "()", "today", Is::Word(Word::Said(&[(0, "current_date()")]))),
    lp("SYSTEM_TIME", "()", "the time of day, UTC", Is::Word(Word::Said(&[(0, "CAST(now() AS TIME)")]))),
    lp("SYSTEM_UTCOFFSET", "()", "how far local time is from UTC now, as a time", Is::Own(clock::offset)),
    lp("TO_LOCALTIME", "(t [, zone])", "a moment in a zone", Is::Own(times::local)),
    lp("TO_UTCTIME", "(t)", "and back", Is::Own(times::utc)),
    lp("TO_DATE", "(t)", "the day of a moment", Is::Word(Word::Said(&[]))),
    lp("TO_TIME", "(t)", "its time of day", Is::Word(Word::Said(&[(1, "time_of_day($1)")]))),
    own(
        "TO_TIMESTAMP",
        "(x)",
        "a moment of the seconds since the year 0",
        Is::Word(Word::Said(&[(1, "logparser_moment($1)")])),
    ),
    lp(
        "TO_TIMESTAMP",
        "(date, time) or (text, 'format')",
        "a moment; NULL for a text that does not fit",
        Is::Word(Word::Said(&[(2, "join_timestamp($*)")])),
    ),
    lp(
        "TO_STRING",
        "(t, 'format')",
        "a moment as text, by LogParser's letters (`yyyy-MM-dd hh:mm:ss`) or by `%Y`",
        Is::Own(times::written_out),
    ),
    lp("TO_STRING", "(x)", "anything as text", Is::Word(Word::Said(&[(1, "CAST($1 AS VARCHAR)")]))),
    own(
        "TO_INT",
        "(x)",
        "a number without its fraction; of a moment, the seconds since the year 0",
        Is::Word(Word::Said(&[(1, "logparser_int($1)")])),
    ),
    lp(
        "TO_INT",
        "(x)",
        "a number without its fraction; NULL for a text that is none",
        Is::Word(Word::Said(&[(
            1,
            "COALESCE(TRY_CAST($1 AS BIGINT), TRY_CAST(trunc(TRY_CAST($1 AS DOUBLE)) AS BIGINT))",
        )])),
    ),
    own(
        "TO_REAL",
        "(x)",
        "a number; of a moment, the seconds since the year 0",
        Is::Word(Word::Said(&[(1, "logparser_real($1)")])),
    ),
    lp(
        "TO_REAL",
        "(x)",
        "a number; NULL for a text that is none",
        Is::Word(Word::Said(&[(1, "TRY_CAST($1 AS DOUBLE)")])),
    ),
    lp(
        "PROPCOUNT",
        "(*) [ON (x)]",
        "the share of all rows, or of those with the same `x`",
        Is::Word(Word::Shared("count")),
    ),
    lp("PROPSUM", "(x) [ON (y)]", "the share of the sum", Is::Word(Word::Shared("sum"))),
    lp("OUT_ROW_NUMBER", "()", "the number of the row in the result, from 1", Is::Clause),
    lp("IN_ROW_NUMBER", "()", "the number of the row in the log, from 1", Is::Clause),
    lp("SEQUENCE", "([start [, step]])", "numbers for the rows, from 0", Is::Clause),
    lp("HASHSEQ", "(x)", "a number for each value, from 1", Is::Clause),
    lp(
        "COMPUTER_NAME",
        "()",
        "not offered",
        Is::Word(Word::Refused(
            "it would name the machine that is asked, not the one that wrote the log; s-computername is there where the log has it, and a name can be written as a text: 'web01'",
        )),
    ),
    lp(
        "REVERSEDNS",
        "(ip)",
        "not offered",
        Is::Word(Word::Refused(
            "it would ask a name server about each address, which takes seconds a row and tells strangers whose visits are looked at; country(ip) and the address itself are there",
        )),
    ),
    lp(
        "RESOLVE_SID",
        "(sid)",
        "not offered",
        Is::Word(Word::Refused("only the Windows domain that a SID is of knows it")),
    ),
    lp(
        "HASHMD5_FILE",
        "(path)",
        "not offered",
        Is::Word(Word::Refused("a statement reads no files but those in FROM")),
    ),
    hidden("substr_from_0", Is::Row(&[Text, Int, Int], 2, Gives::Text, texts::substr_from_0)),
    hidden("parse_timestamp", Is::Own(times::parsed_by)),
    hidden("join_timestamp", Is::Own(times::joined)),
    hidden("timestamp_constant", Is::Own(clock::constant)),
    hidden("time_of_day", Is::Own(clock::time_of_day)),
    hidden("logparser_add", Is::Own(arithmetic::add)),
    hidden("logparser_sub", Is::Own(arithmetic::sub)),
    hidden("logparser_int", Is::Own(arithmetic::int)),
    hidden("logparser_real", Is::Own(arithmetic::real)),
    hidden("logparser_moment", Is::Own(arithmetic::moment)),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/functions.md`.
    fn page() -> String {
        let mut page = String::from(
            "# Functions\n\nWhat SQL has beside its own, in all statements. The table is written from the code.\n\n\
             ## For logs and visits\n\n| function | gives |\n|---|---|\n",
        );
        let line = |page: &mut String, function: &FunctionInfo| {
            let dialect = if function.needs_dialect { " (`--dialect logparser`)" } else { "" };
            page.push_str(&format!("| `{}{}` | {}{dialect} |\n", function.name, function.arguments, function.says));
        };
        functions().filter(|function| !function.is_logparsers).for_each(|function| line(&mut page, &function));
        page.push_str(
            "\n## LogParser's\n\nWhere one means something else than SQL's function of that name, it is there with \
             `--dialect logparser` only.\n\n| function | gives |\n|---|---|\n",
        );
        let said = functions().filter(|function| function.is_logparsers);
        said.for_each(|function| line(&mut page, &function));
        page
    }

    #[test]
    fn the_page_is_written_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/functions.md");
        let found = std::fs::read_to_string(path).unwrap_or_default();
        let fresh = std::env::temp_dir().join("visitlog-functions.md");
        let is_same = found == page();
        if !is_same {
            std::fs::write(&fresh, page()).unwrap_or_else(|error| panic!("{}: {error}", fresh.display()));
        }
        assert!(is_same, "docs/functions.md is not what the table says: {} is", fresh.display());
    }

    #[test]
    fn each_says_what_it_is() {
        for entry in ENTRIES.iter().filter(|entry| entry.whose != Whose::Hidden) {
            assert!(entry.arguments.starts_with('('), "{}", entry.name);
        }
    }
}

//! Formats of text: every line is accounted for, in each of them, behind syslog too, and in a format string that the input
//! brings.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::logs::check;
use visitlog_logs::Format;

/// The formats of text, alone and behind syslog, and strings of nginx and Apache.
static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let named: Vec<Format> = Format::all().into_iter().filter(|format| !format.is_self_describing()).collect();
    let names = named.iter().map(|format| format!("syslog+{}", format.name()));
    let strings = ["%v %a %{%d.%m.%Y %H:%M}t %m %U%q %>s %{ms}T", "$remote_addr|$msec|$request|$status|$request_time"];
    let others = names.chain(strings.map(str::to_owned)).map(|name| Format::named(&name).expect("a format"));
    named.iter().cloned().chain(others).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    if *first != u8::MAX {
        return check(&FORMATS[usize::from(*first) % FORMATS.len()], text);
    }
    // Up to the end of its first line it is a format string.
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let Ok(string) = std::str::from_utf8(&text[..end]) else { return };
    if let Ok(format) = Format::named(string) {
        check(&format.with_sample(text), &text[end..]);
    }
});

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
    let around =
        ["docker", "cri", "compose", "pod", "time", "grep", "quote", "words2", "grep+syslog", "json.message+cri"];
    let names = names.chain(around.map(|wrap| format!("{wrap}+combined")));
    let strings = [
        "%v %a %{%d.%m.%Y %H:%M}t %m %U%q %>s %{ms}T",
        "$remote_addr|$msec|$request|$status|$request_time",
        "%a;%q;%r;%s;%S;%t;%D;%I;%{Referer}i",
        "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %hr %{+Q}r",
        "[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %DURATION% \"%REQ(X-FORWARDED-FOR)%\"",
        "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt",
        "#Fields: time c-ip cs-method cs-uri-stem cs-uri-query sc-status",
    ];
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

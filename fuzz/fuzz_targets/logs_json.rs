//! Logs of JSON objects, of key=value, and of values whose names are in the first line: every line is accounted for, and memory stays in proportion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::bounded;
use visitlog_fuzz::logs::check;
use visitlog_logs::Format;

const NAMES: [&str; 8] = ["json", "caddy", "traefik", "cloudflare", "azure_gateway", "logfmt", "csv", "docker+json"];

/// A key of a few characters becomes a column, and its path is as long as those of all objects around it.
const BYTES_PER_BYTE: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let name = NAMES[usize::from(*first) % NAMES.len()];
    let sampled = || Format::named(name).expect("known").with_sample(text);
    let format = bounded(text.len(), BYTES_PER_BYTE, 64 * 1024, sampled);
    check(&format, text);
});

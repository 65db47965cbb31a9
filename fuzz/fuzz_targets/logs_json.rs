//! Logs of JSON objects: every line is accounted for, and memory stays in proportion.
#![no_main]

use libfuzzer_sys::fuzz_target;
use visitlog_fuzz::bounded;
use visitlog_fuzz::logs::check;
use visitlog_logs::Format;

const NAMES: [&str; 5] = ["json", "caddy", "traefik", "cloudflare", "azure_gateway"];

/// A key of a few characters becomes a column, and its path is as long as those of all objects around it.
const BYTES_PER_BYTE: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let name = NAMES[usize::from(*first) % NAMES.len()];
    let sampled = || Format::named(name).expect("known").with_sample(text);
    let format = bounded(text.len(), BYTES_PER_BYTE, 64 * 1024, sampled);
    check(&format, text);
});

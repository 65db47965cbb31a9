#!/bin/sh
# SQL over logs and import, beside wc, DuckDB, lnav, GoAccess and Webalizer; see run.py. Arguments go there.
set -eu
cd "$(dirname "$0")/../../../.."
cargo build --quiet --release --workspace --bins
cargo build --quiet --release --package visitlog-logs --example generate
target=${CARGO_TARGET_DIR:-target}
python=$target/bench-logs/bin/python
if [ ! -x "$python" ]; then
    python3 -m venv "$target/bench-logs"
    "$python" -m pip install --quiet duckdb
fi
exec python3 crates/cli/benches/logs/run.py --visitlog "$target/release/visitlog" \
    --generate "$target/release/examples/generate" --python "$python" "$@"

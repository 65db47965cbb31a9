#!/bin/sh
# Reports and lists over generated visits, beside DuckDB on the same two tables; see run.py. Arguments go there.
set -eu
cd "$(dirname "$0")/../../../.."
cargo build --quiet --release --workspace --bins
target=${CARGO_TARGET_DIR:-target}
python=$target/bench-reports/bin/python
if [ ! -x "$python" ]; then
    python3 -m venv "$target/bench-reports"
    "$python" -m pip install --quiet duckdb
fi
exec "$python" crates/cli/benches/reports/run.py --visitlog "$target/release/visitlog" "$@"

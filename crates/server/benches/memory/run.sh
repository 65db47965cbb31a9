#!/usr/bin/env bash
# What a session costs a whole server: resident bytes of `visitlog serve` for each provisional session (another address
# and another user agent each) and for each confirmed one.
#
#   crates/server/benches/memory/run.sh [SESSIONS]
#
# Everything listens on loopback, on ports from PORT (default 19600) on. The data goes to BENCH_DIR (default: the
# temporary folder).
set -euo pipefail

count=${1:-200000}
port=${PORT:-19600}
cd "$(dirname "$0")/../../../.."
# Without SQL: it is not asked, and the build takes twenty minutes with it.
cargo build --quiet --release -p visitlog-cli -p visitlog-server --no-default-features --bins --examples
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT

wait_for() { # port
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing listens on port $1" >&2
    exit 1
}

"$bin/examples/upstream" "127.0.0.1:$port" 1 &
pids+=($!)
wait_for "$port"
"$bin/visitlog" serve --upstream "http://127.0.0.1:$port" --listen "127.0.0.1:$((port + 1))" \
    --admin "127.0.0.1:$((port + 2))" --data "$work/data" --trusted-proxy 127.0.0.1 --durability relaxed \
    --idle-timeout 24h --workers 1 >"$work/log" &
server=$!
pids+=("$server")
wait_for "$((port + 1))"
"$bin/examples/fill" "127.0.0.1:$((port + 1))" "$server" "$count"

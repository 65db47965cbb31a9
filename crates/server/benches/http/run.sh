#!/usr/bin/env bash
# What recording costs, on this machine: an axum app bare, with a layer that does nothing (`Router::layer` itself boxes),
# and with ours, beside tower-sessions; `visitlog serve` beside nginx as a reverse proxy and the bare proxy. The same wrk
# in turns, with 10,000 distinct cookies that the site itself gave out; every request is a page view, and journaled.
# Prints medians, p99, the server's own time in user and system, and ratios.
#
#   crates/server/benches/http/run.sh [ROUNDS] [SECONDS] [CONNECTIONS] [tower|proxy]
#
# Needs nginx and wrk (Debian packages). Everything listens on loopback, on ports from PORT (default 19500) on. The data
# goes to BENCH_DIR (default: the temporary folder).
set -euo pipefail

rounds=${1:-3} seconds=${2:-6} connections=${3:-64} only=${4:-both}
cores=$(nproc)
port=${PORT:-19500}
cd "$(dirname "$0")/../../../.."
# Without SQL: it costs a request nothing, and the build twenty minutes.
cargo build --quiet --release -p visitlog-cli -p visitlog-server --no-default-features --bins --examples
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d -p "${BENCH_DIR:-${TMPDIR:-/tmp}}")
pids=()
stop_all() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
}
cleanup() {
    stop_all
    rm -rf "$work"
}
trap cleanup EXIT

cat >"$work/visitors.lua" <<'LUA'
local requests, number = {}, 0
function init(args)
    local headers = {
        ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ["Accept-Language"] = "en-GB,en;q=0.5",
        ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ["Sec-Fetch-Dest"] = "document",
    }
    for cookie in io.lines(args[1]) do
        headers["Cookie"] = cookie
        requests[#requests + 1] = wrk.format("GET", "/", headers)
    end
end
function request()
    number = number % #requests + 1
    return requests[number]
end
LUA

wait_for() { # port
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing listens on port $1" >&2
    exit 1
}
# Ticks of a process and its children in user and in system, so far.
cpu() { # pids...
    local pid
    for pid in "$@"; do cat "/proc/$pid/stat"; done | sed 's/.*) //' | awk '{user += $12; sys += $13} END {print user, sys}'
}
load() { # name port
    local served=${pids[-1]} before after
    mapfile -t served < <(echo "$served"; pgrep -P "$served" || true)
    before=$(cpu "${served[@]}")
    wrk -t2 -c"$connections" -d"${seconds}s" --latency -s "$work/visitors.lua" "http://127.0.0.1:$2/" -- \
        "$work/$1.cookies" >"$work/out"
    after=$(cpu "${served[@]}")
    if grep -q "Non-2xx\|Socket errors" "$work/out"; then
        echo "$1: $(grep "Non-2xx\|Socket errors" "$work/out")" >&2
    fi
    awk -v name="$1" -v cpu="$before $after" -v tick="$(getconf CLK_TCK)" '
        /requests in/ {requests = $1} /^Requests\/sec/ {rate = $2} $1 == "99%" {p99 = $2}
        END {split(cpu, at, " "); us = 1e6 / tick / requests
            printf "%s %s %s %.2f %.2f\n", name, rate, p99, (at[3] - at[1]) * us, (at[4] - at[2]) * us}' "$work/out" |
        tee -a "$work/results"
}
middle() { # name column sort-option
    awk -v name="$1" -v column="$2" '$1 == name {print $column}' "$work/results" | sort "$3" |
        awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
report() { # names...
    echo "medians of $rounds rounds of $seconds s, $connections connections, $cores cores:"
    for name in "$@"; do
        echo "  $name: $(middle "$name" 2 -n) requests/s, p99 $(middle "$name" 3 -h), user" \
            "$(middle "$name" 4 -n) + system $(middle "$name" 5 -n) us a request"
    done
}
ratio() { # a b
    awk -v a="$(middle "$1" 2 -n)" -v b="$(middle "$2" 2 -n)" -v what="$1/$2" 'BEGIN {printf "  %s: %.2f\n", what, a / b}'
}

# name port command...: a contender, started, primed and warmed up.
contender() {
    local name=$1 at=$2
    shift 2
    "$@" >"$work/$name.log" 2>&1 &
    pids+=($!)
    wait_for "$at"
    "$bin/examples/prime" "127.0.0.1:$at" 10000 >"$work/$name.cookies"
    wrk -t2 -c"$connections" -d1s -s "$work/visitors.lua" "http://127.0.0.1:$at/" -- "$work/$name.cookies" >/dev/null
}

tower() {
    local names=(bare noop relaxed process power set touch-peer set-peer)
    for round in $(seq "$rounds"); do
        for place in "${!names[@]}"; do
            local name=${names[$place]}
            # One at a time: an idle one still sweeps, syncs and holds memory.
            contender "$name" $((port + place)) "$bin/examples/hello" "127.0.0.1:$((port + place))" "$name" \
                "$work/data-$name-$round"
            load "$name" $((port + place))
            stop_all
            rm -rf "$work/data-$name-$round"
        done
    done
    report "${names[@]}"
    ratio noop bare
    ratio relaxed bare
    ratio relaxed noop
    ratio process bare
    ratio process noop
    ratio power bare
    ratio touch-peer bare
    ratio set set-peer
}

proxy() {
    cat >"$work/nginx.conf" <<CONF
worker_processes $cores;
daemon off;
pid $work/nginx.pid;
error_log $work/error.log warn;
events { worker_connections 1024; }
http {
    access_log $work/access.log combined;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    keepalive_requests 1000000000;
    upstream site {
        server 127.0.0.1:$port;
        keepalive 64;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$((port + 10));
        location / {
            proxy_pass http://site;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;
            proxy_set_header X-Forwarded-Host \$host;
        }
    }
}
CONF
    local site=http://127.0.0.1:$port nginx
    nginx=$(command -v nginx || echo /usr/sbin/nginx)
    for round in $(seq "$rounds"); do
        for name in nginx bare-proxy serve serve-relaxed; do
            "$bin/examples/upstream" "127.0.0.1:$port" "$cores" >/dev/null 2>&1 &
            pids+=($!)
            wait_for "$port"
            case $name in
            nginx) contender nginx $((port + 10)) "$nginx" -p "$work" -c "$work/nginx.conf" ;;
            bare-proxy) contender bare-proxy $((port + 11)) "$bin/examples/proxy" "$site" "127.0.0.1:$((port + 11))" "$cores" ;;
            serve) contender serve $((port + 12)) "$bin/visitlog" serve --upstream "$site" --listen \
                "127.0.0.1:$((port + 12))" --admin "127.0.0.1:$((port + 13))" --data "$work/serve-$round" ;;
            serve-relaxed) contender serve-relaxed $((port + 14)) "$bin/visitlog" serve --upstream "$site" --listen \
                "127.0.0.1:$((port + 14))" --admin "127.0.0.1:$((port + 15))" --data "$work/relaxed-$round" --durability relaxed ;;
            esac
            local at
            at=$(case $name in nginx) echo 10 ;; bare-proxy) echo 11 ;; serve) echo 12 ;; serve-relaxed) echo 14 ;; esac)
            load "$name" $((port + at))
            stop_all
            rm -rf "$work/serve-$round" "$work/relaxed-$round"
        done
    done
    report nginx bare-proxy serve serve-relaxed
    ratio bare-proxy nginx
    ratio serve nginx
    ratio serve-relaxed nginx
}

case $only in
tower) tower ;;
proxy) proxy ;;
*)
    tower
    proxy
    ;;
esac

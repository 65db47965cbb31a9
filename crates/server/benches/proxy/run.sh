#!/usr/bin/env bash
# Compares the bare proxy with nginx as a reverse proxy and with the upstream itself, on this machine:
# the same upstream, the same wrk, in turns; prints medians, p99 and the ratio to nginx.
#
#   crates/server/benches/proxy/run.sh [ROUNDS] [SECONDS] [CONNECTIONS]
#
# Needs nginx and wrk (Debian packages). BIN names a folder with the examples `upstream` and `proxy` if they are built
# already. Everything listens on loopback, on ports from PORT (default 19400) on.
set -euo pipefail

rounds=${1:-3} seconds=${2:-6} connections=${3:-64}
cores=$(nproc)
port=${PORT:-19400}
cd "$(dirname "$0")/../../../.."
if [ -z "${BIN:-}" ]; then
    cargo build --quiet --release -p visitlog-server --no-default-features --example upstream --example proxy
    BIN=${CARGO_TARGET_DIR:-target}/release/examples
fi
work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

cat >"$work/nginx.conf" <<CONF
worker_processes 2;
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
        listen 127.0.0.1:$((port + 1));
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
# 10,000 distinct cookies and the headers of a browser, as a real page view has them.
cat >"$work/visitors.lua" <<'LUA'
local number = 0
local headers = {
    ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ["Accept-Language"] = "en-GB,en;q=0.5",
    ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ["Sec-Fetch-Dest"] = "document",
}
local requests = {}
function init()
    for i = 1, 10000 do
        headers["Cookie"] = string.format("visit=%032d", i)
        requests[i] = wrk.format("GET", "/", headers)
    end
end
function request()
    number = number % 10000 + 1
    return requests[number]
end
LUA

"$BIN/upstream" 127.0.0.1:"$port" "$cores" & pids+=($!)
"$(command -v nginx || echo /usr/sbin/nginx)" -p "$work" -c "$work/nginx.conf" & pids+=($!)
"$BIN/proxy" http://127.0.0.1:"$port" 127.0.0.1:$((port + 2)) "$cores" & pids+=($!)
sleep 1

# Clock ticks that a process and its children have used.
ticks() {
    cat /proc/"$1"/stat $(for child in $(cat /proc/"$1"/task/*/children); do echo "/proc/$child/stat"; done) |
        sed 's/.*) //' | awk '{sum += $12 + $13} END {print sum}'
}
# name, port, process: rate, p99, and the process's own time per request in microseconds
load() {
    local before
    before=$(ticks "$3")
    wrk -t2 -c"$connections" -d"${seconds}s" --latency -s "$work/visitors.lua" "http://127.0.0.1:$2/" >"$work/out"
    if grep -q "Non-2xx\|Socket errors" "$work/out"; then
        echo "$1: $(grep "Non-2xx\|Socket errors" "$work/out")" >&2
    fi
    awk -v name="$1" -v ticks=$(($(ticks "$3") - before)) -v hertz="$(getconf CLK_TCK)" '
        /^Requests\/sec/ {rate = $2} / 99%/ {p99 = $2} / requests in / {requests = $1}
        END {printf "%s %.0f %s %.1f\n", name, rate, p99, ticks / hertz * 1e6 / requests}' "$work/out" |
        tee -a "$work/results"
}
for name in direct:0 nginx:1 proxy:2; do
    wrk -t2 -c"$connections" -d1s "http://127.0.0.1:$((port + ${name#*:}))/" >/dev/null
done
for _ in $(seq "$rounds"); do
    load nginx $((port + 1)) "${pids[1]}"
    load proxy $((port + 2)) "${pids[2]}"
    load direct "$port" "${pids[0]}"
done

median() { awk -v name="$1" -v field="$2" '$1 == name {print $field}' "$work/results" | sort -h | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
echo "medians of $rounds rounds of $seconds s, $connections connections, $cores cores:"
for name in direct nginx proxy; do
    echo "  $name: $(median $name 2) requests/s, p99 $(median $name 3), own CPU time $(median $name 4) us/request"
done
awk -v proxy="$(median proxy 2)" -v nginx="$(median nginx 2)" 'BEGIN {printf "proxy/nginx: %.2f\n", proxy / nginx}'

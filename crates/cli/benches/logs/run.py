#!/usr/bin/env python3
"""SQL over access logs, and import, beside what the field uses: `cargo xtask bench logs`.

Every program reads the same generated file from the page cache, in turn, a few rounds; what is printed is the median of
its times, lines a second, the most memory that it held, and its speed as a share of `wc -l` on the same file: the
machine's own limit. Two cores, or as many as `--cores` says.
"""

import argparse
import collections
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

COUNT = "SELECT client_ip, count(*) AS n FROM '{file}' GROUP BY client_ip ORDER BY n DESC LIMIT 10"
ALL = (
    "SELECT count(time), count(client_ip), count(method), count(path), count(query), sum(status), sum(bytes), "
    "count(referrer), count(user_agent), count(\"user\"), max(length(path)), max(length(user_agent)) FROM '{file}'"
)
# The regular expression that DuckDB's users write for a combined log.
PATTERN = (
    r'^(\S+) (\S+) (\S+) \[([^\]]+)\] "(\S+) (\S+)[^"]*" (\d+) (\S+) "([^"]*)" "([^"]*)"'
)
DUCKDB_READ = (
    "read_csv('{file}', delim='\\x01', quote='', escape='', header=false, columns={{'line': 'VARCHAR'}}, "
    "ignore_errors=true, max_line_size=1000000)"
)
DUCKDB_COUNT = (
    "SELECT regexp_extract(line, '^(\\S+)', 1) AS client_ip, count(*) AS n FROM " + DUCKDB_READ
    + " GROUP BY 1 ORDER BY n DESC LIMIT 10"
)
DUCKDB_ALL = (
    "SELECT count(r.time), count(r.ip), count(r.method), count(r.path), sum(TRY_CAST(r.status AS INT)), "
    "sum(TRY_CAST(r.bytes AS BIGINT)), count(r.referrer), count(r.agent), count(r.who), max(length(r.path)), "
    "max(length(r.agent)) FROM (SELECT regexp_extract(line, '{pattern}', "
    "['ip','ident','who','time','method','path','status','bytes','referrer','agent']) AS r FROM " + DUCKDB_READ + ")"
)


def run(command, cores):
    """Wall time in seconds, CPU time in seconds, and peak memory in MiB of a command."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            ["taskset", "-c", f"0-{cores - 1}", *command], stdout=subprocess.DEVNULL, stderr=said, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - begun
        if status != 0:
            said.seek(0)
            sys.exit(f"{command[0]} failed: {said.read()[-2000:].decode(errors='replace')}")
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


# As LogParser's users write them.
IIS_FILE = "u_ex090109.log"
IIS_COOKIE = "IIS7SessionTracking=18302628887781179643"
IIS_STEMS = f"SELECT cs-uri-stem from {IIS_FILE} where cs(Cookie)='{IIS_COOKIE}'"
IIS_COUNT = f"SELECT cs(Cookie),count(*) from {IIS_FILE} GROUP BY cs(Cookie)"


def check_iis(args, file, scratch):
    """The two queries, to the letter, against what this program counts itself."""
    os.rename(file, os.path.join(scratch, IIS_FILE))
    stems, cookies = [], collections.Counter()
    with open(os.path.join(scratch, IIS_FILE), encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#Fields: "):
                names = line.split()[1:]
                stem, cookie = names.index("cs-uri-stem"), names.index("cs(Cookie)")
            elif not line.startswith("#"):
                values = line.split(" ")
                cookies["" if values[cookie] == "-" else values[cookie]] += 1
                if values[cookie] == IIS_COOKIE:
                    stems.append(values[stem])
    for sql, expected in [
        (IIS_STEMS, sorted([stem] for stem in stems)),
        (IIS_COUNT, sorted([cookie, str(count)] for cookie, count in cookies.items())),
    ]:
        begun = time.perf_counter()
        answer = subprocess.run(
            [args.visitlog, "query", sql, "-o", "csv"], cwd=scratch, stdout=subprocess.PIPE, check=True, text=True
        )
        took = time.perf_counter() - begun
        head, *rows = csv.reader(answer.stdout.splitlines())
        if sorted(rows) != expected:
            sys.exit(f"{sql}: {len(expected)} rows expected, {len(rows)} found, or others")
        print(f"{sql}\n  {', '.join(head)}: {len(rows):,} rows, as counted here; {took:.2f} s, first {rows[0]}")


def programs(args, file, scratch, format):
    ours = [args.visitlog, "query"]
    found = {
        "wc -l": ["wc", "-l", file],
        "visitlog query, one column": [*ours, COUNT.format(file=file)],
        "visitlog query, all fields": [*ours, ALL.format(file=file)],
        "visitlog import": "import",
    }
    duckdb = "import duckdb, sys; duckdb.connect().execute(\"SET threads=%d\").execute(sys.argv[1]).fetchall()" % args.cores
    if format == "combined":
        if args.python:
            found["DuckDB, one column"] = [args.python, "-c", duckdb, DUCKDB_COUNT.format(file=file)]
            found["DuckDB, all fields"] = [args.python, "-c", duckdb, DUCKDB_ALL.format(file=file, pattern=PATTERN)]
        missing = [name for name in ["lnav", "goaccess", "webalizer"] if not shutil.which(name)]
        if missing:
            print(f"left out, not installed: {' '.join(missing)} (apt-get install {' '.join(missing)})", file=sys.stderr)
        if shutil.which("lnav") and args.lines <= 1_000_000:
            count = ";SELECT c_ip, count(*) FROM access_log GROUP BY c_ip"
            found["lnav, one column"] = ["lnav", "-n", "-N", "-c", count, "-c", ":write-csv-to /dev/null", file]
        if shutil.which("goaccess"):
            report = os.path.join(scratch, "goaccess.html")
            found["GoAccess, full report"] = ["goaccess", file, "--log-format=COMBINED", "--no-progress", "-o", report]
        if shutil.which("webalizer"):
            folder = os.path.join(scratch, "webalizer")
            os.makedirs(folder, exist_ok=True)
            found["Webalizer, full report"] = ["webalizer", "-Q", "-o", folder, file]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitlog", required=True, help="the program, built for release")
    parser.add_argument("--generate", required=True, help="the generator, built for release")
    parser.add_argument("--python", help="a Python that has duckdb")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--format", choices=["combined", "w3c"], default="combined")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", action="append", help="only programs whose names begin so")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="visitlog-bench-") as scratch:
        file = os.path.join(scratch, "access.log")
        with open(file, "wb") as out:
            subprocess.run([args.generate, args.format, str(args.lines)], stdout=out, check=True)
        size = os.path.getsize(file)
        chosen = programs(args, file, scratch, args.format)
        if args.only:
            chosen = {name: cmd for name, cmd in chosen.items() if name == "wc -l" or name.startswith(tuple(args.only))}
        results = {name: [] for name in chosen}
        for number in range(args.rounds):
            for name, command in chosen.items():
                if command == "import":
                    data = os.path.join(scratch, f"data-{number}")
                    results[name].append(run([args.visitlog, "import", file, "--data", data, "--final"], args.cores))
                    shutil.rmtree(data)
                else:
                    results[name].append(run(command, args.cores))
        median = {name: [statistics.median(part) for part in zip(*runs)] for name, runs in results.items()}
        limit = median["wc -l"][0]
        print(f"{args.format}, {args.lines:,} lines, {size / 1e6:,.0f} MB, medians of {args.rounds}, {args.cores} cores")
        print(f"{'program':<32}{'seconds':>10}{'cpu s':>9}{'lines/s':>14}{'of wc -l':>10}{'MiB':>8}")
        for name, (wall, cpu, memory) in median.items():
            print(f"{name:<32}{wall:>10.2f}{cpu:>9.2f}{args.lines / wall:>14,.0f}{limit / wall:>10.3f}{memory:>8.0f}")
        if args.format == "w3c":
            check_iis(args, file, scratch)


if __name__ == "__main__":
    main()

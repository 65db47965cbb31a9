#!/usr/bin/env python3
"""Every report and list of the dashboard over generated visits, beside DuckDB: `cargo xtask bench reports`.

A seeded generator writes an access log (90 days before 2026-11-01; page views only, 6.6 a visit on average), `visitlog
import` makes the two tables of it, and DuckDB gets the rows of the same files in storage of its own. Then each question is
put to a server over HTTP and to DuckDB in process, in turn: cold (new processes, the page cache dropped where that is
allowed), then warm. What is printed is the first time cold, the median warm, and the ratio of the medians. Both have the
same cores and the same memory.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import duckdb

LAST = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%d.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%d.1 Mobile/15E148 Safari/604.1",
]
REFERRERS = ["https://www.google.com/", "https://www.bing.com/", "https://news.ycombinator.com/item?id=%d",
             "https://blog-%d.example.org/links", "https://duckduckgo.com/"]


def write_log(file, views, days, seed):
    """`views` page views in the order in which they began; a visit's follow one another within minutes."""
    draw = random.Random(seed)
    pages = ["/"] + [f"/articles/{n // 100}/about-something-{n}" for n in range(20_000)]
    visits = views * 10 // 66
    begin = LAST.timestamp() - days * 86_400
    shown = 0
    with open(file, "w", encoding="ascii", buffering=1 << 20) as out:
        for number in range(visits):
            start = begin + (number + draw.random()) * days * 86_400 / visits
            visitor = draw.randrange(visits * 3 // 4)
            address = f"{10 + visitor % 200}.{visitor // 200 % 250}.{visitor // 50_000 % 250}.{visitor % 251}"
            agent = AGENTS[visitor % len(AGENTS)]
            version = 120 + visitor % 17
            agent = agent.replace("%d", str(version))
            referrer = "-" if draw.random() < 0.5 else REFERRERS[draw.randrange(5)].replace("%d", str(draw.randrange(400)))
            campaign = f"?utm_source=mail&utm_campaign=c{draw.randrange(60)}" if draw.random() < 0.1 else ""
            at = start
            length = max(1, int(draw.expovariate(1 / 6.6) + 0.5)) if number + 1 < visits else views - shown
            for _ in range(min(length, views - shown)):
                page = pages[min(int(draw.paretovariate(0.7)) - 1, len(pages) - 1)]
                moment = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(at))
                out.write(f'{address} - - [{moment}] "GET {page}{campaign} HTTP/1.1" 200 {draw.randrange(90_000)} "{referrer}" "{agent}"\n')
                referrer, campaign = f"https://site.example{page}", ""
                at += draw.expovariate(1 / 40)
                shown += 1
            if shown >= views:
                return


def questions(days):
    """Name, the server's path or statement, DuckDB's statement."""
    first = LAST - datetime.timedelta(days=days)
    found = []

    def span(of):
        return (LAST - datetime.timedelta(days=min(of, days))).strftime("%Y-%m-%d"), LAST.strftime("%Y-%m-%d")

    def within(of, column="started_at"):
        begin, end = span(of)
        return f"{column} >= TIMESTAMPTZ '{begin} 00:00:00+00' AND {column} < TIMESTAMPTZ '{end} 00:00:00+00'"

    metrics = (
        "count(DISTINCT visitor_key), count(*), sum(page_views), "
        "count(*) FILTER (page_views <= 1 AND actions = 0 AND ended_at IS NOT NULL) / count(ended_at), avg(duration_ms)"
    )

    def report(name, kind, of, sql, **settings):
        begin, end = span(of)
        asked = urllib.parse.urlencode({"from": begin, "to": end, **settings})
        found.append((f"{name}, {of} days", ("GET", f"/api/v1/reports/{kind}?{asked}"), sql))

    people = "bot IS NULL"
    for of in [days, 30]:
        of_visits = f"FROM visits WHERE {people} AND {within(of)}"
        of_views = f"FROM events WHERE {people} AND kind = 'page_view' AND {within(of, 'time')}"
        report("overview", "overview", of, f"SELECT {metrics} {of_visits}")
        for unit in ["hour", "day", "week"]:
            sql = f"SELECT date_trunc('{unit}', started_at), {metrics} {of_visits} GROUP BY 1 ORDER BY 1"
            report(f"overview by {unit}", "overview", of, sql, by=unit)
        for kind, by in [("sources", "channel"), ("sources", "source"), ("sources", "referrer_domain"), ("sources", "utm_campaign"),
                         ("countries", "country"), ("devices", "browser"), ("devices", "os"), ("devices", "device")]:
            sql = f"SELECT {by}, {metrics} {of_visits} GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1 LIMIT 100"
            report(f"{kind} by {by}", kind, of, sql, by=by)
        pages = (
            f"WITH v AS (SELECT path AS page, count(*) AS n, count(DISTINCT visit_key) AS s, count(DISTINCT visitor_key) AS w {of_views} GROUP BY 1), "
            f"e AS (SELECT entry_path AS page, count(*) AS n {of_visits} GROUP BY 1), "
            f"x AS (SELECT exit_path AS page, count(*) AS n {of_visits} GROUP BY 1) "
            "SELECT page, w, s, v.n, e.n, x.n FROM v FULL JOIN e USING (page) FULL JOIN x USING (page) ORDER BY v.n DESC, page LIMIT 100"
        )
        report("pages", "pages", of, pages)
        seen = f"visit_key IN (SELECT visit_key FROM events WHERE kind = 'page_view' AND path = '/articles/0/about-something-3')"
        report("overview of a page", "overview", of, f"SELECT {metrics} {of_visits} AND {seen}", filter="page=/articles/0/about-something-3")
        report("pages of a country", "pages", of, pages.replace(people, f"{people} AND country = 'US'"), filter="country=US")
        columns = "visit_id, site, started_at, ended_at, duration_ms, page_views, entry_path, exit_path, country, browser, os, source"
        report("visits", "visits", of, f"SELECT {columns} {of_visits} ORDER BY started_at DESC, visit_id DESC LIMIT 100")
        of_requests = f"FROM requests WHERE {within(of, 'hour')}"
        for by in ["status", "path", "hour"]:
            key = "date_part('hour', hour)" if by == "hour" else by
            sql = (f"SELECT {key}, sum(requests) AS n, sum(requests) FILTER (type = 'page_view'), sum(requests) FILTER (status >= 400), "
                   f"sum(bytes), sum(duration_ms) / sum(timed) {of_requests} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100")
            report(f"requests by {by}", "requests", of, sql, by=by)
        report("bots", "bots", of, f"SELECT bot, count(*) FROM visits WHERE bot IS NOT NULL AND {within(of)} GROUP BY 1")
        report("not found", "not_found", of, f"SELECT path, sum(requests) AS n {of_requests} AND status IN (404, 410) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100")
        report("downloads", "downloads", of, f"SELECT path, sum(requests) AS n {of_requests} AND type = 'download' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100")
        report("clients", "clients", of, f"SELECT ip, country, {metrics} {of_visits} GROUP BY 1, 2 ORDER BY 3 DESC, 4 DESC, 1 LIMIT 100")
        quantiles = ", ".join(f"approx_quantile(duration_ms, {share})" for share in [0.5, 0.75, 0.95, 0.99])
        report("speed", "speed", of, f"SELECT path, count(*) AS n, avg(duration_ms), {quantiles}, max(duration_ms) {of_views} AND duration_ms > 0 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 100")
        both = lambda name, sql: found.append((f"{name}, {of} days", ("POST", sql), sql))
        both("hour by weekday", f"SELECT date_part('dow', started_at) AS d, date_part('hour', started_at) AS h, count(*) AS n {of_visits} GROUP BY 1, 2 ORDER BY 1, 2")
        both("funnel of two steps", "SELECT count(*) AS entered, count(b.t) AS done FROM "
             f"(SELECT visit_key, min(time) AS t {of_views} AND path = '/' GROUP BY visit_key) a LEFT JOIN "
             f"(SELECT visit_key, max(time) AS t {of_views} AND path = '/articles/0/about-something-1' GROUP BY visit_key) b "
             "ON a.visit_key = b.visit_key AND b.t > a.t")
        both("next page", "SELECT path, next, count(*) AS n FROM (SELECT path, lead(path) OVER (PARTITION BY visit_key ORDER BY time, seq) AS next "
             f"{of_views}) AS steps WHERE next IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100")
    both = lambda name, sql: found.append((name, ("POST", sql), sql))
    both(f"retention by week, {days} days",
         f"WITH weeks AS (SELECT DISTINCT visitor_key, date_trunc('week', started_at) AS w FROM visits WHERE {people} AND {within(days)}), "
         "born AS (SELECT visitor_key, min(w) AS first FROM weeks GROUP BY visitor_key) "
         "SELECT first, w, count(*) AS n FROM weeks JOIN born ON weeks.visitor_key = born.visitor_key GROUP BY 1, 2 ORDER BY 1, 2")
    assert first < LAST
    return found


def live_files(table):
    """The Parquet files of a Delta table as its log has them (no checkpoint: it is new), without those that it replaced."""
    files = set()
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for line in commit.read_text(encoding="utf-8").splitlines():
            action = json.loads(line)
            if "add" in action:
                files.add(urllib.parse.unquote(action["add"]["path"]))
            if "remove" in action:
                files.discard(urllib.parse.unquote(action["remove"]["path"]))
    return [str(table / file) for file in sorted(files)]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    def __init__(self, args, data, say):
        self.port = free_port()
        command = [args.visitlog, "serve", "--upstream", "http://127.0.0.1:9", "--listen", f"127.0.0.1:{free_port()}",
                   "--admin", f"127.0.0.1:{self.port}", "--data", str(data), "--query-memory", str(args.memory)]
        self.process = subprocess.Popen(["taskset", "-c", args.cpus, *command], stdout=say, stderr=say)
        until = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                if time.monotonic() > until or self.process.poll() is not None:
                    sys.exit(f"the server did not start; see {say.name}")
                time.sleep(0.05)

    def ask(self, question):
        method, what = question
        url = f"http://127.0.0.1:{self.port}"
        if method == "GET":
            request = urllib.request.Request(url + what)
        else:
            request = urllib.request.Request(url + "/api/v1/query", data=what.encode(), headers={"content-type": "application/sql"})
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                rows = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return None, error.read().decode(errors="replace").strip()
        return (time.perf_counter() - begun) * 1000, rows

    def peak(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Duck:
    def __init__(self, args, file):
        self.connection = duckdb.connect(str(file), config={"threads": args.cores, "memory_limit": f"{args.memory}B"})
        self.connection.execute("SET TimeZone = 'UTC'")

    def ask(self, sql):
        begun = time.perf_counter()
        try:
            rows = self.connection.execute(sql).fetchall()
        except duckdb.Error as error:
            return None, str(error)
        return (time.perf_counter() - begun) * 1000, rows

    def stop(self):
        self.connection.close()


def forget():
    """Drops the page cache, where that is allowed."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except OSError as error:
        print(f"the page cache stays as it is: {error}", file=sys.stderr)


def measure(open_it, asked, rounds):
    """For each question the time of its first answer cold and the median of those that follow warm, and what came."""
    found = []
    for question in asked:
        forget()
        asker = open_it()
        cold, rows = asker.ask(question)
        warm = [asker.ask(question)[0] for _ in range(rounds)] if cold is not None else []
        found.append((cold, statistics.median(warm) if warm else None, rows))
        asker.stop()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitlog", required=True, help="the program, built for release")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--memory", type=int, default=512 << 20, help="bytes that statements may take")
    parser.add_argument("--only", action="append", help="only questions whose names begin so")
    parser.add_argument("--folder", help="where the data is kept, and taken from if it is there")
    args = parser.parse_args()
    args.cpus = f"0-{args.cores - 1}"
    scratch = pathlib.Path(args.folder or tempfile.mkdtemp(prefix="visitlog-bench-"))
    scratch.mkdir(exist_ok=True)
    data, duck = scratch / "data", scratch / "visits.duckdb"
    try:
        if not duck.exists():
            log = scratch / "access.log"
            write_log(log, args.events, args.days, args.seed)
            begun = time.perf_counter()
            command = [args.visitlog, "import", str(log), "--site", "site.example", "--data", str(data), "--final"]
            subprocess.run(["taskset", "-c", args.cpus, *command], check=True, stdout=subprocess.DEVNULL)
            print(f"import: {time.perf_counter() - begun:.1f} s")
            log.unlink()
            half = duckdb.connect(str(duck) + ".new")
            for table in ["visits", "events", "requests"]:
                files = live_files(data / "warehouse" / table)
                half.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet({files!r}, hive_partitioning = true)")
            half.close()
            os.rename(str(duck) + ".new", duck)
        counted = Duck(args, duck)
        (visits,), (events,) = (counted.ask(f"SELECT count(*) FROM {table}")[1][0] for table in ["visits", "events"])
        counted.stop()
        stored = sum(os.path.getsize(file) for table in ["visits", "events"] for file in live_files(data / "warehouse" / table))
        print(f"{events:,} events, {visits:,} visits, {args.days} days, seed {args.seed}; {stored / events:.1f} bytes an event, "
              f"DuckDB {os.path.getsize(duck) / events:.1f}; {args.cores} cores, {args.memory >> 20} MiB, medians of {args.rounds}, DuckDB {duckdb.__version__}")
        asked = [one for one in questions(args.days) if not args.only or one[0].startswith(tuple(args.only))]
        peaks = []
        with open(scratch / "server.log", "wb") as say:
            class Watched(Server):
                def stop(self):
                    peaks.append(self.peak())
                    super().stop()
            ours = measure(lambda: Watched(args, data, say), [one[1] for one in asked], args.rounds)
        theirs = measure(lambda: Duck(args, duck), [one[2] for one in asked], args.rounds)
        print(f"{'question':<42}{'rows':>7}{'cold ms':>10}{'warm ms':>10}{'DuckDB cold':>13}{'warm':>9}{'ratio':>8}")
        for (name, *_), (cold, warm, rows), (their_cold, their_warm, their_rows) in zip(asked, ours, theirs):
            if warm is None or their_warm is None:
                print(f"{name:<42} {'DuckDB' if warm is not None else 'visitlog'} fails: {(rows if warm is None else their_rows)[:120]}")
                continue
            differs = "" if len(rows) == len(their_rows) else f"  DuckDB gives {len(their_rows)} rows"
            print(f"{name:<42}{len(rows):>7}{cold:>10.0f}{warm:>10.1f}{their_cold:>13.0f}{their_warm:>9.1f}{warm / their_warm:>8.2f}{differs}")
        print(f"the server's most: {max(peaks)} MiB")
    finally:
        if not args.folder:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()

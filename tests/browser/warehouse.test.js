// SQL over what was clicked: open visits at once, ended ones before and after they are in the tables, with the same rows.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as programs from "./lib/programs.js";
import { Wire, alice, bob, expected, headless } from "./lib/clicks.js";
import * as records from "./lib/records.js";

// Longer than all clicks take, so that the visits are still open when they are over.
const IDLE_SECONDS = 25;
const ENDED_LIMIT_MS = 60_000;
const FLUSHED_LIMIT_MS = 20_000;

const OVERVIEW =
  "SELECT visit_id, user_id, entry_path, exit_path, page_views, actions, errors, end_reason, visit_number, " +
  "ended_at IS NULL AS is_open, browser, os, device, source, channel, country, bot, bot_reason, user_agent " +
  "FROM visits ORDER BY visit_id";
const VISITS = "SELECT * FROM visits ORDER BY visit_id";
const EVENTS = "SELECT * FROM events ORDER BY visit_id, seq";

/** All rows of both tables. */
const everything = async (data) => ({ visits: await records.query(VISITS, data), events: await records.query(EVENTS, data) });

describe("SQL over a shop behind the proxy", () => {
  let data, userAgent;
  const seen = {};

  before(async () => {
    data = await programs.dataFolder();
    const browser = await programs.browser();
    let site = await programs.shopBehindProxy(data, IDLE_SECONDS, ["--flush-after", "1h"]);
    try {
      const wire = new Wire();
      [userAgent] = await Promise.all([
        headless(browser, site.url), alice(browser, site.url, wire), bob(browser, site.url, wire),
      ]);
      seen.open = await records.query(OVERVIEW, data);
      seen.online = await records.query("SELECT path, page_views FROM online ORDER BY path", data);
      await programs.eventually("four ended visits", ENDED_LIMIT_MS, async () => (await records.stored(data)).length >= 4);
      seen.stored = await records.stored(data);
      seen.filesBefore = await records.tableFiles(data, "visits");
      seen.ended = await records.query(OVERVIEW, data);
      seen.unflushed = await everything(data);
      assert.deepEqual(await site.stop(), { code: 0, signal: null });
      seen.folder = await everything(data);

      site = await programs.shopBehindProxy(data, IDLE_SECONDS, ["--flush-after", "100ms"]);
      await programs.eventually("a flush of both tables", FLUSHED_LIMIT_MS, async () => {
        const files = await Promise.all(["visits", "events"].map((table) => records.tableFiles(data, table)));
        const said = await (await programs.askedAdmin(site.admin, data, "/metrics")).text();
        return files.every((names) => names.length > 0) && /sink_backlog_visits\{sink="warehouse"\} 0\n/.test(said);
      });
      seen.flushed = await everything(data);
    } catch (error) {
      error.message += `\nthe site said:\n${site.said()}`;
      throw error;
    } finally {
      await site.stop();
      await browser.close();
    }
    seen.flushedFolder = await everything(data);
  });
  after(() => programs.removeFolder(data));

  const find = (rows) => ({
    alice: rows.find((row) => row.user_id === "alice"),
    aliceAfterLogout: rows.find((row) => row.visit_number === 2),
    bob: rows.find((row) => row.entry_path === "/products/mug"),
    headless: rows.find((row) => row.user_agent === userAgent),
  });

  test("open visits are seen at once, and whose session has ended as ended", () => {
    const visits = find(seen.open);
    assert.equal(seen.open.length, 4, JSON.stringify(seen.open));
    assert.deepEqual([visits.alice.is_open, visits.alice.end_reason], [false, "logged_out"]);
    for (const name of ["aliceAfterLogout", "bob", "headless"]) {
      assert.deepEqual([visits[name].is_open, visits[name].end_reason], [true, null], name);
    }
    const pages = seen.online.map((row) => row.path);
    assert.deepEqual(pages, ["/", "/products", "/products"], "online are those that go on");
  });

  test("they are what was clicked, open and ended", () => {
    for (const rows of [seen.open, seen.ended]) {
      const visits = find(rows);
      for (const [name, visit] of Object.entries(expected)) {
        for (const field of ["user_id", "entry_path", "exit_path", "page_views", "actions", "errors", "visit_number"]) {
          assert.equal(visits[name][field], visit[field], `${name}: ${field}`);
        }
      }
    }
    for (const [name, visit] of Object.entries(expected)) {
      assert.equal(find(seen.ended)[name].end_reason, visit.end_reason, name);
    }
  });

  test("they are enriched", () => {
    for (const rows of [seen.open, seen.ended]) {
      const visits = find(rows);
      for (const name of ["alice", "aliceAfterLogout", "bob"]) {
        const { browser, os, device, source, channel, country, bot, bot_reason } = visits[name];
        assert.deepEqual(
          { browser, os, device, source, channel, country, bot, bot_reason },
          {
            browser: "Chrome", os: "Linux", device: "desktop", source: "direct", channel: "direct", country: null,
            bot: null, bot_reason: null,
          },
          name,
        );
      }
      assert.match(userAgent, /HeadlessChrome/);
      assert.equal(visits.headless.bot, "automation");
      assert.match(visits.headless.bot_reason, /headless/i);
    }
  });

  test("the rows are the same before and after a flush, with a server and without", () => {
    assert.deepEqual(seen.filesBefore, [], "nothing was flushed yet");
    assert.equal(seen.unflushed.visits.length, 4);
    assert.deepEqual(seen.folder, seen.unflushed);
    assert.deepEqual(seen.flushed, seen.unflushed);
    assert.deepEqual(seen.flushedFolder, seen.unflushed);
  });

  test("the events are those of the records", () => {
    const ofFiles = seen.stored.flatMap((visit) =>
      visit.events.map(({ seq, kind, path, name, status }) =>
        ({ visit_id: visit.visit_id, seq, kind, path: path ?? null, name: name ?? null, status: status ?? null })));
    const ofTables = seen.flushed.events.map(({ visit_id, seq, kind, path, name, status }) =>
      ({ visit_id, seq, kind, path, name, status }));
    const order = (a, b) => (a.visit_id < b.visit_id ? -1 : a.visit_id > b.visit_id ? 1 : a.seq - b.seq);
    assert.deepEqual(ofTables, ofFiles.sort(order));
  });
});

// Wikis as Debian packages them, behind the proxy: a person reads, logs in, edits, uploads, searches and leaves; the
// records are what was clicked, and nothing that the wiki answers is another answer than without the proxy.
import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import * as programs from "./lib/programs.js";
import * as records from "./lib/records.js";
import * as wikis from "./lib/wikis.js";

const { pause } = programs;

/** Does `steps` in a browser behind the proxy; gives the visits, each with its events as `kind path?query`. */
async function visited(wiki, port, steps) {
  const data = await programs.dataFolder();
  const proxy = await programs.proxyBefore(wiki.port, data, ["--no-mask"], port);
  const browser = await programs.browser();
  try {
    const context = await browser.newContext();
    const page = await context.newPage();
    await steps({ page, base: `http://127.0.0.1:${port}` });
    await pause(500);
    const rows = await records.query("SELECT visit_id, kind, path, query FROM events ORDER BY time, seq", data);
    const visits = await records.query("SELECT visit_id FROM visits ORDER BY started_at", data);
    const words = ({ kind, path, query }) => `${kind} ${path}${query ? `?${query}` : ""}`;
    return visits.map((visit) => ({ ...visit, events: rows.filter((r) => r.visit_id === visit.visit_id).map(words) }));
  } catch (error) {
    error.message += `\nthe proxy said:\n${proxy.said()}\n${await wiki.said()}`;
    throw error;
  } finally {
    await browser.close();
    await proxy.stop();
    await programs.removeFolder(data);
  }
}

/** One exchange, as it was sent: nothing is followed, kept or taken apart. */
function asked(port, host, path, { cookie, method = "GET", headers = {} } = {}) {
  return new Promise((done, failed) => {
    const all = { Host: host, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", ...headers };
    if (cookie) all.Cookie = cookie;
    const sent = request({ host: "127.0.0.1", port, path, method, headers: all, agent: false }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("error", failed);
      answer.on("end", () => done({ status: answer.statusCode, raw: answer.rawHeaders, body: Buffer.concat(parts) }));
    });
    sent.on("error", failed);
    sent.end();
  });
}

/**
 * The headers that mean something to the client, those of one name in their order (between names it means nothing, RFC 9110,
 * section 5.3): not those of one connection, and not the clock's.
 */
function lasting(raw) {
  const own = ["connection", "keep-alive", "transfer-encoding", "date"];
  const lines = [];
  for (let at = 0; at < raw.length; at += 2) {
    if (!own.includes(raw[at].toLowerCase())) lines.push(`${raw[at].toLowerCase()}: ${raw[at + 1]}`);
  }
  const name = (line) => line.slice(0, line.indexOf(":"));
  return lines.sort((one, other) => (name(one) < name(other) ? -1 : name(one) > name(other) ? 1 : 0));
}

/** What is told in the same way twice; the rest the wiki draws anew each time. */
const steady = (lines, again) => lines.map((line, at) => (line === again[at] ? line : "drawn anew"));

/** Asks for the same with and without the proxy. `site`: the port by which the wiki knows itself, if it does. */
async function assertSameAnswers(wiki, paths, { cookie = "", site } = {}) {
  const data = await programs.dataFolder();
  const proxy = await programs.proxyBefore(wiki.port, data);
  try {
    const host = `127.0.0.1:${site ?? proxy.port}`;
    const first = await asked(proxy.port, host, paths[0], { cookie });
    const ours = first.raw.find((value) => value.startsWith("visitlog="))?.split(";")[0];
    assert.ok(ours, `no cookie of ours with the first page: ${first.raw}`);
    for (const each of paths) {
      const { path, ...how } = typeof each === "string" ? { path: each } : each;
      const direct = () => asked(wiki.port, host, path, { cookie, ...how });
      const one = await direct();
      const through = await asked(proxy.port, host, path, { ...how, cookie: [cookie, ours].filter(Boolean).join("; ") });
      const two = await direct();
      assert.equal(through.status, one.status, path);
      for (const part of [(answer) => lasting(answer.raw), (answer) => answer.body.toString("latin1").split("\n")]) {
        const expected = steady(part(one), part(two));
        assert.ok(expected.length === 0 || expected.some((line) => line !== "drawn anew"), `${path}: nothing to compare`);
        const found = part(through).map((line, at) => (expected[at] === "drawn anew" ? expected[at] : line));
        assert.deepEqual(found, expected, path);
      }
    }
  } finally {
    await proxy.stop();
    await programs.removeFolder(data);
  }
}

test("DokuWiki is read, edited and left behind the proxy", async () => {
  const port = await programs.freePort();
  const wiki = await wikis.dokuWiki(`http://127.0.0.1:${port}`);
  try {
    const visits = await visited(wiki, port, async ({ page, base }) => {
      await page.goto(`${base}/doku.php`);
      await page.click("#dokuwiki__content a:has-text('tea')");
      await page.waitForURL("**/doku.php?id=tea");
      await page.click("li.login a");
      await page.waitForURL("**do=login**");
      await page.fill("input[name=u]", wikis.USER);
      await page.fill("input[name=p]", wikis.PASSWORD);
      await page.click("#dw__login button[type=submit]");
      await page.waitForSelector("li.logout a");
      await page.click("li.edit a");
      await page.waitForSelector("#wiki__text");
      await page.fill("#wiki__text", "====== Tea ======\n\nBetter with milk.\n");
      await page.click("#edbtn__save");
      await page.waitForSelector("text=Better with milk.");
      await page.goto(`${base}/doku.php?id=tea&do=media&tab_files=upload&ns=`);
      const uploader = page.locator("input[type=file]");
      await uploader.setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("notes") });
      await page.click("#mediamanager__upload_button");
      await page.waitForSelector("text=notes.txt");
      await page.goto(`${base}/doku.php?id=start`);
      await page.fill("input[name=q]", "milk");
      await page.press("input[name=q]", "Enter");
      await page.waitForURL("**do=search**");
      await page.click("li.logout a");
      await page.waitForSelector("li.login a");
    });
    assert.deepEqual(visits.map((visit) => visit.events), [[
      "/doku.php", "/doku.php?id=tea", "/doku.php?id=tea&do=login&sectok=", "/doku.php?id=tea", "/doku.php?id=tea&do=edit",
      "/doku.php?id=tea", "/doku.php?id=tea&do=media&tab_files=upload&ns=", "/doku.php?id=start",
      "/doku.php?do=search&id=start&q=milk", "/doku.php?id=start&do=login",
    ].map((page) => `page_view ${page}`)]);
  } finally {
    await wiki.stop();
  }
});

test("DokuWiki answers the same without the proxy", async () => {
  const site = await programs.freePort();
  const wiki = await wikis.dokuWiki(`http://127.0.0.1:${site}`);
  try {
    await assertSameAnswers(wiki, [
      "/doku.php", "/doku.php?id=tea", "/doku.php?id=nothing", "/doku.php?id=tea&do=edit", "/doku.php?do=search&q=drink",
      "/doku.php?id=tea&do=login", "/feed.php", "/lib/exe/css.php?t=dokuwiki", "/lib/exe/js.php?t=dokuwiki",
      "/lib/exe/opensearch.php", "/lib/tpl/dokuwiki/images/favicon.ico", "/lib/images/", "/inc/init.php", "/nowhere",
      { path: "/doku.php?id=tea", method: "HEAD" },
      { path: "/lib/exe/css.php?t=dokuwiki", headers: { "Accept-Encoding": "gzip" } },
      { path: "/lib/tpl/dokuwiki/images/favicon.ico", headers: { Range: "bytes=0-99" } },
      { path: "/lib/tpl/dokuwiki/images/favicon.ico", headers: { "If-Modified-Since": "Fri, 27 Nov 2037 00:00:00 GMT" } },
    ], { cookie: "DokuWiki=abcdefghijklmnopqrstuvwxyz", site });
  } finally {
    await wiki.stop();
  }
});

test("MediaWiki is read, edited and left behind the proxy", async () => {
  const port = await programs.freePort();
  const wiki = await wikis.mediaWiki(`http://127.0.0.1:${port}`);
  try {
    const visits = await visited(wiki, port, async ({ page, base }) => {
      await page.goto(`${base}/index.php`);
      await page.click("#pt-login a, #pt-login-2 a");
      await page.fill("#wpName1", "Alice");
      await page.fill("#wpPassword1", wikis.PASSWORD);
      await page.click("#wpLoginAttempt");
      await page.waitForSelector("#pt-logout");
      await page.goto(`${base}/index.php?title=Tea&action=edit`);
      await page.fill("#wpTextbox1", "A drink with milk.");
      await page.click("#wpSave");
      await page.waitForSelector("text=A drink with milk.");
      await page.goto(`${base}/index.php?title=Special:Upload`);
      await page.setInputFiles("#wpUploadFile", { name: "Notes.txt", mimeType: "text/plain", buffer: Buffer.from("notes") });
      await page.click("input[name=wpUpload]");
      await page.waitForURL("**File:Notes.txt**");
      await page.goto(`${base}/index.php?title=Special:Search&search=milk`);
      await page.click("#pt-logout a");
      await page.waitForSelector("#pt-login, #pt-login-2");
    });
    assert.deepEqual(visits.map((visit) => visit.events), [[
      "Main_Page", "Special:UserLogin&returnto=Main+Page", "Main_Page", "Tea&action=edit", "Tea", "Special:Upload",
      "File:Notes.txt", "Special:Search&search=milk",
      "Special:UserLogout&returnto=Special%3ASearch&returntoquery=search%3Dmilk",
    ].map((title) => `page_view /index.php?title=${title}`)]);
  } finally {
    await wiki.stop();
  }
});

test("MediaWiki answers the same without the proxy", async () => {
  const site = await programs.freePort();
  const wiki = await wikis.mediaWiki(`http://127.0.0.1:${site}`);
  try {
    await assertSameAnswers(wiki, [
      "/index.php?title=Main_Page", "/", "/index.php?title=Nothing", "/index.php?title=Special:RecentChanges",
      "/index.php?title=Special:UserLogin", "/index.php?title=Main_Page&action=history", "/api.php?action=query&format=json",
      "/load.php?modules=startup&only=scripts&raw=1", "/index.php?title=Main_Page&action=raw", "/rest.php/v1/page/Main_Page",
      "/includes/Setup.php", "/nowhere",
      { path: "/index.php?title=Main_Page", method: "HEAD" },
    ], { site });
  } finally {
    await wiki.stop();
  }
});

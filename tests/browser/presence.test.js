// Who is online, as a browser makes it: tabs, reloads, the way back, logouts, crashes, and a server that is killed.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import * as programs from "./lib/programs.js";
import * as records from "./lib/records.js";

const { eventually, pause } = programs;
const SCRIPT = '<script src="/.well-known/visitlog/presence.js" defer></script>';
/** Often, so that nothing has to be waited for long: a page in the foreground counts for 6 s without a beat. */
const OFTEN = ["--presence-beat-every", "2s"];
const GRACE_MS = 15_000;

const site = (request, answer) => {
  const { pathname } = new URL(request.url, "http://site");
  const headers = { "Content-Type": "text/html; charset=utf-8" };
  if (pathname.startsWith("/login/")) headers["Visitlog-User"] = `"${pathname.slice("/login/".length)}"`;
  if (pathname === "/logout") headers["Visitlog-User"] = "?0";
  const status = pathname === "/favicon.ico" ? 404 : 200;
  answer.writeHead(status, headers);
  answer.end(`<!doctype html><title>Page ${pathname}</title>${SCRIPT}<a id=next href="/next">next</a>`);
};

/** What the stream says, gathered. */
class Stream {
  constructor(admin, data) {
    this.events = [];
    this.stopped = new AbortController();
    this.done = this.#follow(admin, data).catch((error) => (this.error = error));
  }

  async #follow(admin, data) {
    const token = (await readFile(join(data, "admin", "token"), "utf8")).trim();
    const answer = await fetch(`${admin}/api/v1/live`, {
      headers: { authorization: `Bearer ${token}` },
      signal: this.stopped.signal,
    });
    let text = "";
    for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
        const lines = text.slice(0, end).split("\n");
        const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        if (field("data")) this.events.push({ event: field("event"), id: field("id"), data: JSON.parse(field("data")) });
      }
    }
  }

  /** Sessions that went, so far. */
  offline = () => this.events.flatMap(({ data }) => data.offline ?? []);

  async stop() {
    this.stopped.abort();
    await this.done;
  }
}

async function withSite(steps, pages = site, more = []) {
  const data = await programs.dataFolder();
  const proxy = await programs.siteBehindProxy(pages, data, [...OFTEN, ...more]);
  const browser = await programs.browser();
  const online = async () => {
    const rows = await records.asked("online", "--data", data);
    return rows.sort((a, b) => (a.user_id ?? "").localeCompare(b.user_id ?? ""));
  };
  const base = `http://localhost:${proxy.port}`;
  try {
    await steps({ base, browser, data, online, proxy });
  } catch (error) {
    error.message += `\nthe proxy said:\n${proxy.said()}`;
    throw error;
  } finally {
    await browser.close();
    await proxy.stop();
    await programs.removeFolder(data);
  }
}

const hide = (page, hidden) =>
  page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);

test("tabs, a reload, the way back, a background and a logout", { timeout: 120_000 }, () =>
  withSite(async ({ base, browser, data, online, proxy }) => {
    const [alice, bob] = [await browser.newContext(), await browser.newContext()];
    const [first, second, other] = [await alice.newPage(), await alice.newPage(), await bob.newPage()];
    await first.goto(`${base}/login/alice`);
    await second.goto(`${base}/cart`);
    await other.goto(`${base}/login/bob`);
    const both = await eventually("two users", 3_000, async () => {
      const rows = await online();
      return rows.length === 2 && rows[0].tabs === 2 && rows[1].tabs === 1 ? rows : undefined;
    });
    assert.deepEqual(
      both.map(({ user_id, state, page, title }) => ({ user_id, state, page, title })),
      [
        { user_id: "alice", state: "online", page: "/cart", title: "Page /cart" },
        { user_id: "bob", state: "online", page: "/login/bob", title: "Page /login/bob" },
      ],
    );
    const sql = "SELECT visit_id, site, user_id, state, page, title, tabs FROM online ORDER BY user_id";
    const told = both.map(({ since, last_seen, ...rest }) => rest);
    assert.deepEqual(await records.query(sql, data), told, "SQL says the same");
    const stream = new Stream(proxy.admin, data);
    await eventually("a snapshot", 3_000, () => stream.events.find(({ event }) => event === "snapshot"));
    assert.equal(stream.events[0].data.online.length, 2);
    const counts = Object.values(stream.events[0].data.counts);
    assert.deepEqual(counts, [{ online: 2, away: 0, by_request: 0, tabs: 3, users: 2 }]);

    await second.reload();
    await second.click("#next");
    await second.waitForURL("**/next");
    await eventually("the next page", 3_000, async () => (await online())[0].page === "/next");
    await second.goBack();
    await eventually("the page before", 3_000, async () => (await online())[0].page === "/cart");
    assert.equal((await online())[0].tabs, 2, "two documents are open, whatever was left");

    await hide(other, true);
    await eventually("bob is away", 3_000, async () => (await online())[1].state === "away");
    await hide(other, false);
    await eventually("bob is back", 3_000, async () => (await online())[1].state === "online");

    await first.close();
    await eventually("one tab", GRACE_MS + 3_000, async () => (await online())[0].tabs === 1);
    assert.deepEqual(stream.offline(), [], "nobody blinked");

    const began = Date.now();
    const leaving = await alice.newPage();
    await leaving.goto(`${base}/logout`);
    await eventually("alice is offline", 1_500, () => stream.offline().includes(both[0].visit_id));
    assert.ok(Date.now() - began < 3_000, "a logout is at once");
    // Her other tab goes on beating, now for a session that nobody is logged in in, or for none.
    await pause(3_000);
    assert.deepEqual((await online()).filter(({ user_id }) => user_id === "alice"), []);

    await bob.close();
    await eventually("bob is offline", GRACE_MS + 3_000, () => stream.offline().includes(both[1].visit_id));
    await stream.stop();
  }));

test("a tab that crashes, and a forgotten tab whose session expires", { timeout: 60_000 }, () =>
  withSite(async ({ base, browser, online }) => {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${base}/`);
    await eventually("somebody", 3_000, async () => (await online())[0]?.tabs === 1);
    await page.goto("chrome://crash").catch(() => {});
    const began = Date.now();
    await eventually("nobody", 10_000, async () => (await online()).length === 0);
    assert.ok(Date.now() - began > 2_000, "a crash says nothing: three beats are waited for");
  }));

test("a server that is killed has no ghosts when it comes back", { timeout: 60_000 }, () =>
  withSite(async ({ base, browser, data, online, proxy }) => {
    const [stays, goes] = [await browser.newContext(), await browser.newContext()];
    const [one, two] = [await stays.newPage(), await goes.newPage()];
    await one.goto(`${base}/login/stays`);
    await two.goto(`${base}/login/goes`);
    await eventually("both", 3_000, async () => (await online()).length === 2);
    await proxy.kill();
    await goes.close();
    const again = await programs.proxyBefore(proxy.upstream, data, OFTEN, proxy.port);
    try {
      const rows = await eventually("who stayed", 6_000, async () => {
        const rows = await online();
        return rows.length > 0 ? rows : undefined;
      });
      assert.deepEqual(rows.map(({ user_id, tabs }) => ({ user_id, tabs })), [{ user_id: "stays", tabs: 1 }]);
      await pause(3_000);
      assert.equal((await online()).length, 1);
    } finally {
      await again.stop();
    }
  }));

const pageOf = (path) =>
  `<!doctype html><html lang=en><head data-x=">"><title>Page ${path}</title></head><body>${"x".repeat(5_000)}</body></html>`;

/** A site that knows nothing of the script: with a nonce, with a policy that lets nothing run, in pieces. */
const untouched = (request, answer) => {
  const { pathname } = new URL(request.url, "http://site");
  const policy = { "/nonce": "default-src 'self'; script-src 'nonce-abc'", "/strict": "default-src 'none'" }[pathname];
  const page = pageOf(pathname);
  answer.writeHead(pathname === "/favicon.ico" ? 404 : 200, {
    "Content-Type": "text/html",
    ...(policy ? { "Content-Security-Policy": policy } : {}),
    ...(pathname === "/pieces" ? {} : { "Content-Length": Buffer.byteLength(page), ETag: '"1"' }),
  });
  if (pathname !== "/pieces") return answer.end(page);
  [...page.slice(0, 80)].forEach((letter) => answer.write(letter));
  setTimeout(() => answer.end(page.slice(80)), 200);
};

test("the proxy puts the script into pages that don't name it", { timeout: 60_000 }, () =>
  withSite(
    async ({ base, browser, online, proxy }) => {
      const page = await (await browser.newContext()).newPage();
      const errors = [];
      page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
      for (const path of ["/", "/nonce", "/pieces"]) {
        const answer = await page.goto(base + path);
        await eventually(`${path} is there`, 5_000, async () => {
          const [row] = await online();
          return row?.tabs === 1 && row.page === path && row.title === `Page ${path}`;
        });
        const body = await answer.text();
        const tag = body.match(/<script [^>]*><\/script>/)?.[0];
        assert.ok(body.includes(`<head data-x=">">${tag}<title>`), body.slice(0, 200));
        assert.equal(body.replace(tag, ""), pageOf(path), "nothing else has changed");
        if (path !== "/pieces") {
          assert.equal(answer.headers()["content-length"], String(body.length));
          assert.equal(answer.headers().etag, 'W/"1"');
        }
      }
      const strict = await page.goto(`${base}/strict`);
      assert.ok(!(await strict.text()).includes("<script"), "a policy that forbids it is heeded");
      assert.deepEqual(errors.filter((text) => !text.includes("favicon") && !text.includes("404")), []);
      assert.match(proxy.said(), /content_security_policy/);
    },
    untouched,
    ["--presence-script", "inject"],
  ));

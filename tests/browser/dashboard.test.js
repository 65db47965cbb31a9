// The dashboard: signing in, roles, every page, numbers against `visitlog report` and `visitlog query`, and what
// strangers write shown as text.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRequire } from "node:module";
import { account, PASSWORD, signedIn, told, watched } from "./lib/dashboard.js";
import * as programs from "./lib/programs.js";
import * as records from "./lib/records.js";

const CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/** Longer than the tests take: visits end when they are told to. */
const IDLE = ["--idle-timeout", "1h", "--flush-after", "100ms"];
const SEEN_MS = 30_000;

/** What strangers write where they can. */
const HOSTILE = [
  "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "javascript:alert(1)", "<svg/onload=alert(1)>",
  "{{constructor.constructor('alert(1)')()}}", "{@html '<img src=x onerror=alert(1)>'}", "</title><iframe srcdoc='<script>alert(1)</script>'>",
  "=cmd|' /C calc'!A0", "'; DROP TABLE visits; --", "\u202Egnp.exe",
];
const escaped = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`);

/** Says what its query asks it to say: an action, a login, a title, the end. */
function site(asked, answer) {
  const query = new URL(asked.url, "http://site").searchParams;
  const quoted = (text) => `"${text.replace(/[\\"]/g, "\\$&").replace(/[^\x20-\x7e]/g, "?")}"`;
  answer.setHeader("content-type", "text/html; charset=utf-8");
  if (query.has("title")) answer.setHeader("visitlog-page", `?1;title=${quoted(query.get("title"))}`);
  if (query.has("do")) answer.setHeader("visitlog-action", `${quoted(query.get("do"))};type="test"`);
  if (query.has("user")) answer.setHeader("visitlog-user", quoted(query.get("user")));
  if (query.has("set")) answer.setHeader("visitlog-set", `evil=${quoted(query.get("set"))}`);
  if (query.has("end")) answer.setHeader("visitlog-end", "?1");
  answer.statusCode = { "/missing": 404, "/broken": 500 }[new URL(asked.url, "http://site").pathname] ?? 200;
  answer.end("<!doctype html><title>A page</title><p>Hello.");
}

/** Somebody with a browser: keeps cookies, sends what browsers send. */
class Visitor {
  constructor(url, agent = CHROME, more = {}) {
    this.url = new URL(url);
    this.headers = {
      host: "shop.example", "user-agent": agent, accept: "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": "de-DE,de;q=0.9",
      "accept-encoding": "gzip", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none", ...more,
    };
    this.cookies = new Map();
  }

  async open(...paths) {
    for (const path of paths) await this.#get(path);
    return this;
  }

  #get(path) {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const headers = { ...this.headers, ...(cookie ? { cookie } : {}) };
    return new Promise((done, failed) => {
      const asked = request({ host: this.url.hostname, port: this.url.port, path, headers }, (answer) => {
        for (const set of answer.headers["set-cookie"] ?? []) {
          const [name, ...value] = set.split(";")[0].split("=");
          this.cookies.set(name, value.join("="));
        }
        answer.resume().on("end", done);
      });
      asked.on("error", failed).end();
    });
  }
}

async function start(data, more = []) {
  const running = await programs.siteBehindProxy(site, data, [...IDLE, ...more]);
  return { ...running, url: `http://127.0.0.1:${running.port}` };
}

/** The numbers that cards show, without signs of thousands. */
const shown = async (page) => Object.fromEntries(await page.locator("[data-metric]").evaluateAll((all) => all.map((one) => [one.dataset.metric, one.textContent.replaceAll(",", "")])));
/** How the page writes a row of the overview. */
const written = (row) => ({
  visitors: String(row.visitors), visits: String(row.visits), page_views: String(row.page_views), actions: String(row.actions), errors: String(row.errors),
  views_per_visit: row.views_per_visit === null ? "–" : String(row.views_per_visit),
  bounce_rate: row.bounce_rate === null ? "–" : `${Number((row.bounce_rate * 100).toFixed(1))}%`,
});
/** Waits until the page's cards are what a report says. */
async function sameAsReport(page, data, args) {
  let found, wanted;
  await programs.eventually("the cards are the report's", SEEN_MS, async () => {
    [wanted] = await records.asked("report", "overview", ...args, "--data", data);
    found = await shown(page);
    return Object.entries(written(wanted)).every(([name, value]) => found[name] === value);
  }).catch((error) => {
    error.message += `\n${JSON.stringify(found)} shown\n${JSON.stringify(written(wanted))} expected`;
    throw error;
  });
  return wanted;
}
/** Waits until the page shows what it asked for. */
async function settled(page) {
  const isSettled = () => document.querySelector("nav") && document.querySelector("main h1, main h2") && document.querySelector("main .card") && !document.querySelector("main [aria-busy=true]");
  await page.waitForFunction(isSettled, null, { timeout: 4 * SEEN_MS });
}

/** The rows of a list: names and numbers. */
const listed = (page, card) => page.locator("section.card", { has: page.locator("h2", { hasText: new RegExp(`^${card}$`) }) })
  .locator("[role=tabpanel] li").evaluateAll((rows) => rows.map((row) => [row.querySelector(".name").textContent.trim().replace(/\s+/g, " "), row.querySelector(".num").textContent.replaceAll(",", "")]));

describe("the first account", () => {
  let data, running, browser;
  before(async () => {
    data = await programs.dataFolder();
    [browser, running] = [await programs.browser(), await start(data)];
  });
  after(async () => {
    await browser.close();
    await running.stop();
    await programs.removeFolder(data);
  });

  test("is made by the link, which leads to the dashboard; who signs out signs in again", async () => {
    const { admin } = running;
    const link = /http:\S+\/setup\?key=\S+/.exec(running.said())[0];
    const context = await browser.newContext({ locale: "en-GB" });
    const { page, wrong } = await watched(context, admin);
    await page.goto(`${admin}/visits`);
    await page.getByText("There is no account yet").waitFor();
    await page.goto(link);
    await page.fill("input[name=name]", "ann");
    await page.fill("input[name=password]", PASSWORD);
    await page.click("button");
    await page.waitForURL(`${admin}/`);
    await page.getByText("No visits in this time").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.fill("input[name=name]", "ann");
    await page.fill("input[name=password]", "not the password at all");
    await page.click("form button");
    await page.getByText("There is no account of this name and password.").waitFor();
    await page.fill("input[name=password]", PASSWORD);
    await page.click("form button");
    await page.locator("nav").first().waitFor();
    // Another browser is nobody, wherever it goes.
    const stranger = await watched(await browser.newContext({ locale: "de-DE" }), admin);
    await stranger.page.goto(`${admin}/people`);
    await stranger.page.getByRole("button", { name: "Anmelden" }).waitFor();
    assert.deepEqual([...wrong, ...stranger.wrong], []);
    await context.close();
  });
});

describe("the dashboard", () => {
  let data, running, browser, ann;
  const now = () => new Date().toISOString();

  before(async () => {
    data = await programs.dataFolder();
    await account(data, "ann", "admin");
    await account(data, "ana", "analyst");
    await account(data, "vic", "viewer");
    [browser, running] = [await programs.browser(), await start(data)];
    const { url } = running;
    await new Visitor(url).open("/", "/products?title=All%20teas", "/products/assam?title=Assam%2C%20first%20flush&do=Added%20to%20cart", "/login?user=alice", "/account?do=Profile%20picture%20deleted", "/missing", "/broken");
    await new Visitor(url, FIREFOX, { "accept-language": "fr" }).open("/", "/products");
    await new Visitor(url, FIREFOX, { referer: "https://www.google.com/" }).open("/guides?utm_campaign=autumn&utm_source=letter&utm_medium=email", "/guides/2?end");
    await new Visitor(url).open("/products", "/?end");
    await new Visitor(url, "curl/8.0").open("/");
    await programs.eventually("five visits", SEEN_MS, async () => (await records.query("SELECT 1 FROM visits", data)).length === 5);
    ann = await signedIn(browser, running.admin, "ann");
  });
  after(async () => {
    await browser?.close();
    await running?.stop();
    await programs.removeFolder(data);
  });

  test("numbers, lists and filters are the reports'", async () => {
    const { page } = ann;
    const zone = ["--tz", "Europe/Berlin", "--from", "29d"];
    const all = await sameAsReport(page, data, zone);
    assert.deepEqual([all.visits, all.page_views, all.actions, all.errors], [4, 11, 2, 1]);
    await page.locator("[data-left-out]", { hasText: "Without 1 visit of bots." }).waitFor();

    const pages = await records.asked("report", "pages", ...zone, "--data", data);
    const views = (rows) => rows.map((row) => [row.title === null ? row.page : `${row.title} ${row.page}`, String(row.page_views)]);
    await programs.eventually("the pages", SEEN_MS, async () => JSON.stringify(await listed(page, "Pages")) === JSON.stringify(views(pages).slice(0, 7)));

    // A click on a row is a filter, a second one another; both stand in the address, and a reload changes nothing.
    await page.getByRole("tab", { name: "Languages" }).click();
    await page.getByRole("button", { name: /^Only Language: French/ }).click();
    await sameAsReport(page, data, [...zone, "--filter", "language=fr"]);
    await page.getByRole("button", { name: /^Only Page: .*\/products/ }).first().click();
    const both = [...zone, "--filter", "language=fr", "--filter", "page=/products"];
    await sameAsReport(page, data, both);
    assert.deepEqual(new URL(page.url()).searchParams.getAll("filter"), ["language=fr", "page=/products"]);
    await page.reload();
    await sameAsReport(page, data, both);
    await page.getByRole("button", { name: /Take the filter “Page/ }).click();
    await sameAsReport(page, data, [...zone, "--filter", "language=fr"]);
    await page.goBack();
    await sameAsReport(page, data, both);

    // By hand: is not.
    await page.goto(`${running.admin}/`);
    await page.locator("[data-metric]").first().waitFor();
    await page.keyboard.press("f");
    await page.getByLabel("What").selectOption("language");
    await page.getByLabel("How").selectOption("!=");
    await page.getByLabel("Value").fill("fr");
    await page.getByRole("button", { name: "Apply" }).click();
    await sameAsReport(page, data, [...zone, "--filter", "language!=fr"]);

    await page.goto(`${running.admin}/`);
    await page.getByRole("link", { name: "Count them" }).click();
    const bots = await sameAsReport(page, data, [...zone, "--bots"]);
    assert.equal(bots.visits, 5);
  });

  // metabase/metabase#3423, plausible/analytics#5899, strapi/strapi#27440.
  test("a filter is what was typed, whatever is in it, also after a reload", async () => {
    const { page } = ann;
    for (const value of ["100%", "a&b=c+#1", "a%26b", "ê ü \"x~y!=z\""]) {
      await page.goto(`${running.admin}/`);
      await page.locator("[data-metric]").first().waitFor();
      await page.keyboard.press("f");
      await page.getByLabel("What").selectOption("user");
      await page.getByLabel("Value").fill(value);
      await page.getByRole("button", { name: "Apply" }).click();
      for (const turn of ["typed", "reloaded"]) {
        await page.getByRole("button", { name: `Take the filter “User is ${value}” away`, exact: true }).waitFor();
        assert.deepEqual(new URL(page.url()).searchParams.getAll("filter"), [`user=${value}`], turn);
        await page.getByText("No visit of this time meets the filters.").waitFor();
        await page.reload();
      }
    }
  });

  // Osmantic/ODS#1542, sidekiq/sidekiq#424: what nobody looks at asks for nothing, and goes on when somebody does.
  test("a hidden page asks for nothing", async () => {
    const { page, context } = await signedIn(browser, running.admin, "vic");
    await page.locator("[data-metric]").first().waitFor();
    await settled(page);
    const see = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await see(true);
    // What had been asked for is answered.
    await programs.pause(2000);
    let asked = 0;
    page.on("request", () => asked++);
    await programs.pause(7000);
    assert.equal(asked, 0);
    await see(false);
    await programs.eventually("it asks again", SEEN_MS, async () => asked > 0);
    await context.close();
  });

  test("what happens now is seen without a reload", async () => {
    const { page } = await signedIn(browser, running.admin, "vic");
    const before = await sameAsReport(page, data, ["--tz", "Europe/Berlin", "--from", "29d"]);
    await new Visitor(running.url).open("/", "/now");
    await programs.eventually("one more visit", 4 * SEEN_MS, async () => (await shown(page)).visits === String(before.visits + 1));
    await sameAsReport(page, data, ["--tz", "Europe/Berlin", "--from", "29d"]);
    await page.context().close();
  });

  test("a visit is told in order, and the visitor's next one is a click away", async () => {
    const { page } = ann;
    await page.goto(`${running.admin}/visits`);
    await page.getByLabel("Search").fill("alice");
    await page.keyboard.press("Enter");
    await page.getByRole("row").filter({ hasText: "alice" }).getByRole("link").first().click();
    const story = page.locator(".story .what b");
    await story.nth(6).waitFor();
    const [{ visit_id: id }] = await records.query("SELECT visit_id FROM visits WHERE user_id = 'alice'", data);
    const { events } = await records.asked("visit", id, "--data", data);
    const headline = (event) => (event.kind === "login" ? `Logged in as ${event.user_id}` : event.name ?? event.title ?? event.path);
    assert.deepEqual(await story.allTextContents(), events.map(headline));
    assert.ok(["All teas", "Added to cart", "Logged in as alice", "/missing"].every((name) => events.map(headline).includes(name)));
    await page.getByText("It goes on.").waitFor();
    assert.equal(await page.locator("h1").textContent().then((text) => text.includes("alice")), true);
  });

  test("roles hide, and the server refuses", async () => {
    const links = async (page) => (await page.locator("nav a").allTextContents());
    const vic = await signedIn(browser, running.admin, "vic");
    assert.deepEqual(await links(vic.page), ["Overview", "Online", "Visits", "Health", "Sites"]);
    await vic.page.goto(`${running.admin}/sql`);
    await vic.page.getByText("You may not see this").waitFor();
    await vic.page.goto(`${running.admin}/online`);
    await vic.page.getByRole("row").nth(1).waitFor();
    assert.equal(await vic.page.getByRole("button", { name: "End", exact: true }).count(), 0);
    const refused = await vic.page.evaluate(async () => (await fetch("/api/v1/users")).status);
    assert.equal(refused, 403);
    const ana = await signedIn(browser, running.admin, "ana");
    assert.ok((await links(ana.page)).includes("SQL") && !(await links(ana.page)).includes("People"));
    await Promise.all([vic.context.close(), ana.context.close()]);
    assert.deepEqual([...vic.wrong, ...ana.wrong], []);
  });

  test("SQL: rows, errors, files", async () => {
    const { page, context, wrong } = await signedIn(browser, running.admin, "ana");
    const sql = "SELECT kind, count(*) AS n FROM events GROUP BY kind ORDER BY kind";
    await page.goto(`${running.admin}/sql?q=${encodeURIComponent(sql)}`);
    await page.getByRole("button", { name: /^Run/ }).click();
    const cells = page.locator(".result tbody td");
    await cells.first().waitFor();
    const rows = await records.query(sql, data);
    assert.deepEqual(await cells.allTextContents(), rows.flatMap((row) => [row.kind, String(row.n)]));
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
    const csv = await readFile(await download.path(), "utf8");
    assert.equal(csv.split("\n")[0], "kind,n");
    await page.goto(`${running.admin}/sql?q=${encodeURIComponent("SELECT sites FROM visits")}`);
    await page.getByRole("button", { name: /^Run/ }).click();
    await page.getByText("perhaps site").waitFor();
    await context.close();
    assert.deepEqual(wrong, []);
  });

  test("accounts and tokens are made and removed", async () => {
    const { page } = ann;
    await page.goto(`${running.admin}/people`);
    await page.getByRole("button", { name: "Add somebody" }).click();
    await page.getByLabel("Name").fill("bob");
    await page.getByLabel("Password").fill("short");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.locator("dialog").getByRole("button", { name: "Add somebody" }).click();
    await page.getByRole("row").filter({ hasText: "bob" }).waitFor();
    await page.getByLabel("Role: bob").selectOption("analyst");
    await programs.eventually("bob's role", SEEN_MS, async () => (await told(["user", "list", "--data", data])).split("\n").some((line) => /bob.*analyst/.test(line)));
    await page.getByRole("row").filter({ hasText: "bob" }).getByRole("button", { name: "Remove" }).click();
    await page.locator("dialog").getByRole("button", { name: "Remove" }).click();
    await programs.eventually("bob is gone", SEEN_MS, async () => (await page.getByRole("row").filter({ hasText: "bob" }).count()) === 0);

    await page.goto(`${running.admin}/tokens`);
    await page.getByRole("button", { name: "Make a token" }).click();
    await page.getByLabel("Name").fill("reader");
    await page.locator("dialog").getByRole("button", { name: "Make a token" }).click();
    const token = await page.locator("[data-token]").textContent();
    const answer = await fetch(`${running.admin}/api/v1/sites`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    await page.goto(`${running.admin}/audit`);
    await page.getByText("POST /api/v1/tokens").first().waitFor();
  });

  const PAGES = ["/", "/online", "/visits", "/sql", "/health", "/sites", "/people", "/tokens", "/settings", "/audit", "/account"];

  test("every page can be loaded, is good for screen readers, and fits a phone", async () => {
    const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    const [{ visit_id: visit }] = await records.query("SELECT visit_id FROM visits WHERE user_id = 'alice'", data);
    for (const options of [{ colorScheme: "light" }, { colorScheme: "dark", viewport: { width: 390, height: 800 } }]) {
      const { page, context, wrong } = await signedIn(browser, running.admin, "ann", options);
      for (const path of [...PAGES, `/visits/${visit}`]) {
        await page.goto(running.admin + path);
        await settled(page);
        assert.equal(await page.getByRole("alert").count(), 0, `${path}: ${await page.getByRole("alert").allTextContents()}`);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${path} is ${wider} wider than the screen`);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
        const told = serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
        assert.deepEqual(told, [], `${path}, ${options.colorScheme}`);
      }
      await context.close();
      assert.deepEqual(wrong, []);
    }
  });

  test("what strangers write is shown as text, on every page", async () => {
    for (const text of HOSTILE) {
      const it = escaped(text);
      const visitor = new Visitor(running.url, text.replace(/[^\x20-\x7e]/g, "?"), { referer: `https://evil.example/${it}` });
      await visitor.open(`/${it}?q=${it}&title=${it}&set=${it}&utm_source=${it}&utm_campaign=${it}`, `/second?do=${it}&user=${it}`, `/missing?${it}`);
    }
    const { page, context, wrong } = await signedIn(browser, running.admin, "ann");
    const visits = await records.query(`SELECT visit_id, user_id FROM visits WHERE started_at > '2000-01-01' AND entry_query LIKE 'q=%'`, data);
    assert.ok(visits.length >= 8, JSON.stringify(visits));
    await new Promise((done) => setTimeout(done, 300));
    const tabs = async () => {
      for (const tab of await page.getByRole("tab").all()) await tab.click();
    };
    for (const path of ["/?bots=true", "/online?bots=true", "/visits?bots=true", "/health", "/sites", "/audit", ...visits.map(({ visit_id: id }) => `/visits/${id}`)]) {
      await page.goto(running.admin + path);
      await settled(page);
      await tabs();
      await settled(page);
      const made = await page.evaluate(() => document.querySelectorAll("main img, main iframe, main script, main svg").length);
      assert.equal(made, 0, `${path}: markup was made of text`);
    }
    await page.goto(`${running.admin}/visits?bots=true`);
    await page.getByText("<script>alert(1)</script>").first().waitFor();
    for (const text of HOSTILE) {
      await page.goto(`${running.admin}/visits?bots=true&site=${escaped(text)}&tz=UTC&filter=${escaped(`user=${text}`)}`);
      await page.locator("h1").first().waitFor();
    }
    await page.goto(`${running.admin}/sql?q=${encodeURIComponent("SELECT user_agent, referrer, user_id, session_values, entry_query FROM visits")}`);
    await page.getByRole("button", { name: /^Run/ }).click();
    await page.locator(".result td").first().waitFor();
    await context.close();
    assert.deepEqual(wrong, []);
  });

  test("a session is ended, a user is erased", async () => {
    const { page, wrong } = ann;
    await new Visitor(running.url).open("/", "/login?user=carol", "/x");
    await page.goto(`${running.admin}/online`);
    const row = page.getByRole("row").filter({ hasText: "carol" });
    await row.getByRole("button", { name: /^End/ }).click();
    const carol = "SELECT visit_id, end_reason FROM visits WHERE user_id = 'carol'";
    let id;
    await programs.eventually("carol's visit has ended", SEEN_MS, async () => {
      const [visit] = await records.query(carol, data);
      id = visit.visit_id;
      return visit.end_reason === "terminated";
    });
    await page.goto(`${running.admin}/visits/${id}`);
    await page.getByText("ended by an admin").first().waitFor();
    await page.getByRole("button", { name: "Erase all of carol" }).click();
    const erase = page.locator("dialog").getByRole("button", { name: "Erase" });
    assert.equal(await erase.isDisabled(), true);
    await page.locator("dialog input").fill("carol");
    await erase.click();
    await page.waitForURL(`${running.admin}/visits`);
    assert.deepEqual(await records.query(carol, data), []);
    assert.deepEqual(wrong, [], now());
  });
});

describe("days of a time zone", () => {
  let data, running, browser;

  /** Requests of a log on the days around the one on which Berlin sets its clocks back. */
  const log = () => {
    const lines = [];
    for (let hour = 0; hour < 96; hour++) {
      const time = new Date(Date.UTC(2026, 9, 23, hour)).toISOString();
      const stamp = `${time.slice(8, 10)}/Oct/2026:${time.slice(11, 19)} +0000`;
      for (let visitor = 0; visitor <= hour % 5; visitor++) {
        lines.push(`192.0.2.${(hour * 5 + visitor) % 250} - - [${stamp}] "GET /p${visitor} HTTP/1.1" 200 100 "-" "${FIREFOX}"\n`);
      }
    }
    return lines.join("");
  };

  before(async () => {
    data = await programs.dataFolder();
    await writeFile(join(data, "access.log"), log());
    await told(["import", join(data, "access.log"), "--site", "shop.example", "--data", data]);
    await account(data, "ann", "admin");
    [browser, running] = [await programs.browser(), await start(data)];
  });
  after(async () => {
    await browser?.close();
    await running?.stop();
    await programs.removeFolder(data);
  });

  test("the day of 25 hours is one day, and each hour is one", async () => {
    const { page, wrong } = await signedIn(browser, running.admin, "ann");
    for (const [by, from, to] of [["day", "2026-10-24", "2026-10-26"], ["hour", "2026-10-25", "2026-10-25"]]) {
      await page.goto(`${running.admin}/?from=${from}&to=${to}&by=${by}&tz=Europe/Berlin&compare=no`);
      await page.getByText("As a table").click();
      const cells = page.locator("figure tbody td.num");
      await cells.first().waitFor();
      const rows = await records.asked("report", "overview", "--by", by, "--from", from, "--to", to, "--tz", "Europe/Berlin", "--data", data);
      assert.equal(rows.length, by === "day" ? 3 : 25);
      await programs.eventually(`the ${by}s`, SEEN_MS, async () => JSON.stringify(await cells.allTextContents()) === JSON.stringify(rows.map((row) => String(row.visitors))));
      await sameAsReport(page, data, ["--from", from, "--to", to, "--tz", "Europe/Berlin"]);
    }
    assert.deepEqual(wrong, []);
  });
});

// The same clicks through the proxy and through the tower layer: the records say what was clicked, and are the same.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import * as programs from "./lib/programs.js";
import { Wire, alice, bob, expected } from "./lib/clicks.js";
import * as records from "./lib/records.js";

// Long enough for the slowest step of a click, short enough to wait for.
const IDLE_SECONDS = 6;
const ENDED_LIMIT_MS = 30_000;

/** Starts a site, clicks through it with two visitors at once, and gives the visits that it recorded. */
async function clickThrough(start) {
  const data = await programs.dataFolder();
  const wire = new Wire();
  const browser = await programs.browser();
  const site = await start(data, IDLE_SECONDS);
  try {
    await Promise.all([alice(browser, site.url, wire), bob(browser, site.url, wire)]);
    const visits = await programs.eventually("three ended visits", ENDED_LIMIT_MS, async () => {
      const stored = await records.stored(data);
      return stored.length >= 3 ? stored : undefined;
    });
    return { data, site, wire, visits: records.byVisitor(visits) };
  } catch (error) {
    error.message += `\nthe site said:\n${site.said()}`;
    await site.stop();
    throw error;
  } finally {
    await browser.close();
  }
}

const assertExpected = (visits) => {
  const found = records.normalised(visits);
  // Whether the one page after the logout was followed by an asset from the network is the browser cache's choice.
  delete found.aliceAfterLogout.confirmed;
  assert.deepEqual(found, expected);
  assert.deepEqual(Object.values(visits).flatMap(records.faults), []);
};

describe("a shop behind the proxy", () => {
  let run;
  before(async () => (run = await clickThrough(programs.shopBehindProxy)));
  after(async () => {
    if (run) await programs.removeFolder(run.data);
  });

  test("the records are what was clicked", () => assertExpected(run.visits));

  test("the proxy is named as the way in", () => {
    for (const visit of Object.values(run.visits)) assert.equal(visit.via, "proxy");
  });

  test("no header of ours reaches the browser", async () => {
    const responses = await run.wire.settled();
    const ours = responses.flatMap(({ url, headers }) =>
      headers.filter(({ name }) => /^visitlog[-_]/i.test(name)).map(({ name }) => `${name} at ${url}`));
    assert.deepEqual(ours, []);
    assert.ok(responses.some(({ url }) => url === "websocket"), "the WebSocket's handshake was not seen");
    for (const path of ["/login", "/logout", "/account/picture/delete", "/cart"]) {
      assert.ok(responses.some(({ url, headers }) => url.endsWith(path) && headers.length > 0), `${path} was not seen`);
    }
  });

  test("the command line shows the same visits from the running server", async () => {
    const listed = await records.asked("visits", "--data", run.data);
    assert.deepEqual(listed.map((v) => v.visit_id).sort(), Object.values(run.visits).map((v) => v.visit_id).sort());
    for (const visit of Object.values(run.visits)) {
      const [one] = [await records.asked("visit", visit.visit_id, "--data", run.data)].flat();
      // The tables have the language alone, the files what the browser sent.
      assert.deepEqual(one, { ...visit, language: visit.language.split("-")[0] });
    }
    const text = await records.shown(run.visits.alice.visit_id, run.data);
    for (const words of ["alice", "Profile picture deleted", "deletion", "/products/teapot", "logged_out"]) {
      assert.ok(text.includes(words), `${words} is missing in:\n${text}`);
    }
  });

  test("the metrics count the starts and the ends", async () => {
    const text = await (await programs.askedAdmin(run.site.admin, run.data, "/metrics")).text();
    assert.match(text, /logged_out[^\n]* 1\n/);
    assert.match(text, /expired[^\n]* 2\n/);
  });

  test("it ends cleanly, and the folder still knows the visits", async () => {
    assert.deepEqual(await run.site.stop(), { code: 0, signal: null });
    const listed = await records.asked("visits", "--data", run.data);
    assert.equal(listed.length, 3);
    assert.equal((await records.stored(run.data)).length, 3);
  });
});

describe("the shop with the tower layer", () => {
  let proxied, layered;
  before(async () => {
    proxied = await clickThrough(programs.shopBehindProxy);
    await proxied.site.stop();
    layered = await clickThrough(programs.shopWithLayer);
    await layered.site.stop();
  });
  after(async () => {
    for (const run of [proxied, layered]) if (run) await programs.removeFolder(run.data);
  });

  test("the records are what was clicked", () => assertExpected(layered.visits));

  test("the same clicks make the same visits as behind the proxy", () => {
    const [a, b] = [records.comparable(layered.visits), records.comparable(proxied.visits)];
    for (const visits of [a, b]) delete visits.aliceAfterLogout.confirmed;
    assert.deepEqual(a, b);
  });

  test("the layer is named as the way in", () => {
    for (const visit of Object.values(layered.visits)) assert.equal(visit.via, "tower");
  });
});

// What a browser does that is a page view, and whose: small sites behind the proxy, clicked through by Chromium.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as programs from "./lib/programs.js";
import * as records from "./lib/records.js";

const { pause } = programs;
const RESOLVED = "--host-resolver-rules=" + ["intranet", "shop", "idp", "pay"].map((n) => `MAP ${n}.test 127.0.0.1`).join(",");

const html = (answer, body, headers = {}) => {
  answer.writeHead(200, { "Content-Type": "text/html; charset=utf-8", ...headers });
  answer.end(`<!doctype html><html><head><title>t</title><link rel=icon href="data:,"></head><body>${body}</body></html>`);
};
const LINKS = "<a id=a href=/a>a</a> <a id=b href=/b>b</a> <a id=c href=/c>c</a>";

/** Clicks through a site behind the proxy; gives its visits, each with its events as `kind path`. */
async function clicked(site, steps, host = "localhost") {
  const data = await programs.dataFolder();
  const proxy = await programs.siteBehindProxy(site, data);
  const browser = await programs.browser([RESOLVED]);
  try {
    const context = await browser.newContext({ locale: "de-DE", serviceWorkers: "allow" });
    const page = await context.newPage();
    const base = `http://${host}:${proxy.port}`;
    await steps({ page, context, base, port: proxy.port });
    await pause(300);
    const visits = await records.query("SELECT visit_id, user_id FROM visits ORDER BY started_at", data);
    const events = await records.query("SELECT visit_id, kind, name, user_id, path FROM events ORDER BY time, seq", data);
    const words = (event) => [event.kind, event.name ?? event.user_id, event.path].filter(Boolean).join(" ");
    return visits.map((visit) => ({
      ...visit,
      events: events.filter((event) => event.visit_id === visit.visit_id).map(words),
    }));
  } catch (error) {
    error.message += `\nthe proxy said:\n${proxy.said()}`;
    throw error;
  } finally {
    await browser.close();
    await proxy.stop();
    await programs.removeFolder(data);
  }
}

async function follow(page, ...links) {
  for (const link of links) {
    await page.click(`#${link}`);
    await page.waitForURL(`**/${link}`);
    await pause(700);
  }
}

const pages = (...paths) => paths.map((path) => `page_view ${path}`);

const assertOneVisit = (visits, events) => assert.deepEqual(visits.map((visit) => visit.events), [events]);

const WORKERS = {
  "passes navigations on": "self.addEventListener('fetch', (e) => e.respondWith(fetch(e.request)))",
  "preloads navigations": `
    self.addEventListener('activate', (e) => e.waitUntil(self.registration.navigationPreload.enable()));
    self.addEventListener('fetch', (e) => {
      if (e.request.mode === 'navigate') e.respondWith((async () => (await e.preloadResponse) || fetch(e.request))());
    })`,
};
for (const [name, script] of Object.entries(WORKERS)) {
  test(`a service worker that ${name}`, async () => {
    const worker = `self.addEventListener('install', () => self.skipWaiting());
      self.addEventListener('activate', (e) => e.waitUntil(clients.claim())); ${script}`;
    const site = (request, answer) => {
      if (request.url !== "/sw.js") return html(answer, `${LINKS}<script>navigator.serviceWorker.register('/sw.js')</script>`);
      answer.writeHead(200, { "Content-Type": "text/javascript" });
      answer.end(worker);
    };
    const visits = await clicked(site, async ({ page, base }) => {
      await page.goto(`${base}/`);
      await page.evaluate(() => navigator.serviceWorker.ready.then(() => new Promise((done) => {
        if (navigator.serviceWorker.controller) done();
        else navigator.serviceWorker.oncontrollerchange = done;
      })));
      await follow(page, "a", "b", "c");
    });
    assertOneVisit(visits, pages("/", "/a", "/b", "/c"));
  });
}

const SPECULATIONS = {
  "prefetched when a click begins": { prefetch: [{ source: "document", eagerness: "conservative" }] },
  "prefetched at once": { prefetch: [{ urls: ["/a", "/b"], eagerness: "immediate" }] },
  "prerendered at once": { prerender: [{ urls: ["/a"], eagerness: "immediate" }] },
};
for (const [name, rules] of Object.entries(SPECULATIONS)) {
  test(`pages that are ${name} count when they are shown`, async () => {
    const site = (request, answer) => {
      if (request.url === "/x.css") {
        answer.writeHead(200, { "Content-Type": "text/css" });
        return answer.end("a { color: red }");
      }
      const head = `<link rel=stylesheet href=/x.css><script type=speculationrules>${JSON.stringify(rules)}</script>`;
      html(answer, LINKS + head, { "Cache-Control": "max-age=60" });
    };
    const visits = await clicked(site, async ({ page, base }) => {
      await page.goto(`${base}/`);
      await pause(1_500);
      await follow(page, "a", "b", "c");
    });
    // The last page is told by nothing that comes after it, unless it was asked for when it was shown.
    const [visit, ...others] = visits;
    assert.deepEqual(others, []);
    assert.deepEqual(visit.events.slice(0, 3), pages("/", "/a", "/b"));
    assert.ok(visit.events.length <= 4 && visit.events.every((event, at) => event === pages("/", "/a", "/b", "/c")[at]), visit.events);
  });
}

test("a page that a link element prefetches counts when it is shown", async () => {
  const site = (request, answer) => html(answer, `${LINKS}<link rel=prefetch href=/a>`, { "Cache-Control": "max-age=60" });
  const visits = await clicked(site, async ({ page, base }) => {
    await page.goto(`${base}/`);
    await pause(1_200);
    await follow(page, "a", "b");
  });
  assertOneVisit(visits, pages("/", "/a", "/b"));
});

for (const host of ["localhost", "intranet.test"]) {
  test(`pages that a script puts in place count where the app says so, at ${host}`, async () => {
    const script = `<script>document.addEventListener('click', async (e) => {
      if (e.target.tagName !== 'A') return;
      e.preventDefault();
      await (await fetch(e.target.href, { headers: { Accept: 'text/html', 'X-Turbo-Request-Id': 'x' } })).text();
      history.pushState({}, '', e.target.href);
    })</script>`;
    const site = (request, answer) => {
      const said = request.headers["x-turbo-request-id"] ? { "Visitlog-Page": "?1" } : {};
      html(answer, LINKS + script, said);
    };
    const visits = await clicked(site, async ({ page, base }) => {
      await page.goto(`${base}/`);
      await follow(page, "a", "b", "c");
    }, host);
    assertOneVisit(visits, pages("/", "/a", "/b", "/c"));
  });
}

test("parts that scripts ask for over plain HTTP are no pages", async () => {
  const script = `<script>
    for (let i = 0; i < 3; i++) fetch('/part' + i, { headers: { 'HX-Request': 'true', 'HX-Current-URL': location.href } });
    fetch('/poll');
    const x = new XMLHttpRequest(); x.open('GET', '/xhr'); x.setRequestHeader('X-Requested-With', 'XMLHttpRequest'); x.send();
  </script>`;
  const site = (request, answer) => html(answer, request.url === "/" ? script : "part");
  const visits = await clicked(site, async ({ page, base }) => {
    await page.goto(`${base}/`);
    await pause(700);
  }, "intranet.test");
  assertOneVisit(visits, pages("/"));
});

test("downloads are no pages, HTML as an attachment neither", async () => {
  const site = (request, answer) => {
    const file = { "/f.zip": "application/zip", "/r": "text/html" }[request.url];
    if (!file) return html(answer, "<a id=z href=/f.zip>z</a><a id=r href=/r>r</a>");
    answer.writeHead(200, { "Content-Type": file, "Content-Disposition": "attachment; filename=f" });
    answer.end("PK");
  };
  const visits = await clicked(site, async ({ page, base }) => {
    await page.goto(`${base}/`);
    for (const link of ["#z", "#r"]) {
      const download = page.waitForEvent("download");
      await page.click(link);
      await download;
    }
  });
  assertOneVisit(visits, pages("/"));
});

const RETURNS = {
  idp: { says: { "Visitlog-User": '"alice"' }, event: "login alice" },
  pay: { says: { "Visitlog-Action": '"Order paid";type=order' }, event: "action Order paid" },
};
for (const [name, { says, event }] of Object.entries(RETURNS)) {
  test(`who comes back from ${name}.test by a form is the visitor who went there`, async () => {
    const site = (request, answer) => {
      const [host, port] = request.headers.host.split(":");
      if (host !== "shop.test") {
        const action = `http://shop.test:${port}/back`;
        return html(answer, `<form id=f method=post action="${action}"><input name=x value=y></form><button id=go onclick="f.submit()">go</button>`);
      }
      if (request.url !== "/back") return html(answer, LINKS);
      request.resume();
      answer.writeHead(303, { Location: "/a", ...says });
      answer.end();
    };
    const visits = await clicked(site, async ({ page, base, port }) => {
      await page.goto(`${base}/`);
      await follow(page, "b");
      await page.goto(`http://${name}.test:${port}/`);
      await page.click("#go");
      await page.waitForURL("**/a");
      await follow(page, "c");
    }, "shop.test");
    const [ours, ...others] = visits.filter((visit) => visit.events.includes("page_view /b"));
    assert.deepEqual(others, []);
    assert.deepEqual(ours.events, ["page_view /", "page_view /b", event, "page_view /a", "page_view /c"]);
    assert.equal(ours.user_id, name === "idp" ? "alice" : null);
    assert.equal(visits.length, 2, "the other site's own page is the other visit");
  });
}

test("an app that says public of its pages has one visit of one person", async () => {
  const site = (request, answer) => html(answer, LINKS, { "Cache-Control": "public, max-age=0" });
  const visits = await clicked(site, async ({ page, base }) => {
    await page.goto(`${base}/`);
    await follow(page, "a", "b", "c", "a", "b");
  });
  assertOneVisit(visits, pages("/", "/a", "/b", "/c", "/a", "/b"));
});

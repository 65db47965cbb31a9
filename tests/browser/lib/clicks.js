// What two visitors click, and what came back over the wire.
import assert from "node:assert/strict";

/** Notes every header that reaches the browser, those of WebSocket handshakes too. */
export class Wire {
  constructor() {
    this.responses = [];
    this.pending = [];
  }

  async watch(context, page) {
    context.on("response", (response) => {
      const note = async () => this.responses.push({ url: response.url(), headers: await response.headersArray() });
      // A page that is left takes its last responses with it.
      this.pending.push(note().catch(() => this.responses.push({ url: response.url(), headers: [] })));
    });
    const devtools = await context.newCDPSession(page);
    await devtools.send("Network.enable");
    devtools.on("Network.webSocketHandshakeResponseReceived", ({ response }) => {
      const headers = Object.entries(response.headers).map(([name, value]) => ({ name, value }));
      this.responses.push({ url: "websocket", headers });
    });
  }

  async settled() {
    await Promise.all(this.pending);
    return this.responses;
  }
}

const nav = (page, text) => page.locator("nav a", { hasText: text }).click();

/** What the browser calls itself when it has a window; without one it says so, and is then a bot. */
const withWindow = (browser) =>
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " +
  `Chrome/${browser.version().split(".")[0]}.0.0.0 Safari/537.36`;

async function open(browser, wire) {
  const context = await browser.newContext({ acceptDownloads: true, locale: "en-GB", userAgent: withWindow(browser) });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await wire.watch(context, page);
  return { context, page };
}

/** Looks about, buys, logs in, deletes her picture, downloads, watches the stock, gets lost, logs out. */
export async function alice(browser, url, wire) {
  const { context, page } = await open(browser, wire);
  await page.goto(`${url}/`);
  await nav(page, "Products");
  await page.locator(".card", { hasText: "Clay teapot" }).click();
  await page.click("#add");
  await page.waitForURL("**/cart");
  await nav(page, "Log in");
  await page.fill("input[name=name]", "alice");
  await page.click("#login");
  await page.waitForURL("**/account");
  await page.click("#delete-picture");
  await page.locator(".no-picture").waitFor();

  const [download] = await Promise.all([page.waitForEvent("download"), page.click("footer a")]);
  assert.equal(download.suggestedFilename(), "catalogue.pdf");
  assert.equal(await download.failure(), null);

  await nav(page, "Live stock");
  await page.click("#socket");
  await page.locator("#said", { hasText: "the socket says: hello" }).waitFor();
  await page.click("#prices");
  // The first event of each product is 2 % below its listed price.
  await page.locator("tr[data-slug=assam] .now", { hasText: "6.28" }).waitFor();
  await page.click("#refresh");
  await page.locator("#said", { hasText: "asked once" }).waitFor();

  const lost = await page.goto(`${url}/products/nothing?from=a+friend`);
  assert.equal(lost.status(), 404);
  const broken = await page.goto(`${url}/broken`);
  assert.equal(broken.status(), 500);
  await page.click("#logout");
  await page.locator("nav a", { hasText: "Log in" }).waitFor();
  const cookies = await context.cookies();
  assert.ok(cookies.some((c) => c.httpOnly && c.name.toLowerCase().includes("visitlog")), "no cookie of ours, or not HttpOnly");
  assert.doesNotMatch(await page.evaluate("document.cookie"), /visitlog/i);
  await context.close();
}

/** Puts a mug into the cart and closes the window. */
export async function bob(browser, url, wire) {
  const { context, page } = await open(browser, wire);
  await page.goto(`${url}/products/mug`);
  await page.click("#add");
  await page.waitForURL("**/cart");
  await page.goto(`${url}/products`);
  await context.close();
}

/** One page, by a Chromium that says that it has no window. */
export async function headless(browser, url) {
  const context = await browser.newContext({ locale: "en-GB" });
  const page = await context.newPage();
  await page.goto(`${url}/products`);
  const userAgent = await page.evaluate("navigator.userAgent");
  await context.close();
  return userAgent;
}

const view = (path, more = {}) => ({ kind: "page_view", path, method: "GET", status: 200, ...more });

/** The visits that these clicks are, as `normalised` (records.js) gives them; in the order of their starts per visitor. */
export const expected = {
  alice: {
    user_id: "alice", end_reason: "logged_out", identity: "cookie", confirmed: true, visit_number: 1, is_new_visitor: true,
    continues: null, page_views: 8, actions: 2, errors: 1, entry_path: "/", exit_path: "/stock",
    values: { cart: "teapot", plan: "pro", seats: 3 },
    events: [
      view("/"),
      view("/products"),
      view("/products/teapot"),
      { kind: "action", name: "Added to cart", type: "cart", properties: { product: "teapot", cents: 3800 } },
      view("/cart"),
      view("/login"),
      { kind: "login", user_id: "alice" },
      view("/account"),
      { kind: "action", name: "Profile picture deleted", type: "deletion", properties: { size: 990 } },
      view("/account"),
      view("/stock"),
      { kind: "page_error", path: "/products/nothing", query: "from=a+friend", method: "GET", status: 404 },
      { kind: "page_error", path: "/broken", method: "GET", status: 500 },
      { kind: "logout", user_id: "alice" },
    ],
  },
  aliceAfterLogout: {
    user_id: null, end_reason: "expired", identity: "cookie", visit_number: 2, is_new_visitor: false,
    continues: "alice", page_views: 1, actions: 0, errors: 0, entry_path: "/", exit_path: "/", values: {},
    events: [view("/")],
  },
  bob: {
    user_id: null, end_reason: "expired", identity: "cookie", confirmed: true, visit_number: 1, is_new_visitor: true,
    continues: null, page_views: 3, actions: 1, errors: 0, entry_path: "/products/mug", exit_path: "/products",
    values: { cart: "mug" },
    events: [
      view("/products/mug"),
      { kind: "action", name: "Added to cart", type: "cart", properties: { product: "mug", cents: 1400 } },
      view("/cart"),
      view("/products"),
    ],
  },
};

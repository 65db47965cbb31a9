// Starts and stops the programs under test: the shop, the proxy in front of it, the browser.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

const binaries = process.env.VISITLOG_BIN_DIR ?? resolve(import.meta.dirname, "../../../target/debug");

/** Where a program of this workspace was built. */
export const binary = (name) => join(binaries, name);

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 20_000;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Calls `ask` until it gives something; fails with `what` after `limit` milliseconds. */
export async function eventually(what, limit, ask) {
  const until = Date.now() + limit;
  let last;
  while (Date.now() < until) {
    try {
      const found = await ask();
      if (found) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await pause(100);
  }
  throw new Error(`${what}: not within ${limit} ms`, { cause: last });
}

/**
 * A port that nobody listens on. It is below those that systems give to connections (from 32768 on): between the question
 * and its use the browser opens many, and one of them would take it.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const server = createServer();
    const free = await new Promise((done, failed) => {
      server.once("error", (error) => (error.code === "EADDRINUSE" ? done(false) : failed(error)));
      server.listen(port, "127.0.0.1", () => done(true));
    });
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** A program that was started; `said` is what it wrote, for the message of a failure. */
class Program {
  constructor(name, args) {
    this.name = name;
    this.said = "";
    this.child = spawn(binary(name), args, { stdio: ["ignore", "pipe", "pipe"] });
    this.exit = new Promise((done) => this.child.once("exit", (code, signal) => done({ code, signal })));
    this.child.once("error", (error) => (this.said += `${error}\n`));
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.said += text));
    }
  }

  async answering(url) {
    try {
      await eventually(`${this.name} at ${url}`, START_LIMIT_MS, async () => {
        if (this.child.exitCode !== null) throw new Error("it has ended");
        return (await fetch(url)).ok;
      });
    } catch (error) {
      // What still runs would keep the tests from ending.
      this.child.kill("SIGKILL");
      throw new Error(`${error.message}; it said:\n${this.said}`, { cause: error });
    }
    return this;
  }

  /** Asks it to end; it must do so by itself and without complaint. */
  async stop() {
    this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGKILL"), STOP_LIMIT_MS);
    const exit = await this.exit;
    clearTimeout(late);
    return exit;
  }
}

export const dataFolder = () => mkdtemp(join(tmpdir(), "visitlog-data-"));
/** Asks the admin address, as the command line does. */
export async function askedAdmin(admin, data, path) {
  const token = (await readFile(join(data, "admin", "token"), "utf8")).trim();
  return fetch(admin + path, { headers: { authorization: `Bearer ${token}` } });
}

export const removeFolder = (folder) => rm(folder, { recursive: true, force: true });

/** The shop that knows nothing of Visitlog, and the proxy in front of it; `more` are arguments of `visitlog serve`. */
export async function shopBehindProxy(data, idle, more = []) {
  const shopPort = await freePort();
  const shop = new Program("visitlog-shop", [`127.0.0.1:${shopPort}`]);
  await shop.answering(`http://127.0.0.1:${shopPort}/healthz`);
  const proxy = await proxyWith(shopPort, () => shop.stop(), data, ["--idle-timeout", `${idle}s`, ...more]);
  return { ...proxy, url: `http://127.0.0.1:${proxy.port}` };
}

/** The proxy in front of what listens on `upstream`; `more` are arguments of `visitlog serve`. */
export async function proxyBefore(upstream, data, more = [], port = undefined) {
  const [own, adminPort] = [port ?? (await freePort()), await freePort()];
  const proxy = new Program("visitlog", [
    "serve", "--upstream", `http://127.0.0.1:${upstream}`, "--listen", `127.0.0.1:${own}`,
    "--admin", `127.0.0.1:${adminPort}`, "--data", data, ...more,
  ]);
  await proxy.answering(`http://127.0.0.1:${adminPort}/healthz`);
  const kill = async () => {
    proxy.child.kill("SIGKILL");
    await proxy.exit;
  };
  const admin = `http://127.0.0.1:${adminPort}`;
  return { port: own, admin, stop: () => proxy.stop(), kill, said: () => proxy.said };
}

/** The proxy in front of what it stands in front of alone: `end` ends that with it, also where it does not start. */
async function proxyWith(upstream, end, data, more) {
  const proxy = await proxyBefore(upstream, data, more).catch(async (error) => {
    await end();
    throw error;
  });
  const stop = async () => {
    const exit = await proxy.stop();
    await end();
    return exit;
  };
  return { ...proxy, upstream, stop };
}

/** A site that is a function of Node's, and the proxy in front of it; `more` are arguments of `visitlog serve`. */
export async function siteBehindProxy(site, data, more = []) {
  const upstream = createHttpServer(site).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const close = () => {
    upstream.close();
    upstream.closeAllConnections();
  };
  return proxyWith(upstream.address().port, close, data, more);
}

/** The shop with the tower layer in it. */
export async function shopWithLayer(data, idle) {
  const port = await freePort();
  const shop = new Program("visitlog-shop", [`127.0.0.1:${port}`, "--data", data, "--idle-timeout", String(idle)]);
  await shop.answering(`http://127.0.0.1:${port}/healthz`);
  return { url: `http://127.0.0.1:${port}`, stop: () => shop.stop(), said: () => shop.said };
}

/** Debian's Chromium, kept from calling home. */
export const browser = (more = []) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", ...more,
    ],
  });

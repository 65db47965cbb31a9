// Signs in at the admin address, and notes whatever must not happen on its pages.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { binary } from "./programs.js";

export const PASSWORD = "a horse, a battery and a staple";

/** Runs `visitlog ARGS` with a text as its standard input. */
export async function told(args, input = "") {
  const child = spawn(binary("visitlog"), args, { stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  child.stdin.end(input);
  const [code] = await once(child, "exit");
  assert.equal(code, 0, `visitlog ${args.join(" ")}: ${said}`);
  return said;
}

export const account = (data, name, role) => told(["user", "add", name, "--role", role, "--data", data], `${PASSWORD}\n`);

/** Notes errors, refusals of the content security policy, dialogs and questions to other addresses. */
export async function watched(context, admin) {
  const wrong = [];
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // That a request is answered by an error is what some tests are about.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) wrong.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(admin) && !request.url().startsWith("blob:")) wrong.push(`elsewhere: ${request.url()}`);
  });
  return { page, wrong };
}

export async function signedIn(browser, admin, name, options = {}) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Berlin", viewport: { width: 1280, height: 900 }, ...options });
  const { page, wrong } = await watched(context, admin);
  await page.goto(`${admin}/`);
  await page.fill("input[name=name]", name);
  await page.fill("input[name=password]", PASSWORD);
  await page.click("form button");
  await page.locator("nav").first().waitFor();
  return { context, page, wrong };
}

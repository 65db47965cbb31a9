// Which pages there are, what each needs, and where its code is.
import type { Component } from "svelte";
import type { Scope } from "./session.svelte";
import type { Key } from "./text.svelte";

// Most pages take nothing, and one an id: all of them are given it.
type Loads = () => Promise<{ default: Component<any> }>;

export interface Page {
  path: string;
  title: Key;
  needs: Scope;
  load: Loads;
  /** Of one thing: what the path ends with. */
  id: string;
}

const page = (path: string, title: Key, needs: Scope, load: Loads): Page => ({ path, title, needs, load, id: "" });

export const PAGES: Page[] = [
  page("/", "page.overview", "read", () => import("../pages/Overview.svelte")),
  page("/online", "page.online", "read", () => import("../pages/Online.svelte")),
  page("/visits", "page.visits", "read", () => import("../pages/Visits.svelte")),
  page("/sql", "page.sql", "query", () => import("../pages/Sql.svelte")),
  page("/health", "page.health", "read", () => import("../pages/Health.svelte")),
  page("/sites", "page.sites", "read", () => import("../pages/Sites.svelte")),
  page("/people", "page.people", "admin", () => import("../pages/People.svelte")),
  page("/tokens", "page.tokens", "admin", () => import("../pages/Tokens.svelte")),
  page("/settings", "page.settings", "admin", () => import("../pages/Settings.svelte")),
  page("/audit", "page.audit", "admin", () => import("../pages/Audit.svelte")),
  page("/account", "page.account", "read", () => import("../pages/Account.svelte")),
];

const VISIT = page("/visits/", "page.visit", "read", () => import("../pages/Visit.svelte"));

export function pageOf(path: string): Page | undefined {
  if (path.startsWith(VISIT.path) && path.length > VISIT.path.length) {
    return { ...VISIT, path, id: decodeURIComponent(path.slice(VISIT.path.length)) };
  }
  return PAGES.find((page) => page.path === path);
}

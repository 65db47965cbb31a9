// The lists of the overview: of which report each is, what its rows are called, and what a click on one filters by.
import * as format from "./format";
import { text, type Key } from "./text.svelte";

export type Row = Record<string, string | number | null>;

export interface List {
  /** The tab's word. */
  title: Key;
  report: string;
  by?: string;
  /** The column of what the row is. */
  column: string;
  /** The column of its number. */
  value: string;
  /** The filter that a click sets; none where there is no such filter. */
  filter?: string;
  /** A column of words beside it. */
  beside?: string;
  /** What the number is of the whole of, for a share of it. */
  of?: "visitors" | "visits" | "page_views";
  /** It counts requests, which know few filters. */
  isOfRequests?: boolean;
  /** Milliseconds. */
  isTime?: boolean;
  /** Paths, which are read from left to right in any language. */
  isPath?: boolean;
}

export interface Card {
  title: Key;
  lists: List[];
}

const of = (report: string, by: string, title: Key): List => ({ title, report, by, column: by, value: "visitors", filter: by, of: "visitors" });

export const CARDS: Card[] = [
  {
    title: "list.pages",
    lists: [
      { title: "list.viewed", report: "pages", column: "page", value: "page_views", filter: "page", beside: "title", of: "page_views", isPath: true },
      { title: "list.entry", report: "pages", by: "entry", column: "page", value: "visits", filter: "entry", of: "visits", isPath: true },
      { title: "list.exit", report: "pages", by: "exit", column: "page", value: "visits", filter: "exit", of: "visits", isPath: true },
      { title: "list.slow", report: "speed", column: "page", value: "p95_ms", filter: "page", isTime: true, isPath: true },
    ],
  },
  {
    title: "list.sources",
    lists: [
      of("sources", "channel", "list.channels"),
      of("sources", "source", "list.source"),
      of("sources", "referrer_domain", "list.referrers"),
      of("sources", "utm_campaign", "list.campaigns"),
    ],
  },
  {
    title: "list.what",
    lists: [
      { title: "list.actions", report: "actions", column: "action", value: "count", filter: "action", beside: "type" },
      { title: "list.status", report: "requests", by: "status", column: "status", value: "requests", isOfRequests: true },
      { title: "list.not_found", report: "not_found", column: "path", value: "requests", isOfRequests: true, isPath: true },
      { title: "list.bots", report: "bots", column: "bot", value: "requests", isOfRequests: true },
    ],
  },
  {
    title: "list.visitors",
    lists: [
      of("countries", "country", "list.countries"),
      { ...of("countries", "city", "list.cities"), beside: "country" },
      of("countries", "language", "list.languages"),
      of("devices", "browser", "list.browsers"),
      of("devices", "os", "list.systems"),
      of("devices", "device", "list.devices"),
    ],
  },
];

/** A value of something that visits differ in, as people say it. */
export function named(by: string, value: string | number | null): string {
  if (value === null || value === "") return text.of("unknown");
  const name = String(value);
  switch (by) {
    case "country":
      return format.country(name);
    case "language":
      return format.language(name);
    case "channel":
    case "device":
    case "end_reason":
    case "identity":
    case "via":
    case "bot":
      return text.named(by === "end_reason" ? "end" : by, name);
    case "page":
    case "path":
    case "entry":
    case "exit":
      return format.path(name);
    case "confirmed":
    case "new_visitor":
      return text.of(name === "true" ? "yes" : "no");
    default:
      return name;
  }
}

// Spans of time and filters, as the address and the reports write them.

export const RANGES = ["24h", "today", "yesterday", "7d", "30d", "90d", "month", "12mo", "own"] as const;
export type RangeName = (typeof RANGES)[number];
export const UNITS = ["hour", "day", "week", "month"] as const;
export type Unit = (typeof UNITS)[number];

export const OPS = ["=", "!=", "~", "!~"] as const;
export type Op = (typeof OPS)[number];
export interface Filter {
  by: string;
  op: Op;
  value: string;
}

/** From a day, or a moment, to another; `to` of days is the last one. */
export interface Span {
  from: string;
  to: string;
}

const DAY_MS = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
/** A calendar day some days later. */
export const addDays = (day: string, days: number): string => iso(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS);
export const daysBetween = (from: string, to: string): number =>
  Math.round((Date.parse(`${to.slice(0, 10)}T00:00:00Z`) - Date.parse(`${from.slice(0, 10)}T00:00:00Z`)) / DAY_MS);

/** The clock in a zone: `2026-11-27T16:40:05`. */
export const civil = (ms: number, zone: string): string => new Date(ms).toLocaleString("sv", { timeZone: zone }).replace(" ", "T");

export function parseFilter(text: string): Filter | null {
  const found = /^(\w+)(!=|!~|=|~)(.*)$/s.exec(text);
  return found ? { by: found[1] as string, op: found[2] as Op, value: found[3] as string } : null;
}

export const writeFilter = ({ by, op, value }: Filter): string => `${by}${op}${value}`;

/** The span of a range by its name. */
export function spanOf(name: RangeName, now: number, zone: string, own: Span | null): Span {
  const today = civil(now, zone).slice(0, 10);
  switch (name) {
    case "24h":
      return { from: civil(now - DAY_MS, zone).slice(0, 13) + ":00", to: today };
    case "today":
      return { from: today, to: today };
    case "yesterday":
      return { from: addDays(today, -1), to: addDays(today, -1) };
    case "7d":
      return { from: addDays(today, -6), to: today };
    case "90d":
      return { from: addDays(today, -89), to: today };
    case "month":
      return { from: `${today.slice(0, 7)}-01`, to: today };
    case "12mo":
      return { from: firstOfMonth(today, -11), to: today };
    case "30d":
      return { from: addDays(today, -29), to: today };
    case "own":
      return own ?? { from: addDays(today, -29), to: today };
  }
}

function firstOfMonth(day: string, months: number): string {
  return iso(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)) - 1 + months, 1));
}

/**
 * The span of the same length that ends where `span` begins. Where `span` goes on today, what it is compared with ends at
 * the same time of day: half a day is not less than a whole one.
 */
export function before(span: Span, now: number, zone: string): Span {
  const clock = civil(now, zone);
  if (span.from.length > 10) {
    const [begin, end] = [Date.parse(`${span.from}:00Z`), Date.parse(`${clock}Z`)];
    return { from: new Date(begin - (end - begin)).toISOString().slice(0, 19), to: span.from };
  }
  const days = daysBetween(span.from, span.to) + 1;
  const [from, to] = [addDays(span.from, -days), addDays(span.to, -days)];
  return span.to === clock.slice(0, 10) ? { from, to: `${to}${clock.slice(10)}` } : { from, to };
}

/** The unit that a span is drawn by, unless another is chosen. */
export function unitOf({ from, to }: Span): Unit {
  const days = daysBetween(from, to) + 1;
  return days <= 2 ? "hour" : days <= 92 ? "day" : days <= 200 ? "week" : "month";
}

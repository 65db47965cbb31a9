// Numbers, times and names as the reader's locale writes them. All of them read `text.locale`, so that they change with it.
import { t, text } from "./text.svelte";

const made = new Map<string, unknown>();
function once<T>(key: string, make: () => T): T {
  const found = made.get(key);
  if (found !== undefined) return found as T;
  const fresh = make();
  made.set(key, fresh);
  return fresh;
}

const numbers = (options: Intl.NumberFormatOptions): Intl.NumberFormat =>
  once(`n${text.locale}${JSON.stringify(options)}`, () => new Intl.NumberFormat(text.locale, options));
const dates = (options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat =>
  once(`d${text.locale}${JSON.stringify(options)}`, () => new Intl.DateTimeFormat(text.locale, options));

const NONE = "–";

export const count = (value: number): string => numbers({ maximumFractionDigits: 2 }).format(value);
/** Never longer than seven places. */
export const short = (value: number): string =>
  Math.abs(value) < 10_000_000 ? count(value) : numbers({ notation: "compact", maximumFractionDigits: 2 }).format(value);
export const share = (value: number | null, digits = 0): string =>
  value === null ? NONE : numbers({ style: "percent", maximumFractionDigits: digits }).format(value);
export const decimal = (value: number | null): string => (value === null ? NONE : numbers({ maximumFractionDigits: 2 }).format(value));

/** Seconds in the two largest units that matter: `4 min 12 s`. The signs are those of the SI, in any language. */
export function duration(seconds: number | null): string {
  if (seconds === null) return NONE;
  if (seconds < 60) return `${numbers({ maximumFractionDigits: seconds < 10 ? 1 : 0 }).format(seconds)} s`;
  const whole = Math.round(seconds);
  const parts: [number, string][] = [[Math.floor(whole / 86_400), t("time.day")], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  const first = parts.findIndex(([value]) => value > 0);
  return parts.slice(first, first + 2).filter(([value]) => value > 0).map(([value, sign]) => `${count(value)} ${sign}`).join(" ");
}

export function milliseconds(value: number | null): string {
  if (value === null) return NONE;
  if (value >= 10_000) return duration(value / 1000);
  return `${numbers({ maximumSignificantDigits: value < 1000 ? 3 : 4 }).format(value)} ms`;
}

export function bytes(value: number | null): string {
  if (value === null) return NONE;
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
  const at = Math.min(Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)), units.length - 1);
  return numbers({ style: "unit", unit: units[at] as string, unitDisplay: "short", maximumSignificantDigits: 3 }).format(value / 1000 ** at);
}

/** The reader's own zone, unless a report has another. */
export const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

export const moment = (iso: string, zone: string): string =>
  dates({ dateStyle: "medium", timeStyle: "medium", timeZone: zone }).format(new Date(iso));
export const clock = (iso: string, zone: string): string =>
  dates({ hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, timeZone: zone }).format(new Date(iso));
const hourMinute = (at: Date, zone: string): string => dates({ hour: "2-digit", minute: "2-digit", timeZone: zone }).format(at);
const dayIn = (at: Date, zone: string): string => at.toLocaleDateString("sv", { timeZone: zone });

/** Near moments by the clock, others by the day. */
export function when(iso: string, zone: string, now: number = Date.now()): string {
  const at = new Date(iso);
  const [day, today, yesterday] = [at, new Date(now), new Date(now - 86_400_000)].map((one) => dayIn(one, zone));
  if (day === today) return hourMinute(at, zone);
  if (day === yesterday) return t("time.yesterday", { time: hourMinute(at, zone) });
  return dates({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: zone, ...(day?.slice(0, 4) === today?.slice(0, 4) ? {} : { year: "numeric" }) }).format(at);
}

/** How long ago. */
export function ago(iso: string, now: number): string {
  return duration(Math.max(0, Math.round((now - Date.parse(iso)) / 1000)));
}

/** A span of a report's time, by its label: `2026-11-21`, `2026-11-21T10:00+01:00`, `2026-11`. */
export function span(label: string, unit: string, isLong = false): string {
  if (unit === "hour") {
    const [day, hour] = [`${label.slice(0, 10)}T00:00:00Z`, label.slice(11, 16)];
    const at = new Date(`${label.slice(0, 10)}T${hour}:00Z`);
    const time = dates({ hour: "2-digit", minute: "2-digit", timeZone: "UTC" }).format(at);
    return isLong ? `${dates({ weekday: "short", day: "numeric", month: "short", timeZone: "UTC" }).format(new Date(day))}, ${time}` : time;
  }
  if (unit === "month") {
    return dates({ month: isLong ? "long" : "short", year: "numeric", timeZone: "UTC" }).format(new Date(`${label}-01T00:00:00Z`));
  }
  const day = new Date(`${label}T00:00:00Z`);
  const words = dates({ day: "numeric", month: "short", timeZone: "UTC", ...(isLong ? { weekday: "short", year: "numeric" } : {}) }).format(day);
  return unit === "week" && isLong ? t("time.week_of", { day: words }) : words;
}

const names = (type: "region" | "language"): Intl.DisplayNames =>
  once(`${type}${text.locale}`, () => new Intl.DisplayNames(text.locale, { type, fallback: "code" }));

function named(type: "region" | "language", code: string): string {
  try {
    return names(type).of(code) ?? code;
  } catch {
    return code;
  }
}

export const country = (code: string): string => named("region", code);
export const language = (code: string): string => named("language", code);

/** A path as people read it: escapes as the letters that they stand for, where they stand for some. */
export function path(raw: string): string {
  try {
    return decodeURI(raw).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (letter) => encodeURIComponent(letter));
  } catch {
    return raw;
  }
}

// What the overview counts, and how its numbers are written.
import * as format from "./format";
import { t, type Key } from "./text.svelte";

/** A row of the report `overview`. */
export interface Overview {
  visitors: number;
  visits: number;
  page_views: number;
  actions: number;
  errors: number;
  bounce_rate: number | null;
  visit_duration_s: number | null;
  views_per_visit: number | null;
}

export type Metric = keyof Overview;
export const METRICS: Metric[] = ["visitors", "visits", "page_views", "views_per_visit", "bounce_rate", "visit_duration_s", "actions", "errors"];
/** Of these less is better. */
const LESS_IS_BETTER: Metric[] = ["bounce_rate", "errors"];

export const metricName = (metric: Metric): string => t(`metric.${metric}` as Key);

export function written(metric: Metric, value: number | null): string {
  switch (metric) {
    case "bounce_rate":
      return format.share(value, 1);
    case "visit_duration_s":
      return format.duration(value);
    case "views_per_visit":
      return format.decimal(value);
    default:
      return value === null ? "–" : format.short(value);
  }
}

export interface Change {
  words: string;
  /** Better, worse, or neither. */
  mood: "good" | "bad" | "flat";
}

/** How a number has changed. `null` where there is nothing to compare. */
export function change(metric: Metric, now: number | null, before: number | null): Change | null {
  if (now === null || before === null) return null;
  const difference = now - before;
  if (difference === 0) return { words: t("delta.same"), mood: "flat" };
  const isBetter = difference > 0 !== LESS_IS_BETTER.includes(metric);
  const mood = isBetter ? "good" : "bad";
  const sign = difference > 0 ? "+" : "−";
  if (metric === "bounce_rate") {
    const points = Math.abs(difference * 100);
    const shown = points < 0.1 ? 0 : points;
    return shown === 0 ? { words: t("delta.same"), mood: "flat" } : { words: sign + t("delta.points", { n: Number(shown.toFixed(1)) }), mood };
  }
  if (metric === "visit_duration_s") return { words: sign + format.duration(Math.abs(difference)), mood };
  if (before === 0) return { words: t("delta.new"), mood };
  const share = Math.abs(difference / before);
  return { words: share > 99 ? `${sign}${format.short(Math.round(share))}×` : sign + format.share(share, share < 0.1 ? 1 : 0), mood };
}

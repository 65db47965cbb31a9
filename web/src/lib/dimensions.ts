// What visits may be filtered by, in the order in which people look for it, and where the values that there are stand.

export const DIMENSIONS = [
  "page", "entry", "exit", "action", "action_type", "channel", "source", "referrer_domain", "referrer", "utm_campaign", "utm_source",
  "utm_medium", "utm_term", "utm_content", "click_id_kind", "country", "region", "city", "language", "browser", "browser_version",
  "os", "os_version", "device", "user", "visitor", "new_visitor", "confirmed", "end_reason", "identity", "via", "bot",
];

export interface Values {
  report: string;
  by?: string;
  column: string;
}

const REPORTS: Record<string, string[]> = {
  sources: ["channel", "source", "referrer_domain", "click_id_kind", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"],
  countries: ["country", "region", "city", "language"],
  devices: ["browser", "browser_version", "os", "os_version", "device"],
};

/** The report that has the values of a dimension. */
export function valuesOf(dimension: string): Values | null {
  if (["page", "entry", "exit"].includes(dimension)) return { report: "pages", column: "page" };
  if (dimension === "action") return { report: "actions", column: "action" };
  if (dimension === "action_type") return { report: "actions", column: "type" };
  if (dimension === "bot") return { report: "bots", column: "bot" };
  const found = Object.entries(REPORTS).find(([, names]) => names.includes(dimension));
  return found ? { report: found[0], by: dimension, column: dimension } : null;
}

// Visits, as the report `visits` lists them and as the record of one has them.

/** A row of the report `visits`. */
export interface VisitRow {
  visit_id: string;
  site: string;
  started_at: string;
  ended_at: string | null;
  end_reason: string | null;
  duration_s: number | null;
  page_views: number;
  actions: number;
  errors: number;
  user_id: string | null;
  visitor_id: string;
  previous_visit_id: string | null;
  visit_number: number | null;
  is_new_visitor: boolean | null;
  confirmed: boolean;
  identity: string;
  via: string;
  entry_path: string | null;
  exit_path: string | null;
  country: string | null;
  region: string | null;
  city: string | null;
  language: string | null;
  browser: string | null;
  browser_version: string | null;
  os: string | null;
  os_version: string | null;
  device: string | null;
  channel: string | null;
  source: string | null;
  referrer: string | null;
  utm_campaign: string | null;
  bot: string | null;
  bot_reason: string | null;
}

/** An event of a visit's record. What there is nothing to say of is not there. */
export interface VisitEvent {
  seq: number;
  time: string;
  kind: "page_view" | "page_error" | "action" | "login" | "logout" | "request";
  name?: string;
  type?: string;
  title?: string;
  user_id?: string;
  host?: string;
  path?: string;
  query?: string;
  route?: string;
  method?: string;
  status?: number;
  duration_ms?: number;
  bytes?: number;
  referrer?: string;
  properties?: unknown;
}

/** A visit's record. */
export interface Visit {
  visit_id: string;
  visitor_id: string;
  site: string;
  user_id: string | null;
  started_at: string;
  ended_at: string | null;
  closed_at: string | null;
  end_reason: string | null;
  duration_ms: number | null;
  ip?: string | null;
  user_agent?: string | null;
  values: Record<string, unknown>;
  events: VisitEvent[];
}

/** An id in short: as much as tells one from another. */
export const shortId = (id: string): string => (id.length > 12 ? `${id.slice(0, 4)}…${id.slice(-4)}` : id);

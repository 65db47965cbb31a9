// Reads visits, from the files and through the command line, and takes out what differs from run to run.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { binary } from "./programs.js";

const run = promisify(execFile);

const lines = (text) => text.split("\n").filter(Boolean).map((line) => JSON.parse(line));

/** Every visit in the `visits-*.ndjson` files of a data folder. */
export async function stored(data) {
  const entries = await readdir(data, { recursive: true });
  const files = entries.filter((name) => /(^|\/)visits[^/]*\.ndjson$/.test(name)).sort();
  const texts = await Promise.all(files.map((name) => readFile(join(data, name), "utf8")));
  return texts.flatMap(lines);
}

/** What `visitlog ARGS -o json` prints: one document, a list, or one document a line. */
export async function asked(...args) {
  const { stdout } = await run(binary("visitlog"), [...args, "-o", "json"]);
  try {
    return JSON.parse(stdout);
  } catch {
    return lines(stdout);
  }
}

/** The rows that a SQL statement gives, from the running server or from the folder. */
export const query = (sql, data) => asked("query", sql, "--data", data);

/** The data files of the warehouse's table. */
export async function tableFiles(data, table) {
  const entries = await readdir(join(data, "warehouse", table), { recursive: true });
  return entries.filter((name) => name.endsWith(".parquet") && !name.startsWith("_delta_log"));
}

/** What `visitlog visit ID` prints for a person. */
export const shown = async (id, data) => (await run(binary("visitlog"), ["visit", id, "--data", data])).stdout;

/** The visits by who made them; fails unless they are the three that the clicks make. */
export function byVisitor(visits) {
  const alice = visits.find((v) => v.user_id === "alice");
  const aliceAfterLogout = visits.find((v) => alice && v.previous_visit_id === alice.visit_id);
  const bob = visits.find((v) => v !== alice && v !== aliceAfterLogout);
  if (visits.length !== 3 || !alice || !aliceAfterLogout || !bob) {
    throw new Error(`three visits expected: alice, alice after her logout, bob; found:\n${JSON.stringify(visits, null, 1)}`);
  }
  return { alice, aliceAfterLogout, bob };
}

const EVENT_FIELDS = ["kind", "name", "type", "user_id", "path", "query", "method", "status", "properties"];
const VISIT_FIELDS = [
  "user_id", "end_reason", "identity", "confirmed", "visit_number", "is_new_visitor", "page_views", "actions", "errors",
  "entry_path", "exit_path", "values",
];

const pick = (from, fields) => Object.fromEntries(fields.filter((f) => from[f] !== undefined).map((f) => [f, from[f]]));

/** Without ids, times, way in and latency; `previous_visit_id` becomes the name of that visit. */
export function normalised(visits) {
  const nameOf = (id) => (id === null ? null : (Object.keys(visits).find((name) => visits[name].visit_id === id) ?? id));
  const one = (visit) => ({
    ...pick(visit, VISIT_FIELDS),
    continues: nameOf(visit.previous_visit_id),
    events: visit.events.map((event) => pick(event, EVENT_FIELDS)),
  });
  return Object.fromEntries(Object.entries(visits).map(([name, visit]) => [name, one(visit)]));
}

/**
 * Everything that must be the same whichever way a visit came in: more than `normalised` keeps. A route is known in the
 * application only, and `bytes` only behind a server that has written `Content-Length` already.
 */
export function comparable(visits) {
  const withoutHost = (url) => url?.replace(/^https?:\/\/[^/]+/, "");
  const base = normalised(visits);
  for (const [name, visit] of Object.entries(visits)) {
    Object.assign(base[name], pick(visit, ["site", "ip", "language", "user_agent"]));
    base[name].referrer = withoutHost(visit.referrer ?? undefined);
    base[name].events = visit.events.map((event, at) => ({
      ...base[name].events[at],
      ...pick(event, ["host"]),
      referrer: withoutHost(event.referrer),
    }));
  }
  return base;
}

/** What must hold inside one record: order of times, and the header's sums. */
export function faults(visit) {
  const found = [];
  const say = (ok, words) => ok || found.push(`${visit.visit_id}: ${words}`);
  const times = visit.events.map((event) => event.time);
  say(times.every((time, at) => at === 0 || times[at - 1] <= time), `events out of order: ${times}`);
  say(visit.events.every((event, at) => event.seq === at + 1), "sequence numbers with a gap");
  say(visit.started_at <= times[0], "an event before the start");
  say(visit.started_at <= visit.ended_at && visit.ended_at <= visit.closed_at, "start, end and close out of order");
  const between = Date.parse(visit.ended_at) - Date.parse(visit.started_at);
  say(Math.abs(visit.duration_ms - between) <= 1, `duration_ms is ${visit.duration_ms}, ${between} between start and end`);
  return found;
}

// What is asked of reports, by name of a range; and words with values in them.
import assert from "node:assert/strict";
import { after, before as first, test } from "node:test";
import { createServer } from "vite";

let server, span, metrics;
first(async () => {
  server = await createServer({ server: { middlewareMode: true }, appType: "custom", logLevel: "error", optimizeDeps: { noDiscovery: true } });
  [span, metrics] = await Promise.all(["/src/lib/span.ts", "/src/lib/metrics-text.ts"].map((path) => server.ssrLoadModule(path)));
});
after(() => server.close());

const at = (iso) => Date.parse(iso);

test("ranges are days of the zone, today included", () => {
  const now = at("2026-10-25T23:30:00Z");
  assert.deepEqual(span.spanOf("today", now, "Europe/Berlin", null), { from: "2026-10-26", to: "2026-10-26" });
  assert.deepEqual(span.spanOf("7d", now, "UTC", null), { from: "2026-10-19", to: "2026-10-25" });
  assert.deepEqual(span.spanOf("30d", now, "Asia/Tokyo", null), { from: "2026-09-27", to: "2026-10-26" });
  assert.deepEqual(span.spanOf("month", now, "UTC", null), { from: "2026-10-01", to: "2026-10-25" });
  assert.deepEqual(span.spanOf("12mo", at("2026-01-31T12:00:00Z"), "UTC", null), { from: "2025-02-01", to: "2026-01-31" });
  assert.deepEqual(span.spanOf("24h", now, "UTC", null), { from: "2026-10-24T23:00", to: "2026-10-25" });
  assert.deepEqual(span.spanOf("own", now, "UTC", { from: "2026-01-01", to: "2026-01-02" }), { from: "2026-01-01", to: "2026-01-02" });
});

test("what goes on is compared with as much of the time before", () => {
  const now = at("2026-10-25T10:20:30Z");
  const before = (name, zone = "UTC") => span.before(span.spanOf(name, now, zone, null), now, zone);
  assert.deepEqual(before("today"), { from: "2026-10-24", to: "2026-10-24T10:20:30" });
  assert.deepEqual(before("yesterday"), { from: "2026-10-23", to: "2026-10-23" });
  assert.deepEqual(before("7d", "Europe/Berlin"), { from: "2026-10-12", to: "2026-10-18T11:20:30" });
  assert.deepEqual(span.before({ from: "2026-03-01", to: "2026-03-02" }, now, "UTC"), { from: "2026-02-27", to: "2026-02-28" });
  assert.deepEqual(before("24h"), { from: "2026-10-23T09:39:30", to: "2026-10-24T10:00" });
});

test("filters are read as they are written", () => {
  for (const text of ["page=/a=b", "country!=DE", "city~kÖ", "city!~o", "bot=", "user=a\nb"]) {
    assert.equal(span.writeFilter(span.parseFilter(text)), text);
  }
  assert.equal(span.parseFilter("nothing"), null);
  assert.deepEqual([span.unitOf({ from: "2026-01-01", to: "2026-01-02" }), span.unitOf({ from: "2026-01-01", to: "2026-03-01" }), span.unitOf({ from: "2025-01-01", to: "2026-01-01" })], ["hour", "day", "month"]);
});

test("metrics are read with their labels", () => {
  const all = metrics.parseMetrics("# HELP x y\na_total 3\nb{reason=\"a \\\"b\\\\\",x=\"1\"} 2.5\n");
  assert.deepEqual(all.get("a_total"), [{ labels: {}, value: 3 }]);
  assert.deepEqual(all.get("b"), [{ labels: { reason: "a \"b\\", x: "1" }, value: 2.5 }]);
});

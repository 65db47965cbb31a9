// What a report is about: the time, the site, the filters. All of it stands in the address.
import { address, place } from "./place.svelte";
import { ownZone } from "./format";
import { before, civil, parseFilter, RANGES, spanOf, UNITS, unitOf, writeFilter, type Filter, type RangeName, type Span, type Unit } from "./span";

export { addDays, civil, daysBetween, OPS, parseFilter, RANGES, UNITS, unitOf, writeFilter } from "./span";
export type { Filter, Op, RangeName, Span, Unit } from "./span";

class Choice {
  /** Now, as far as days and hours go. */
  now = $state(Date.now());

  constructor() {
    setInterval(() => (this.now = Date.now()), 15_000);
  }

  readonly zone = $derived(place.query.get("tz") ?? ownZone());
  readonly range: RangeName = $derived.by(() => {
    if (place.query.has("from")) return "own";
    return RANGES.find((name) => name === place.query.get("range")) ?? "30d";
  });
  readonly #own: Span | null = $derived.by(() => {
    const from = place.query.get("from");
    return from ? { from, to: place.query.get("to") ?? from } : null;
  });
  // As text, so that it is another only where it says something else.
  readonly #spanText: string = $derived(JSON.stringify(spanOf(this.range, this.now, this.zone, this.#own)));
  readonly span: Span = $derived(JSON.parse(this.#spanText) as Span);
  readonly unit: Unit = $derived(UNITS.find((unit) => unit === place.query.get("by")) ?? unitOf(this.span));
  readonly site: string | null = $derived(place.query.get("site"));
  readonly filters: Filter[] = $derived(place.query.getAll("filter").map(parseFilter).filter((filter) => filter !== null));
  readonly bots: boolean = $derived(place.query.get("bots") === "true");
  readonly isCompared: boolean = $derived(place.query.get("compare") !== "no");
  /** The time goes on while one looks. */
  readonly isMoving: boolean = $derived(this.span.to >= civil(this.now, this.zone).slice(0, 10));

  /** What the span is compared with. */
  before(): Span {
    return before(this.span, Date.now(), this.zone);
  }

  /** As reports take it. */
  query(span: Span = this.span, more: Record<string, string> = {}): [string, string][] {
    const all: [string, string][] = [["from", span.from], ["to", span.to], ["tz", this.zone]];
    if (this.site !== null) all.push(["site", this.site]);
    for (const filter of this.filters) all.push(["filter", writeFilter(filter)]);
    if (this.bots) all.push(["bots", "true"]);
    for (const [name, value] of Object.entries(more)) all.push([name, value]);
    return all;
  }

  setFilters(filters: Filter[]): void {
    place.choose({ filter: filters.map(writeFilter) });
  }

  /** Adds a filter, unless it is there. */
  add(filter: Filter): void {
    const isSame = (other: Filter): boolean => writeFilter(other) === writeFilter(filter);
    if (!this.filters.some(isSame)) this.setFilters([...this.filters, filter]);
  }

  /** The address of another page about the same. */
  on(path: string, filters: Filter[] = this.filters): string {
    const query = new URLSearchParams();
    for (const name of ["range", "from", "to", "tz", "site", "bots"]) {
      const value = place.query.get(name);
      if (value !== null) query.set(name, value);
    }
    for (const filter of filters) query.append("filter", writeFilter(filter));
    return address(path, query);
  }
}

export const choice = new Choice();

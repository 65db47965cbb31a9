// What is asked for, again whenever what it depends on changes. What is there stays until there is something newer.
import { Problem } from "./api";

/** How long at least between two looks at what moves, and how many times as long as a look takes. */
const PAUSE_MS = 5_000;
const PAUSE_TIMES = 3;

export class Loaded<T> {
  value: T | undefined = $state.raw(undefined);
  problem: Problem | null = $state.raw(null);
  isLoading = $state(false);
  /** Something else is asked for than what is shown. */
  isStale = $state(false);
}

/** All that moves on a page is looked at together: not more than a quarter of the time, and only while somebody looks. */
class Pace {
  #looks = new Set<() => Promise<void>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isLooking = false;
  #isDue = false;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (this.#isDue && !document.hidden) void this.#look();
    });
  }

  add(look: () => Promise<void>): () => void {
    this.#looks.add(look);
    if (this.#timer === undefined && !this.#isLooking && !this.#isDue) this.#wait(PAUSE_MS);
    return () => this.#looks.delete(look);
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    this.#isDue = document.hidden;
    if (this.#isDue || this.#isLooking || this.#looks.size === 0) return;
    this.#isLooking = true;
    const began = performance.now();
    await Promise.all([...this.#looks].map((look) => look()));
    this.#isLooking = false;
    this.#wait(Math.max(PAUSE_MS, PAUSE_TIMES * (performance.now() - began)));
  }
}

const pace = new Pace();

/** Asks by `ask`, which reads what it depends on before it waits for anything. `repeats` says whether to go on asking. */
export function load<T>(ask: (signal: AbortSignal) => Promise<T>, repeats: () => boolean = () => false): Loaded<T> {
  const loaded = new Loaded<T>();
  $effect(() => {
    const stop = new AbortController();
    loaded.isStale = true;
    const run = async (asked: Promise<T>): Promise<void> => {
      loaded.isLoading = true;
      try {
        const value = await asked;
        if (stop.signal.aborted) return;
        loaded.value = value;
        loaded.problem = null;
      } catch (why) {
        if (stop.signal.aborted) return;
        loaded.problem = why instanceof Problem ? why : new Problem(0, "unreadable", String(why));
      }
      loaded.isLoading = false;
      loaded.isStale = false;
    };
    void run(ask(stop.signal));
    const rest = repeats() ? pace.add(() => run(ask(stop.signal))) : undefined;
    return () => {
      stop.abort();
      rest?.();
    };
  });
  return loaded;
}

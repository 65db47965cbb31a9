// Where the reader is: the page's path, and all that was chosen on it, in the address, so that it can be shared.

class Place {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));

  constructor() {
    addEventListener("popstate", () => this.#read());
    addEventListener("click", (event) => this.#follow(event));
  }

  /** Goes to another place; a place that only differs in what was chosen may take this one's step in the history. */
  go(href: string, step: "push" | "replace" = "push"): void {
    const to = new URL(href, location.href);
    if (to.href !== location.href) history[step === "push" ? "pushState" : "replaceState"](null, "", to);
    const isOtherPage = to.pathname !== this.path;
    this.#read();
    if (isOtherPage) scrollTo(0, 0);
  }

  /** The address of this page with other choices; `null` and the empty list take one away. */
  with(changes: Record<string, string | string[] | null>): string {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(changes)) {
      query.delete(name);
      for (const one of value === null ? [] : [value].flat()) query.append(name, one);
    }
    return address(this.path, query);
  }

  choose(changes: Record<string, string | string[] | null>): void {
    this.go(this.with(changes));
  }

  #read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/")) return;
    event.preventDefault();
    this.go(link.href);
  }
}

export const place = new Place();

/** A path with its query. */
export function address(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

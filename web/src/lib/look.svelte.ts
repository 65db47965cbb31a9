// Light or dark: as the system is, unless the reader has chosen.
import { keep, kept } from "./kept";

export const LOOKS = ["system", "light", "dark"] as const;
export type Theme = (typeof LOOKS)[number];

class Look {
  theme: Theme = $state(LOOKS.find((theme) => theme === kept("theme")) ?? "system");
  /** Grows whenever the colours may have changed, for what draws with them. */
  version = $state(0);

  constructor() {
    this.#apply();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.version++);
  }

  set(theme: Theme): void {
    this.theme = theme;
    keep("theme", theme === "system" ? null : theme);
    this.#apply();
    this.version++;
  }

  #apply(): void {
    document.documentElement.dataset.theme = this.theme;
  }
}

export const look = new Look();

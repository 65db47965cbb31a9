// The words of the pages: one table a language, and how a word is taken from it.
import { en } from "../text/en";
import { keep, kept } from "./kept";

export type Key = keyof typeof en;
export type Words = Record<Key, string>;
export type Values = Record<string, string | number>;

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const isLanguage = (name: string | null | undefined): name is Language => name !== null && name !== undefined && name in LANGUAGES;

class Text {
  language: Language = $state("en");
  /** For numbers and dates: the reader's own locale where it is of the language, as `en-GB`. */
  locale = $state("en");
  #words: Words = $state.raw(en);

  /** Takes the language that was chosen, else the browser's first that there is. */
  async begin(): Promise<void> {
    const chosen = kept("language");
    const own = navigator.languages.map((name) => name.split("-")[0]).find(isLanguage);
    await this.set(isLanguage(chosen) ? chosen : (own ?? "en"));
  }

  async set(language: Language): Promise<void> {
    this.#words = language === "de" ? (await import("../text/de")).de : en;
    this.language = language;
    this.locale = navigator.languages.find((name) => name.startsWith(language)) ?? language;
    document.documentElement.lang = language;
  }

  async choose(language: Language): Promise<void> {
    keep("language", language);
    await this.set(language);
  }

  of(key: Key, values: Values = {}): string {
    return filled(this.#words[key], values, this.locale);
  }

  /** The words for something that the server names, as an end reason; its own name where there are none. */
  named(kind: string, name: string): string {
    const key = `${kind}.${name}`;
    return key in this.#words ? this.#words[key as Key] : name;
  }
}

/** `{n}` is a value, numbers as the locale writes them; `{n|visit|visits}` is the word that fits the number. */
export function filled(template: string, values: Values, locale: string): string {
  return template.replace(/\{(\w+)(?:\|([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, many?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one !== undefined && many !== undefined) return new Intl.PluralRules(locale).select(Number(value)) === "one" ? one : many;
    return typeof value === "number" ? value.toLocaleString(locale) : value;
  });
}

export const text = new Text();
export const t = (key: Key, values?: Values): string => text.of(key, values);

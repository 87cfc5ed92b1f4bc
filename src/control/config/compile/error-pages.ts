// Owns turning configured error pages into those of the plan: each distinct set once, however many routes have it. Pure.
import type { ErrorPagesPlan, ErrorVariantPlan } from "../../../plan/error-pages.ts";
import type { ErrorPagesConfig, ErrorVariantConfig } from "../schema/error-pages.ts";

export class ErrorPageTable {
  readonly sets: ErrorPagesPlan[] = [];
  readonly #indexes = new Map<string, number>();
  /** Texts that pages have, by what tells them apart more cheaply: routes share most of them. */
  readonly #texts = new Map<string, number>();
  readonly #files: Readonly<Record<string, string>>;

  /** @param files content by path */
  constructor(files: Readonly<Record<string, string>>) {
    this.#files = files;
  }

  /** @returns the index of a set; -1 for none */
  indexOf(config: ErrorPagesConfig | null): number {
    if (config === null || config.pages.length + config.intercept.length === 0) return -1;
    const key = JSON.stringify([
      config.intercept,
      config.pages.map(({ on, variants }) => [on, variants.map((each) => this.#identity(each))]),
    ]);
    const known = this.#indexes.get(key);
    if (known !== undefined) return known;
    const { pages, intercept } = config;
    const set = { intercept, pages: pages.map(({ on, variants }) => ({ on, variants: variants.map((each) => this.#planOf(each)) })) };
    this.#indexes.set(key, this.sets.length);
    return this.sets.push(set) - 1;
  }

  #identity(each: ErrorVariantConfig): unknown {
    if (each.kind !== "text") return each;
    const number = this.#texts.get(each.text) ?? this.#texts.size;
    this.#texts.set(each.text, number);
    return [number, each.type];
  }

  #planOf(each: ErrorVariantConfig): ErrorVariantPlan {
    if (each.kind === "redirect") return each;
    return { kind: "body", type: latin1(each.type), text: each.kind === "text" ? each.text : (this.#files[each.file] ?? "") };
  }
}

/** A header's text as the byte string (one char a byte) of its UTF-8. */
const latin1 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

// Owns the one JSON document that legs' values become: members in the declared order, and of equal ones that of the leg that wins, whatever came first.
// Pure; must never write a member twice, or a number otherwise than it came.
import { isObject } from "../../../base/exact-json.ts";
import type { AggregateConfig, LegConfig } from "./config-plan.ts";

/** What a leg gives: text of JSON that was not changed, or a value. */
export type Part = { readonly kind: "raw"; readonly json: Uint8Array } | { readonly kind: "value"; readonly value: unknown };

/** A failed leg as the answer names it. */
export interface MissingLeg {
  readonly leg: string;
  readonly code: string;
}

/** The legs of one route in declared order, and who wins over whom. */
export class Layout {
  readonly #legs: readonly LegConfig[];
  /** By place: lower wins. */
  readonly #ranks: readonly number[];
  readonly #incomplete: string | null;
  /** No leg is flat, and no two have one name: no member can come twice. */
  readonly #isSimple: boolean;
  /** `"name":` of nested legs, encoded once. */
  readonly #labels: readonly Buffer[];

  constructor({ legs, wins, incomplete }: Pick<AggregateConfig, "legs" | "wins" | "incomplete">) {
    this.#legs = legs;
    this.#ranks = legs.map(({ name }, i) => (wins.includes(name) ? wins.indexOf(name) : wins.length + i));
    this.#incomplete = incomplete;
    const names = legs.map(({ as }) => as);
    this.#isSimple = !names.includes(null) && new Set(names).size === names.length;
    this.#labels = legs.map(({ as }) => Buffer.from(as === null ? "" : `${JSON.stringify(as)}:`));
  }

  /**
   * Members of one leg, each preceded by a comma unless it is the first of the document.
   * @param parts by place; null: failed, or no leg of that place has ended yet. @param first nothing was written yet
   */
  members(place: number, parts: readonly (Part | null)[], first: boolean): Uint8Array[] {
    const part = parts[place] ?? null;
    const leg = this.#legs[place];
    if (part === null || leg === undefined) return [];
    if (leg.as !== null) {
      if (!this.#isMine(leg.as, place, parts)) return [];
      return [...(first ? [] : [COMMA]), this.#labels[place] ?? NOTHING, bytesOf(part)];
    }
    if (part.kind !== "value" || !isObject(part.value)) return []; // a flat leg has an object
    let text = "";
    for (const [name, value] of Object.entries(part.value)) {
      if (!this.#isMine(name, place, parts)) continue;
      if (text !== "" || !first) text += ",";
      text += `${JSON.stringify(name)}:${JSON.stringify(value)}`;
    }
    return text === "" ? [] : [Buffer.from(text)];
  }

  /** The member that names failed legs, when it was asked for and there are any. */
  incompleteness(missing: readonly MissingLeg[], first: boolean): Uint8Array[] {
    if (this.#incomplete === null || missing.length === 0) return [];
    return [Buffer.from(`${first ? "" : ","}${JSON.stringify(this.#incomplete)}:${JSON.stringify(missing)}`)];
  }

  /** The whole document. */
  document(parts: readonly (Part | null)[], missing: readonly MissingLeg[]): Buffer {
    const out: Uint8Array[] = [OPEN];
    for (let i = 0; i < parts.length; i++) out.push(...this.members(i, parts, out.length === 1));
    out.push(...this.incompleteness(missing, out.length === 1), CLOSE);
    return Buffer.concat(out);
  }

  /** Whether no leg that wins over this one has the member too, and it is not the gateway's own. */
  #isMine(name: string, place: number, parts: readonly (Part | null)[]): boolean {
    if (name === this.#incomplete) return false;
    if (this.#isSimple) return true;
    const rank = this.#ranks[place] ?? 0;
    return !parts.some((part, i) => part !== null && (this.#ranks[i] ?? 0) < rank && this.#has(i, part, name));
  }

  #has(place: number, part: Part, name: string): boolean {
    const as = this.#legs[place]?.as ?? null;
    if (as !== null) return as === name;
    return part.kind === "value" && isObject(part.value) && Object.hasOwn(part.value, name);
  }
}

export const OPEN = Buffer.from("{");
export const CLOSE = Buffer.from("}");
const COMMA = Buffer.from(",");
const NOTHING = Buffer.alloc(0);

const bytesOf = (part: Part): Uint8Array => (part.kind === "raw" ? part.json : Buffer.from(JSON.stringify(part.value)));

// Owns the test of a probe's response body: reads no more than it may, and says what was expected. Must never show what a service answered.
import { compileRegex, type LinearRegex } from "../../base/linear-regex.ts";
import type { HealthBodyPlan } from "../../plan/plan.ts";

/** Bytes of a body that are looked at. */
export const BODY_BYTES_MAX = 64 * 1024;

/** One for all targets of an upstream: an automaton takes a while to make. */
const compiled = new WeakMap<HealthBodyPlan, LinearRegex>();

/** What a body must hold, and as much of the body as is there. */
export class ProbeBody {
  readonly #wanted: HealthBodyPlan;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(wanted: HealthBodyPlan) {
    this.#wanted = wanted;
  }

  /** @returns whether it is decided: what comes later changes nothing */
  add(chunk: Buffer): boolean {
    const part = chunk.subarray(0, BODY_BYTES_MAX - this.#bytes);
    this.#chunks.push(part);
    this.#bytes += part.length;
    // A text that is there stays there; an expression may say where the body ends.
    return this.#bytes >= BODY_BYTES_MAX || ("contains" in this.#wanted && this.fits());
  }

  /** Whether what is there so far has what is wanted. */
  fits(): boolean {
    const body = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks); // just counted
    if (this.#chunks.length > 1) this.#chunks.splice(0, Infinity, body);
    if ("contains" in this.#wanted) return body.includes(this.#wanted.contains);
    return regexOf(this.#wanted).matches(body.toString("utf8"));
  }

  /** For operators. */
  get expected(): string {
    const what = "contains" in this.#wanted ? JSON.stringify(this.#wanted.contains) : `a match of \`${this.#wanted.regex}\``;
    return `a body with ${what}${this.#bytes >= BODY_BYTES_MAX ? ` in its first ${BODY_BYTES_MAX / 1024} KiB` : ""}`;
  }

  get bytes(): number {
    return this.#bytes;
  }
}

function regexOf(wanted: Extract<HealthBodyPlan, { readonly regex: string }>): LinearRegex {
  const known = compiled.get(wanted);
  if (known !== undefined) return known;
  const regex = compileRegex(wanted.regex, "search");
  if (!("matches" in regex)) throw new Error(`\`${wanted.regex}\` was not checked`);
  compiled.set(wanted, regex);
  return regex;
}

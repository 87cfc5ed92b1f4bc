// Owns who may name which consumer: `consumerPrefix` divides the ids among those whose credentials name the consumer themselves (issuers, certificates).
// Must never let two of different prefixes name the same id. Pure.
import type { AuthenticatorPlan } from "../../plan/plan.ts";

/** What stands before a placeholder: the ids that begin with it are those of this prefix. */
export const territoryOf = (prefix: string): string => prefix.split("{", 1)[0] ?? "";

/**
 * An id belongs to the longest of all prefixes that it begins with, and to nobody else; what begins with none belongs to those without a prefix. So each id
 * has one owner, whatever a credential holds: one without a prefix cannot write `partner:42`, nor can `part` write what `partner:` may.
 * (Two that have the same prefix share its ids.)
 */
export class IdSpace {
  /** Longest first, none empty. */
  readonly #territories: readonly string[];

  constructor(prefixes: Iterable<string>) {
    const territories = new Set([...prefixes].map(territoryOf));
    territories.delete("");
    this.#territories = [...territories].sort((a, b) => b.length - a.length);
  }

  /** Whether a credential of this prefix may name this id. */
  owns(prefix: string, id: string): boolean {
    for (const each of this.#territories) if (id.startsWith(each)) return each === territoryOf(prefix);
    return territoryOf(prefix) === "";
  }
}

/** As the kinds with a prefix spell it. */
interface Prefixed {
  readonly consumerPrefix?: unknown;
  readonly providers?: readonly { readonly consumerPrefix?: unknown }[];
}

/** Every prefix that an authenticator's credentials may have. @param config output of its kind's schema */
export function prefixesOf(config: unknown): readonly string[] {
  const { consumerPrefix, providers = [] } = config as Prefixed; // every kind's configuration is an object
  return [consumerPrefix, ...providers.map((each) => each.consumerPrefix)].filter((each) => typeof each === "string");
}

/** Of a whole plan. */
export const idSpaceOf = (authenticators: readonly Pick<AuthenticatorPlan, "config">[]): IdSpace =>
  new IdSpace(authenticators.flatMap(({ config }) => prefixesOf(config)));

// Owns the meaning of `any`, `all` and `optional`: from what authenticators say to one verdict. In any doubt the verdict is no identity.
// Must answer synchronously whenever the authenticators do: a promise costs the hot path more than all else here.
import type { ErrorCode } from "../../../base/errors.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Authenticator, AuthOutcome, BearerError } from "../../exchange/identity/authenticator.ts";
import type { Identity } from "../../exchange/identity/identity.ts";
import type { AuthTree } from "./config.ts";
import { mergeIdentities } from "./merge-identities.ts";

/** A credential that was not good. */
export interface AuthRefusal {
  /** null when it is the combination that is wrong. */
  readonly authenticator: Authenticator | null;
  readonly error: BearerError | null;
  readonly detail: string;
}

/** What a (sub)tree says of one exchange. */
export type Verdict =
  | { readonly kind: "identity"; readonly identity: Identity }
  /** Nobody, and that is allowed. */
  | { readonly kind: "anonymous" }
  /** No credential that it looks for. */
  | { readonly kind: "absent" }
  /** Some of the credentials that it needs together. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "refused"; readonly refusals: readonly AuthRefusal[] }
  | { readonly kind: "unavailable"; readonly code: ErrorCode; readonly detail: string };

type MaybeLater = Verdict | Promise<Verdict>;

/** Answers of one exchange by authenticator, for trees that name one twice: a second look could take a request for its own replay. */
export type Memo = Map<Authenticator, MaybeLater>;

/** A part of the tree, ready to be asked. */
export interface AuthNode {
  /** One credential is not enough. */
  readonly demandsAll: boolean;
  /** Must not throw. @param memo null when no authenticator stands in the tree twice */
  decide(x: Exchange, memo: Memo | null): MaybeLater;
}

const ANONYMOUS: Verdict = { kind: "anonymous" };
const ABSENT: Verdict = { kind: "absent" };
const INCOMPLETE: Verdict = { kind: "incomplete" };

/** @param named looks up an authenticator; throws when there is none, so that the plan is refused */
export function compileTree(tree: AuthTree, named: (name: string) => Authenticator): AuthNode {
  switch (tree.kind) {
    case "one":
      return new Leaf(named(tree.name));
    case "optional":
      return new Optional(compileTree(tree.of, named));
    case "any":
      return new Any(tree.of.map((each) => compileTree(each, named)));
    case "all":
      return new All(tree.of.map((each) => compileTree(each, named)));
  }
}

class Leaf implements AuthNode {
  readonly demandsAll = false;
  readonly #authenticator: Authenticator;

  constructor(authenticator: Authenticator) {
    this.#authenticator = authenticator;
  }

  decide(x: Exchange, memo: Memo | null): MaybeLater {
    const known = memo?.get(this.#authenticator);
    if (known !== undefined) return known;
    const outcome = this.#authenticator.authenticate(x);
    const verdict = outcome instanceof Promise ? outcome.then((late) => this.#verdict(late)) : this.#verdict(outcome);
    memo?.set(this.#authenticator, verdict);
    return verdict;
  }

  #verdict(outcome: AuthOutcome): Verdict {
    if (outcome.kind !== "refused") return outcome;
    return { kind: "refused", refusals: [{ authenticator: this.#authenticator, error: outcome.error, detail: outcome.detail }] };
  }
}

class Optional implements AuthNode {
  readonly demandsAll: boolean;
  readonly #of: AuthNode;

  constructor(of: AuthNode) {
    this.demandsAll = of.demandsAll;
    this.#of = of;
  }

  decide(x: Exchange, memo: Memo | null): MaybeLater {
    const verdict = this.#of.decide(x, memo);
    return verdict instanceof Promise ? verdict.then(orAnonymous) : orAnonymous(verdict);
  }
}

const orAnonymous = (verdict: Verdict): Verdict => (verdict.kind === "absent" ? ANONYMOUS : verdict);

/** Children in order until one settles the matter; what they said so far is one verdict. */
abstract class Several implements AuthNode {
  abstract readonly demandsAll: boolean;
  readonly #of: readonly AuthNode[];

  constructor(of: readonly AuthNode[]) {
    this.#of = of;
  }

  /** What nothing said yet amounts to. */
  protected abstract readonly start: Verdict;
  /** Whether the others need not be asked. */
  protected abstract settles(verdict: Verdict): boolean;
  protected abstract join(before: Verdict, verdict: Verdict): Verdict;

  decide(x: Exchange, memo: Memo | null): MaybeLater {
    return this.#from(0, this.start, x, memo);
  }

  #from(first: number, before: Verdict, x: Exchange, memo: Memo | null): MaybeLater {
    let soFar = before;
    for (let i = first; i < this.#of.length; i++) {
      const verdict = (this.#of[i] as AuthNode).decide(x, memo); // i is inside the list
      if (verdict instanceof Promise) {
        const known = soFar;
        return verdict.then((late) => {
          const joined = this.join(known, late);
          return this.settles(joined) ? joined : this.#from(i + 1, joined, x, memo);
        });
      }
      soFar = this.join(soFar, verdict);
      if (this.settles(soFar)) return soFar;
    }
    return soFar;
  }
}

/**
 * Best first: an identity; then what might still have become one (503 rather than a refusal that may be wrong); then a refusal;
 * then half a credential; nobody, where that is allowed, only when nothing was sent at all.
 */
const ANY_RANK: Readonly<Record<Verdict["kind"], number>> = {
  identity: 5,
  unavailable: 4,
  refused: 3,
  incomplete: 2,
  anonymous: 1,
  absent: 0,
};

class Any extends Several {
  readonly demandsAll = false;
  protected readonly start = ABSENT;

  protected settles(verdict: Verdict): boolean {
    return verdict.kind === "identity";
  }

  protected join(before: Verdict, verdict: Verdict): Verdict {
    if (before.kind === "refused" && verdict.kind === "refused")
      return { kind: "refused", refusals: [...before.refusals, ...verdict.refusals] };
    return ANY_RANK[verdict.kind] > ANY_RANK[before.kind] ? verdict : before;
  }
}

const DIFFERENT: Verdict = {
  kind: "refused",
  refusals: [{ authenticator: null, error: null, detail: "the credentials belong to different callers" }],
};

/** A refusal settles it; else one that is missing; else one that cannot be told; else all have proven the same consumer. */
class All extends Several {
  readonly demandsAll = true;
  protected readonly start = ANONYMOUS;

  protected settles(verdict: Verdict): boolean {
    return verdict.kind === "refused";
  }

  protected join(before: Verdict, verdict: Verdict): Verdict {
    if (before.kind === "anonymous" || verdict.kind === "refused") return verdict;
    if (verdict.kind === "anonymous") return before;
    if (before.kind === "absent" && verdict.kind === "absent") return ABSENT;
    if (isMissing(before) || isMissing(verdict)) return INCOMPLETE;
    if (before.kind === "identity" && verdict.kind === "identity") {
      if (before.identity === verdict.identity) return before;
      const identity = mergeIdentities(before.identity, verdict.identity);
      return identity === null ? DIFFERENT : { kind: "identity", identity };
    }
    return before.kind === "unavailable" ? before : verdict;
  }
}

const isMissing = (verdict: Verdict): boolean => verdict.kind === "absent" || verdict.kind === "incomplete";

// Owns the headers that tell services who is calling: which names they have, that no client can send one, and how an identity is written into them.
// Must never write anything that a client chose by itself.

import type { HeaderList } from "../../../base/header-list.ts";
import { encodeByte } from "../../../base/hex.ts";
import type { IdentityPlan } from "../../../plan/plan.ts";
import { claimAt } from "../../routing/claim.ts";
import type { Identity } from "./identity.ts";
import { InternalToken } from "./internal-token.ts";

/** Every name begins so (the schema demands it): most headers are told apart by their first character. */
const FIRST_CHAR = "x".charCodeAt(0);

/** Identities of which the headers are kept; they are made anew after that. */
type Written = WeakMap<Identity, HeaderList>;

export class IdentityHeaders {
  readonly #names: ReadonlySet<string>;
  readonly #plan: IdentityPlan;
  readonly #written: Written = new WeakMap();
  readonly #token: { readonly header: string; readonly source: InternalToken } | null;

  constructor(plan: IdentityPlan) {
    this.#plan = plan;
    this.#names = new Set(plan.protectedNames);
    this.#token = plan.token === null ? null : { header: plan.token.header, source: new InternalToken(plan.token) };
  }

  /** Whether services take this header for the gateway's word. @param name lowercase */
  isProtected(name: string): boolean {
    return name.charCodeAt(0) === FIRST_CHAR && this.#names.has(name);
  }

  /** Appends what services are told. The caller has made sure that none of these names is there. */
  append(identity: Identity, headers: HeaderList): void {
    this.describe(identity, headers);
    if (this.#token !== null) headers.push(this.#token.header, this.#token.source.of(identity));
  }

  /** As append(), without the token, which is another one every few seconds. */
  describe(identity: Identity, headers: HeaderList): void {
    let written = this.#written.get(identity);
    if (written === undefined) {
      written = this.#write(identity);
      this.#written.set(identity, written);
    }
    for (let i = 0; i < written.length; i++) headers.push(written[i] as string); // i is inside the list
  }

  #write(identity: Identity): HeaderList {
    const { headers, claims } = this.#plan;
    const list: HeaderList = [];
    const put = (name: string | null, value: string): void => {
      if (name !== null && value !== "") list.push(name, value);
    };
    put(headers.consumer, single(identity.consumer));
    put(headers.authenticator, identity.authenticator);
    put(headers.tier, identity.tier ?? "");
    put(headers.scopes, identity.scopes.map(item).join(" "));
    put(headers.roles, identity.roles.map(item).join(","));
    put(headers.groups, identity.groups.map(item).join(","));
    for (const { header, claim } of claims) put(header, claimText(claimAt(identity.claims, claim)));
    return list;
  }
}

/** A text, number or boolean, or a list of them; '' for anything else. */
function claimText(value: unknown): string {
  if (Array.isArray(value)) return value.every(isScalar) ? value.map((each) => item(String(each))).join(",") : "";
  return isScalar(value) ? single(String(value)) : "";
}

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean";

/** Visible ASCII without `%`. */
const SINGLE = /^[\x21-\x24\x26-\x7e]*$/;
/** Also without the comma, which separates. */
const ITEM = /^[\x21-\x24\x26-\x2b\x2d-\x7e]*$/;

/** Everything else is percent-encoded as UTF-8 bytes: nothing can end the value or stand for two of them, and services can undo it. */
const single = (text: string): string => (SINGLE.test(text) ? text : encoded(text, SINGLE));
const item = (text: string): string => (ITEM.test(text) ? text : encoded(text, ITEM));

function encoded(text: string, plain: RegExp): string {
  let out = "";
  for (const char of Buffer.from(text, "utf8").toString("latin1")) out += plain.test(char) ? char : encodeByte(char.charCodeAt(0));
  return out;
}

// Owns session affinity in one worker: which target a client's cookie names, and the cookie that names a target.
// Must never show a target's address, nor believe a value that this secret did not make.
import { createHmac } from "node:crypto";
import type { HeaderList } from "../../base/header-list.ts";
import type { StickyPlan } from "../../plan/plan.ts";
import type { RequestView } from "../routing/request-view.ts";
import { cookieValue } from "./balance/hash-key.ts";
import type { Member } from "./endpoint-set.ts";
import type { Endpoint } from "./upstream.ts";

/** Bytes of the keyed hash that go into the cookie: 96 bits, beyond guessing. */
const VALUE_BYTES = 12;

/**
 * The value is HMAC-SHA256(key, the endpoint's key), cut: equal in all workers, instances and restarts that have the secret, and without it nobody can
 * tell which address it stands for, not even by trying all addresses. A client can only send values that somebody was given: it can so stay at a
 * target, or come to one that another client was at. Both it could do as well by dropping the cookie until it is lucky.
 */
export class Sticky {
  readonly #plan: StickyPlan;
  readonly #members = new Map<string, Member>();
  readonly #values = new Map<Endpoint, string>();

  constructor(plan: StickyPlan) {
    this.#plan = plan;
  }

  /** The list changed. */
  setMembers(members: readonly Member[]): void {
    this.#members.clear();
    this.#values.clear();
    for (const member of members) {
      const value = createHmac("sha256", this.#plan.key).update(member.plan.key).digest().toString("base64url", 0, VALUE_BYTES);
      this.#members.set(value, member);
      this.#values.set(member, value);
    }
  }

  /** @returns the target that the client's cookie names, if it may be used; else null */
  find(x: RequestView): Member | null {
    const value = cookieValue(x, this.#plan.cookie);
    if (value === "") return null;
    const member = this.#members.get(value);
    return member?.available === true ? member : null;
  }

  /** The response comes from this target: sets the cookie in its headers, unless the client's names it already. */
  remember(x: RequestView, endpoint: Endpoint, headers: HeaderList): void {
    const { cookie, attributes, secure } = this.#plan;
    const value = this.#values.get(endpoint);
    if (value === undefined || cookieValue(x, cookie) === value) return;
    const isSecure = secure === "auto" ? x.clientInfo().scheme === "https" : secure;
    headers.push("set-cookie", `${cookie}=${value}${attributes}${isSecure ? "; Secure" : ""}`);
  }
}

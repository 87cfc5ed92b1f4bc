// Owns the short-lived token (RFC 7519) by which services can check that it was the gateway that named the caller. Must never put a credential into it.
//
// Cost: an Ed25519 signature takes some 30 us, an HMAC 3 us; most requests take the token that is there already (below 0.1 us).
import { createHmac, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { keyBytes } from "../../../base/key-bytes.ts";
import type { InternalTokenPlan } from "../../../plan/plan.ts";
import type { Identity } from "./identity.ts";

/** Tokens kept for identities that are made anew for each request. */
const TOKENS_MAX = 4096;

interface Issued {
  readonly token: string;
  /** Epoch ms from which on a new one is made. */
  readonly renewAtMs: number;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

export class InternalToken {
  readonly #plan: InternalTokenPlan;
  readonly #head: string;
  readonly #key: KeyObject | Buffer;
  readonly #issued = new WeakMap<Identity, Issued>();
  readonly #byContent = new Map<string, Issued>();
  readonly #now: () => number;

  /** @throws Error when the key cannot be used: the primary has checked it, and the plan is refused */
  constructor(plan: InternalTokenPlan, now: () => number = Date.now) {
    this.#plan = plan;
    this.#now = now;
    this.#head = encode({ alg: plan.algorithm, typ: "JWT", ...(plan.keyId === null ? {} : { kid: plan.keyId }) });
    this.#key = plan.algorithm === "EdDSA" ? createPrivateKey(plan.key) : (keyBytes(plan.key) ?? unusable());
  }

  /** A token that is good for at least half of the configured life. */
  of(identity: Identity): string {
    const nowMs = this.#now();
    let issued = this.#issued.get(identity);
    if (issued === undefined || nowMs >= issued.renewAtMs) {
      issued = this.#sharedWith(identity, nowMs);
      this.#issued.set(identity, issued);
    }
    return issued.token;
  }

  /** Some authenticators make an identity anew for each request: equal ones share a token. */
  #sharedWith(identity: Identity, nowMs: number): Issued {
    const content = JSON.stringify(this.#payload(identity));
    const known = this.#byContent.get(content);
    if (known !== undefined && nowMs < known.renewAtMs) return known;
    const issued = { token: this.#make(identity, nowMs), renewAtMs: nowMs + this.#plan.ttlMs / 2 };
    if (this.#byContent.size >= TOKENS_MAX && known === undefined) this.#byContent.clear();
    this.#byContent.set(content, issued);
    return issued;
  }

  #payload(identity: Identity): object {
    const { consumer, authenticator, tier, scopes, roles, groups } = identity;
    const { issuer, audience } = this.#plan;
    return {
      iss: issuer,
      ...(audience === null ? {} : { aud: audience }),
      sub: consumer,
      auth: authenticator,
      ...(tier === null ? {} : { tier }),
      scope: scopes.join(" "),
      roles,
      groups,
    };
  }

  #make(identity: Identity, nowMs: number): string {
    const iat = Math.floor(nowMs / 1000);
    const text = `${this.#head}.${encode({ ...this.#payload(identity), iat, exp: iat + Math.ceil(this.#plan.ttlMs / 1000) })}`;
    return `${text}.${this.#sign(text)}`;
  }

  #sign(text: string): string {
    if (Buffer.isBuffer(this.#key)) return createHmac("sha256", this.#key).update(text).digest("base64url");
    return sign(null, Buffer.from(text), this.#key).toString("base64url");
  }
}

function unusable(): never {
  throw new Error("the key of the internal token cannot be used");
}

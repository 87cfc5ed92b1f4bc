// Owns by what the responses of a route are told apart: the URL as clients write it, and everything by which the gateway makes one caller's request another than
// the next one's. What is not in the key must not change what is asked (RFC 9111 section 2; cache poisoning).

import { getList, type HeaderList } from "../../base/header-list.ts";
import type { CacheSettings } from "../../plan/cache-plan.ts";
import { cacheUrl, keyedQuery, urlNumber } from "../../shared/cache/names.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Identity } from "../exchange/identity/identity.ts";
import type { UpstreamRequest } from "../exchange/policy.ts";
import type { KeyedPolicy } from "../exchange/route-context.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { CacheKey } from "./response-cache.ts";

/** Longer keys are not looked for: such a request goes to the origin. */
export const KEY_CHARS_MAX = 8192;
/** Claims that differ from one credential of a caller to the next (RFC 7519 section 4.1, OpenID Connect Core section 2). */
const VOLATILE_CLAIMS: ReadonlySet<string> = new Set(["exp", "iat", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "sid"]);

export interface KeyContext {
  /** Changes with the route's name and with every setting of its cache: what was stored under others is not found. */
  readonly space: string;
  readonly settings: CacheSettings;
  /** Those that change what is sent, but the one that adds the caller's identity. */
  readonly policies: readonly KeyedPolicy[];
  /** The route asks for a caller. */
  readonly authenticates: boolean;
  /** Appends what services are told of a caller, without what changes by itself. */
  describe(identity: Identity, headers: HeaderList): void;
}

export class KeyMaker {
  readonly #context: KeyContext;
  readonly #identities = new WeakMap<Identity, string>();
  /** Of the last URL: mostly the next one too. */
  #lastUrl = "";
  #lastStamp = 0;

  constructor(context: KeyContext) {
    this.#context = context;
  }

  /** @param upstream the one that is asked, when callers are given different ones by rule; null: it does not matter. @returns null: such a request is not served from the store */
  of(x: Exchange, upstream: Upstream | null): CacheKey | null {
    const { settings, authenticates, space } = this.#context;
    if (authenticates && x.identity === null && settings.perConsumer) return null;
    const url = urlOf(x, keyedQuery(x.query, settings.query));
    let text = `${url}\n${space}\n${x.path === pathOf(x.upstreamPath) ? "" : x.upstreamPath}\n${upstream?.name ?? ""}`;
    text += `\n${this.#additions(x)}\n`;
    if (x.identity !== null && settings.perConsumer) text += this.#identity(x.identity);
    for (const name of settings.keyHeaders) text += `\n${getList(x.headers, name) ?? "\u0001"}`;
    if (settings.keyCookies.length > 0) text += `\n${cookies(x, settings.keyCookies)}`;
    if (text.length > KEY_CHARS_MAX || NOT_LATIN1.test(text)) return null;
    if (url !== this.#lastUrl) {
      this.#lastUrl = url;
      this.#lastStamp = urlNumber(url);
    }
    return { text, stamp: this.#lastStamp };
  }

  /** What the route's policies put into the request by themselves. */
  #additions(x: Exchange): string {
    const { policies } = this.#context;
    if (policies.length === 0) return "";
    const request: UpstreamRequest = { method: x.method, path: x.upstreamPath, headers: [] };
    let said = "";
    for (const policy of policies) {
      if (policy.cacheKey == null) policy.onUpstreamRequest?.(x, request);
      else said += `${policy.cacheKey(x)}\u0000`;
    }
    return `${said}${request.path === x.upstreamPath ? "" : request.path}\u0000${request.headers.join("\u0000")}`;
  }

  #identity(identity: Identity): string {
    let text = this.#identities.get(identity);
    if (text === undefined) {
      const told: HeaderList = [];
      this.#context.describe(identity, told);
      const { consumer, authenticator, tier, scopes, roles, groups, claims } = identity;
      const kept = Object.entries(claims ?? {}).filter(([name]) => !VOLATILE_CLAIMS.has(name));
      const whole = JSON.stringify([consumer, authenticator, tier, scopes, roles, groups, kept, told]);
      text = Buffer.from(whole, "utf8").toString("latin1");
      this.#identities.set(identity, text);
    }
    return text;
  }
}

const NOT_LATIN1 = /[^\x00-\xff]/;

/** The URL by which purges name it. */
export const urlOf = (x: Exchange, query: string): string => cacheUrl(x.clientInfo().scheme, x.authority, x.path, query);

const pathOf = (target: string): string => {
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
};

function cookies(x: Exchange, names: readonly string[]): string {
  const values = new Map<string, string>();
  for (const pair of (getList(x.headers, "cookie") ?? "").split(/[;,]/)) {
    const equals = pair.indexOf("=");
    if (equals > 0) values.set(pair.slice(0, equals).trim(), pair.slice(equals + 1).trim());
  }
  return names.map((name) => values.get(name) ?? "\u0001").join("\u0000");
}

// Owns by what the responses of a route are told apart: the URL as clients write it, and everything by which the gateway makes one caller's request another than
// the next one's. What is not in the key must not change what is asked (RFC 9111 section 2; cache poisoning).

import { getHeader, getList, type HeaderList } from "../../base/header-list.ts";
import { SIP_CHARS_MAX, SIP_KEY_BYTES, SipHash } from "../../base/sip-hash.ts";
import type { CacheSettings, QueryKey } from "../../plan/cache-plan.ts";
import { cacheUrl, keyedQuery, urlNumber } from "../../shared/cache/names.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { CredentialPlace } from "../exchange/identity/authenticator.ts";
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
  /** Where authenticators have found the credentials that they have proven. @param names joined by `+` */
  placesOf(names: string): readonly CredentialPlace[];
}

export class KeyMaker {
  readonly #context: KeyContext;
  readonly #identities = new WeakMap<Identity, string>();
  /** Stands for the space: every request's key is hashed and compared. */
  readonly #space: string;

  constructor(context: KeyContext) {
    this.#context = context;
    this.#space = shortName(context.space);
  }

  /** @param upstream the one that is asked, when callers are given different ones by rule; null: it does not matter. @returns null: such a request is not served from the store */
  of(x: Exchange, upstream: Upstream | null): CacheKey | null {
    const { settings, authenticates } = this.#context;
    if (authenticates && x.identity === null && settings.perConsumer) return null;
    const url = urlOf(x, keyedQuery(x.query, settings.query));
    let text = `${url}\n${this.#space}\n${isAsAsked(x) ? "" : x.upstreamPath}\n${upstream?.name ?? ""}\u0003${x.runtime.toldOfTarget(x)}`;
    text += `\n${this.#additions(x)}\n`;
    if (x.identity !== null && settings.perConsumer) text += this.#identity(x.identity);
    for (const name of settings.keyHeaders) text += `\n${getList(x.headers, name) ?? "\u0001"}`;
    if (settings.keyCookies.length > 0) text += `\n${cookies(x, settings.keyCookies)}`;
    return text.length > KEY_CHARS_MAX ? null : new UrlKey(text, url);
  }

  /** What the route's policies put into the request by themselves. */
  #additions(x: Exchange): string {
    const { policies } = this.#context;
    if (policies.length === 0) return "";
    const request: UpstreamRequest = { method: x.method, path: x.upstreamPath, headers: [] };
    let said = "";
    for (const policy of policies) {
      if (policy.cacheKey == null) policy.onUpstreamRequest?.(x, request);
      else {
        const own = policy.cacheKey(x);
        said += `${own.length}:${own}`; // it may hold anything: nothing in it can pass for what comes behind
      }
    }
    return `${said}${request.path === x.upstreamPath ? "" : request.path}\u0000${request.headers.join("\u0000")}`;
  }

  /** Whether a policy puts this field into the request. For the rare answer that varies by one. @param name lowercase */
  adds(x: Exchange, name: string): boolean {
    const { policies, describe } = this.#context;
    const request: UpstreamRequest = { method: x.method, path: x.upstreamPath, headers: [] };
    for (const policy of policies) if (policy.cacheKey == null) policy.onUpstreamRequest?.(x, request);
    if (x.identity !== null) describe(x.identity, request.headers);
    return getHeader(request.headers, name) !== undefined;
  }

  /** Whether the origin gets an Authorization that is no credential of the caller's whom the key names. @param sent header section */
  hasUnproven({ identity }: Exchange, sent: HeaderList): boolean {
    if (getHeader(sent, "authorization") === undefined) return false;
    if (identity === null) return true;
    const left = [...sent];
    for (const place of this.#context.placesOf(identity.authenticator)) place.stripHeaders(left);
    return getHeader(left, "authorization") !== undefined;
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

/** Whether it is a byte string: no other is stored, so that none is found either. */
export const isStorable = ({ text }: CacheKey): boolean => !NOT_LATIN1.test(text);

/** A hit needs no number of its URL. */
class UrlKey implements CacheKey {
  readonly text: string;
  readonly #url: string;
  #stamp = -1;

  constructor(text: string, url: string) {
    this.text = text;
    this.#url = url;
  }

  get stamp(): number {
    if (this.#stamp < 0) this.#stamp = urlNumber(this.#url);
    return this.#stamp;
  }
}

/** Of 128 bits: an operator's settings, which nobody chooses to collide. */
function shortName(text: string): string {
  return [1, 2].map((seed) => hashOf(text, new SipHash(new Uint8Array(SIP_KEY_BYTES).fill(seed)))).join("");
}

function hashOf(text: string, hash: SipHash): string {
  let [high, low] = [0, 0];
  for (let at = 0; at === 0 || at < text.length; at += SIP_CHARS_MAX / 2) {
    hash.hashAfter(high, low, text.slice(at, at + SIP_CHARS_MAX / 2));
    ({ high, low } = hash);
  }
  return [high, low].map((half) => (half >>> 0).toString(36)).join(".");
}

/** The URL by which purges name it. */
export const urlOf = (x: Exchange, query: string): string => cacheUrl(x.scheme, x.authority, x.path, query);

/** No policy sends another path or query than the client's. */
const isAsAsked = ({ path, query, upstreamPath }: Exchange): boolean =>
  upstreamPath.length === path.length + (query === "" ? 0 : query.length + 1) &&
  upstreamPath.startsWith(path) &&
  upstreamPath.endsWith(query);

/**
 * What does not count in the key is not sent: of the client's own parameters, those that count, in the order of the key; behind them what policies have added.
 * @param path with the query, as policies have left them
 */
export function sentPath(x: Exchange, path: string, rule: QueryKey): string {
  const mark = path.indexOf("?");
  if (rule.kind === "all" || mark < 0) return path;
  const own = new Set(x.query.split("&"));
  const parts = path.slice(mark + 1).split("&");
  const kept = keyedQuery(parts.filter((part) => own.has(part)).join("&"), rule);
  const query = [...(kept === "" ? [] : [kept]), ...parts.filter((part) => part !== "" && !own.has(part))].join("&");
  return query === "" ? path.slice(0, mark) : `${path.slice(0, mark)}?${query}`;
}

/** All values of a name, in their order: services differ in which of them they take. One that some would read otherwise counts as a whole. */
function cookies(x: Exchange, names: readonly string[]): string {
  const field = getList(x.headers, "cookie") ?? "";
  if (/[",\\]/.test(field)) return field;
  const values = new Map<string, string>();
  for (const pair of field.split(";")) {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(0, equals)).trim();
    if (names.includes(name)) values.set(name, `${values.get(name) ?? ""}\u0002${pair.slice(equals + 1).trim()}`);
  }
  return names.map((name) => values.get(name) ?? "\u0001").join("\u0000");
}

// Decides whether a response may be stored, and what of it (RFC 9111 sections 3, 3.1, 3.5, 7.3). Pure. In doubt nothing is stored.
import { getHeader, getList, type HeaderList } from "../../../base/header-list.ts";
import { isHopByHop, isToken, trimWhitespace } from "../../../base/http.ts";
import { type Directives, parseCacheControl } from "./directives.ts";
import { explicitLifetime, type Freshness, grantedLifetime, initialAge, type LifetimeRules, type ResponseTimes } from "./freshness.ts";
import { targetedDirectives } from "./targeted.ts";

export interface StoreRules extends LifetimeRules {
  /** Responses with Set-Cookie are stored, without the cookies unless `keep`. */
  readonly setCookie: "refuse" | "keep";
  /** The gateway has authenticated who asked, and the key tells callers apart: Authorization forbids nothing then (section 3.5). */
  readonly isKeyedByCaller: boolean;
  /** `no-store` of a request counts (section 5.2.1.5). */
  readonly obeysRequests: boolean;
  /** Cookies that are part of the key. */
  readonly keyCookies: readonly string[];
  /** Other cookies do not keep the route from granting a lifetime where the origin says none. */
  readonly ignoresCookies: boolean;
}

/** A request as it went to the origin, and what came back. */
export interface Answered {
  readonly method: string;
  /** As the client sent them. */
  readonly requestHeaders: HeaderList;
  /** As the origin got them. */
  readonly sentHeaders: HeaderList;
  /** The origin got an Authorization that the gateway has not proven. */
  readonly hasUnproven: boolean;
  readonly status: number;
  readonly headers: HeaderList;
  readonly times: ResponseTimes;
}

/** Why a response is not stored: the words of `GET /cache` and of the `detail` of Cache-Status. */
export type Unstorable =
  | "method"
  | "status"
  | "partial"
  | "request-no-store"
  | "no-store"
  | "private"
  | "authorization"
  | "set-cookie"
  | "vary-star"
  | "vary-too-long"
  | "vary-unkeyed"
  | "cookie"
  | "no-lifetime"
  | "no-validator";

const BY_REQUEST: ReadonlySet<string> = new Set<Unstorable>([
  "method",
  "request-no-store",
  "authorization",
  "set-cookie",
  "cookie",
  "vary-unkeyed",
]);

/** Whether it is the response that is not for storing, whoever asks: what is stored of it is no longer true then. @param status of the response */
export const outdates = (status: number, why: string): boolean =>
  !BY_REQUEST.has(why) && ((status >= 200 && status < 400) || status === 404 || status === 410);

export interface Storable {
  readonly freshness: Freshness;
  /** Lowercase names by which variants are told apart, sorted, each once. */
  readonly vary: readonly string[];
  /** What is stored of the header section. */
  readonly headers: HeaderList;
}

/** Names in one Vary: a response with more is a variant for every caller. */
const VARY_MAX = 16;

/** Final statuses whose meaning this cache knows (section 3: must-understand). 206 and 304 are no complete responses. */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413, 414, 415, 421, 422, 429, 451, 500,
  501, 502, 503, 504,
]);

/** @returns a reason when it is not to be stored */
export function assess(answered: Answered, rules: StoreRules): Storable | Unstorable {
  const { method, status, headers, times } = answered;
  if (method !== "GET") return "method"; // HEAD fills nothing (RFC 9110 section 9.3.2)
  if (status === 206) return "partial";
  if (status < 200 || status === 304) return "status";
  const targeted = targetedDirectives(headers);
  const directives = targeted ?? parseCacheControl(getList(headers, "cache-control"));
  const refusal = forbids(answered, directives, rules);
  if (refusal !== null) return refusal;
  const vary = varyNames(headers);
  if (typeof vary === "string") return vary;
  const said = explicitLifetime(headers, directives, times, targeted !== null);
  const lifetime = said >= 0 ? said : grantedLifetime(status, headers, rules, times.receivedMs, directives.isPublic);
  const hasValidator = getHeader(headers, "etag") !== undefined || getHeader(headers, "last-modified") !== undefined;
  if (lifetime < 0 && !directives.noCache) return "no-lifetime";
  if (said < 0 && !directives.isPublic && isForCookie(answered, vary, rules)) return "cookie";
  const freshness = freshnessOf(directives, Math.max(0, lifetime), initialAge(headers, times), { rules, receivedMs: times.receivedMs });
  const isUsable =
    !directives.noCache && freshness.lifetime + Math.max(freshness.staleIfError, freshness.staleWhileRevalidate) > freshness.initialAge;
  if (!isUsable && !hasValidator) return "no-validator";
  return { freshness, vary, headers: storedHeaders(headers, directives, rules) };
}

function forbids({ status, headers, requestHeaders, hasUnproven }: Answered, directives: Directives, rules: StoreRules): Unstorable | null {
  if (rules.obeysRequests && parseCacheControl(getList(requestHeaders, "cache-control")).noStore) return "request-no-store";
  // Section 5.2.2.3: no-store does not count beside must-understand when the status is understood; an unknown one is not stored then.
  if (directives.mustUnderstand ? !UNDERSTOOD.has(status) : directives.noStore) return directives.noStore ? "no-store" : "status";
  if (directives.isPrivate) return "private";
  const isUnkeyed = hasUnproven || (getHeader(requestHeaders, "authorization") !== undefined && !rules.isKeyedByCaller);
  if (isUnkeyed && !permitsShared(directives)) return "authorization";
  if (rules.setCookie === "refuse" && getHeader(headers, "set-cookie") !== undefined && !directives.unstoredFields.includes("set-cookie"))
    return "set-cookie";
  return null;
}

/** The origin was shown a cookie that no key holds, and says nothing of who may have its answer: what a route grants must not make that everybody's (section 7.3). */
function isForCookie(
  { sentHeaders }: Answered,
  vary: readonly string[],
  { isKeyedByCaller, keyCookies, ignoresCookies }: StoreRules,
): boolean {
  if (isKeyedByCaller || ignoresCookies || vary.includes("cookie")) return false;
  const sent = getList(sentHeaders, "cookie");
  return sent?.split(/[;,]/).some((pair) => !keyCookies.includes(trimWhitespace(pair.split("=", 1)[0] ?? ""))) === true;
}

/** Section 3.5. */
const permitsShared = ({ isPublic, mustRevalidate, sMaxAge }: Directives): boolean => isPublic || mustRevalidate || sMaxAge >= 0;

function freshnessOf(
  directives: Directives,
  lifetime: number,
  age: number,
  { rules, receivedMs }: { readonly rules: LifetimeRules; readonly receivedMs: number },
): Freshness {
  const { mustRevalidate, proxyRevalidate, sMaxAge, noCache } = directives;
  const mustAsk = mustRevalidate || proxyRevalidate || noCache;
  // What the origin says itself counts beside s-maxage too, which CDNs' users write together; what the route grants does not (section 5.2.2.10).
  const window = (said: number, granted: number): number => (mustAsk ? 0 : Math.max(0, said >= 0 || sMaxAge >= 0 ? said : granted));
  return {
    receivedMs,
    initialAge: age,
    lifetime,
    staleWhileRevalidate: window(directives.staleWhileRevalidate, rules.staleWhileRevalidate),
    staleIfError: window(directives.staleIfError, rules.staleIfError),
    noCache,
    neverStale: mustAsk || sMaxAge >= 0,
    immutable: directives.immutable,
  };
}

/**
 * A response in a coding was chosen by Accept-Encoding, whether or not Vary says so: who takes no coding must not be given one (RFC 9110 section 12.5.3).
 * @returns lowercase, sorted; a reason when nothing may be stored (section 4.1)
 */
export function varyNames(headers: HeaderList): readonly string[] | "vary-star" | "vary-too-long" {
  const coding = trimWhitespace(getList(headers, "content-encoding") ?? "").toLowerCase();
  const names = new Set<string>(coding === "" || coding === "identity" ? [] : ["accept-encoding"]);
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "vary") continue;
    for (const part of (headers[i + 1] ?? "").split(",")) {
      const name = trimWhitespace(part).toLowerCase();
      if (name === "") continue;
      if (name === "*" || !isToken(name)) return "vary-star";
      names.add(name);
      if (names.size > VARY_MAX) return "vary-too-long";
    }
  }
  return [...names].sort();
}

/** What is for one connection or one caller alone (section 3.1), and what the cache itself says. */
function storedHeaders(headers: HeaderList, { unstoredFields }: Directives, rules: StoreRules): HeaderList {
  const kept: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // pairs
    if (isHopByHop(name) || name === "age" || name === "content-length") continue;
    if (name === "proxy-authentication-info" || unstoredFields.includes(name)) continue;
    if (rules.setCookie === "refuse" && name === "set-cookie") continue;
    kept.push(name, headers[i + 1] as string);
  }
  return kept;
}

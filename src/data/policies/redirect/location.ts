// Owns what a Location may look like, so that no caller can choose the host it leads to. Pure; shared by schema, policy and handler.
import type { Exchange } from "../../exchange/exchange.ts";
import type { Reply } from "../../exchange/policy.ts";

/** For a target that takes the request's host. */
export const NO_HOST: Reply = { kind: "problem", code: "bad_request", detail: "Without a Host header there is no address to redirect to." };

/** @param query without `?`; '' for none */
export const redirectReply = (status: number, location: string, query: string): Reply => ({
  kind: "response",
  status,
  headers: ["location", withQuery(location, query)],
  body: null,
});

/** By plain HTTP, as far as trusted proxies are believed. */
export const isPlain = (x: Exchange): boolean => !x.secure && x.clientInfo().scheme === "http";

const HTTPS_PORT = 443;

/** To the same address by https. @param to its query without `?`, without credentials: a Location stands in logs and histories */
export const httpsReply = (x: Exchange, to: { readonly port: number; readonly status: number; readonly query: string }): Reply =>
  x.host === "" ? NO_HOST : redirectReply(to.status, `https://${x.host}${to.port === HTTPS_PORT ? "" : `:${to.port}`}${x.path}`, to.query);

/** Without the credentials that `auth` looked for: a Location stands in logs and histories, and may lead to another host. */
export const shownQueryOf = (x: Exchange): string => x.redactedQuery ?? x.query;

/** A redirect target, taken apart: `prefix`, then the request's host if `requestHost`, then `port`, then `rest` (a template). */
export interface Target {
  /** `https://www.example.com`, `https://` when the request's host follows, '' for a path on this host. */
  readonly prefix: string;
  readonly requestHost: boolean;
  /** `:8443`, or ''. */
  readonly port: string;
  /** Path, query and fragment. */
  readonly rest: string;
}

const ABSOLUTE =
  /^(?<scheme>https?:\/\/)(?:(?<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])|\{host\})(?<port>:\d{1,5})?(?<rest>(?:[/?#]|\{request\.path\}).*)?$/;

/**
 * @param to a redirect target as configured, templates unrendered.
 * @returns null unless scheme and host are fixed, or the host is the request's own `{host}`: a path with one leading `/`, or http(s)://host...
 */
export function parseTarget(to: string): Target | null {
  if (/[^\x21-\x7e]|\\/.test(to)) return null;
  if (to.startsWith("/")) return to.startsWith("//") ? null : { prefix: "", requestHost: false, port: "", rest: to };
  const groups = ABSOLUTE.exec(to)?.groups;
  if (groups === undefined) return null;
  const host = groups["host"];
  return {
    prefix: `${groups["scheme"]}${host ?? ""}`,
    requestHost: host === undefined,
    port: groups["port"] ?? "",
    rest: groups["rest"] ?? "",
  };
}

/**
 * Adds a query to an address, before its fragment.
 * @param query without `?`; '' for none
 */
export function withQuery(location: string, query: string): string {
  if (query === "") return location;
  const hash = location.indexOf("#");
  const base = hash < 0 ? location : location.slice(0, hash);
  const fragment = hash < 0 ? "" : location.slice(hash);
  return `${base}${base.includes("?") ? "&" : "?"}${query}${fragment}`;
}

/** A path reference that can't be read as `//host` (RFC 3986 section 4.2): leading slashes collapse to one. */
export function singleSlash(path: string): string {
  let start = 0;
  while (path.charCodeAt(start) === 0x2f) start++;
  return start <= 1 ? path : path.slice(start - 1);
}

// Owns the way back through a route: which addresses are the service's own, and what its paths are called at the client's side. One object a response that
// names an address. Must never lead to a host that neither the service nor the operator has named.
import { getHeader } from "../../../base/header-list.ts";
import { parseAuthority } from "../../../base/http.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { SentRequest } from "../../exchange/policy.ts";
import type { RequestRewrite } from "./config.ts";
import { isUnder, prefixEnd, prefixIn } from "./prefix.ts";

/** Whose an authority is. */
export type Owner = "service" | "client" | "foreign";

/** RFC 3986 section 5.2.4, with the encoded forms, which browsers take for dots too. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;
const DOT = /^(?:\.|%2e)$/i;
const DOUBLE_DOT = /^(?:\.|%2e){2}$/i;

export class WayBack {
  readonly #x: Exchange;
  readonly #sent: SentRequest;
  /** What the service was told of the prefix that was removed; '' for nothing. */
  readonly #told: string;
  /** What stands before a service's path at the client's side, instead of {@link #added}. '' for nothing. */
  readonly #outside: string;
  readonly #added: string;

  constructor(x: Exchange, sent: SentRequest, rewrite: RequestRewrite) {
    this.#x = x;
    this.#sent = sent;
    this.#told = prefixIn(sent.request.headers);
    const { strip, add } = rewrite.kind === "prefix" ? rewrite : NOTHING;
    this.#outside = this.#told !== "" ? this.#told : strip !== "" && prefixEnd(x.path, strip) >= 0 ? strip : "";
    this.#added = add;
  }

  /** Paths are the same on both sides. */
  get keepsPaths(): boolean {
    return this.#outside === "" && this.#added === "";
  }

  get clientScheme(): "http" | "https" {
    return this.#x.clientInfo().scheme;
  }

  /** The client's host, as trusted proxies and Host name it: lower case, without port; '' for none. */
  get clientHost(): string {
    return parseAuthority(this.#clientAuthority())?.host ?? "";
  }

  /** Names by which the service goes: in the Host that it got, and as the target's. */
  get serviceHosts(): readonly string[] {
    return [getHeader(this.#sent.request.headers, "host") ?? "", this.#sent.endpoint.plan.authority].flatMap(
      (each) => parseAuthority(each)?.host ?? [],
    );
  }

  /** The path that the service got, without query. */
  get sentPath(): string {
    const { path } = this.#sent.request;
    const query = path.indexOf("?");
    return query < 0 ? path : path.slice(0, query);
  }

  #clientAuthority(): string {
    return getHeader(this.#sent.request.headers, "x-forwarded-host") ?? this.#x.authority;
  }

  /** @param host in normal form @param port -1 for that of the scheme */
  ownerOf(host: string, port: number): Owner {
    const is = (authority: string): boolean => {
      const own = parseAuthority(authority);
      return own !== null && own.host === host && (own.port === port || (port === -1 && (own.port === 80 || own.port === 443)));
    };
    if (is(this.#clientAuthority())) return "client";
    const { request, endpoint } = this.#sent;
    return is(this.#x.authority) || is(getHeader(request.headers, "host") ?? "") || is(endpoint.plan.authority) ? "service" : "foreign";
  }

  /** @param path of the service, absolute, without dot segments. @returns null: no path of the client's side leads there */
  path(path: string): string | null {
    // A service that knows of the prefix puts it there itself.
    if (this.#told !== "" && isUnder(path, this.#told)) return path;
    if (!isUnder(path, this.#added)) return null;
    return this.#outside + path.slice(this.#added.length) || "/";
  }

  /** The same of a cookie's Path, which stands for all below it. @returns `path` itself where there is no other */
  cookiePath(path: string): string {
    if (this.#told !== "" && isUnder(path, this.#told)) return path;
    const below = path.endsWith("/") ? path.slice(0, -1) : path;
    if (path === "/" || isUnder(this.#added, below)) return this.#outside || "/";
    return this.path(path) ?? path;
  }
}

const NOTHING = { strip: "", add: "" };

/** @param path absolute. @returns it without dot segments; what would leave the root stays there */
export function withoutDots(path: string): string {
  if (!DOT_SEGMENT.test(path)) return path;
  const segments = path.split("/");
  const kept: string[] = [];
  for (const [i, segment] of segments.entries()) {
    const isDouble = DOUBLE_DOT.test(segment);
    if (isDouble || DOT.test(segment)) {
      if (isDouble && kept.length > 1) kept.pop();
      if (i === segments.length - 1) kept.push("");
    } else kept.push(segment);
  }
  return kept.join("/");
}

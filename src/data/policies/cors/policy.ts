// Owns the CORS protocol of the Fetch standard (section 3.3) for one route: preflights, response headers, WebSocket origins.

import { addVary, getList, removeHeaders, setHeader } from "../../../base/header-list.ts";
import { isToken, trimWhitespace } from "../../../base/http.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply, ResponseHead } from "../../exchange/policy.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import { readSingle, singleHeaderValue, TWICE } from "../../routing/request/single-value.ts";
import type { CorsConfig } from "./config.ts";
import { compileOrigins } from "./origins.ts";

/** What a preflight is told when neither the policy nor the route names methods. */
const METHODS_DEFAULT: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/** A longer list of asked-for headers is not echoed, so the browser gives up. */
const ASKED_HEADERS_CHARS_MAX = 4096;
/** The same for their number. */
const ASKED_HEADERS_MAX = 128;

const ORIGIN_DENIED: Reply = { kind: "problem", code: "origin_denied", detail: "" };

const OWNED: ReadonlySet<string> = new Set([
  "access-control-allow-credentials",
  "access-control-allow-headers",
  "access-control-allow-methods",
  "access-control-allow-origin",
  "access-control-expose-headers",
  "access-control-max-age",
]);
const isOwned = (name: string): boolean => name.startsWith("access-control-") && OWNED.has(name);

/** Fetch standard, CORS-preflight request: OPTIONS with Origin and Access-Control-Request-Method. */
const isPreflight = (x: Exchange): boolean =>
  x.method === "OPTIONS" &&
  singleHeaderValue(x, "access-control-request-method") !== undefined &&
  singleHeaderValue(x, "origin") !== undefined;

/** Answers preflights, refuses WebSockets of unlisted origins, and replaces the upstream's Access-Control-* headers by its own. */
export const createCors: PolicyFactory = (config, route): Policy => new Cors(config as CorsConfig, route); // parsed by corsSchema in the primary

class Cors implements Policy {
  readonly name = "cors";
  readonly #allowed: (origin: string) => boolean;
  /** Every origin gets the same answer `*`, so caches need not tell them apart. */
  readonly #same: boolean;
  readonly #credentials: boolean;
  readonly #expose: string;
  readonly #methods: string;
  /** null: echo what is asked for. */
  readonly #headers: string | null;
  readonly #maxAgeSeconds: string;

  constructor(config: CorsConfig, route: PolicyRoute) {
    this.#allowed = compileOrigins(config.origins);
    this.#same = config.origins.includes("*") && !config.credentials;
    this.#credentials = config.credentials;
    this.#expose = config.exposeHeaders.join(", ");
    this.#methods = (config.methods ?? (route.methods.length > 0 ? route.methods : METHODS_DEFAULT)).join(", ");
    this.#headers = config.headers.includes("*") ? null : config.headers.join(", ");
    this.#maxAgeSeconds = String(Math.floor(config.maxAge / 1000));
  }

  onRequest(x: Exchange): Reply | undefined {
    if (x.wantsWebSocket) {
      const origin = readSingle(x, "origin");
      return origin === undefined || (origin !== TWICE && this.#allowed(origin)) ? undefined : ORIGIN_DENIED;
    }
    return isPreflight(x) ? this.#answerPreflight(x) : undefined;
  }

  /** An origin that is not listed gets a 204 without permissions: the browser then refuses. onResponse adds the origin. */
  #answerPreflight(x: Exchange): Reply {
    const headers = ["vary", "Access-Control-Request-Method, Access-Control-Request-Headers"];
    if (this.#allowed(singleHeaderValue(x, "origin") ?? "")) {
      headers.push("access-control-allow-methods", this.#methods);
      const allowHeaders = this.#headers ?? askedHeaders(x);
      if (allowHeaders !== "") headers.push("access-control-allow-headers", allowHeaders);
      headers.push("access-control-max-age", this.#maxAgeSeconds);
    }
    return { kind: "response", status: 204, headers, body: null };
  }

  headDependsOn(x: Exchange): string {
    const origin = singleHeaderValue(x, "origin");
    if (this.#same) return origin === undefined || this.#allowed(origin) ? "" : "-";
    return origin !== undefined && this.#allowed(origin) ? origin : "";
  }

  onResponse(x: Exchange, head: ResponseHead): undefined {
    const headers = head.headers;
    if (head.fromUpstream) removeHeaders(headers, isOwned);
    if (!this.#same) addVary(headers, "origin");
    const origin = singleHeaderValue(x, "origin");
    if (origin === undefined ? !this.#same : !this.#allowed(origin)) return;
    setHeader(headers, "access-control-allow-origin", this.#same ? "*" : (origin ?? "*"));
    if (this.#credentials) setHeader(headers, "access-control-allow-credentials", "true");
    if (this.#expose !== "" && (head.fromUpstream || !isPreflight(x))) setHeader(headers, "access-control-expose-headers", this.#expose);
  }
}

/** The names a preflight asks for, checked and lowercase; '' for none or when they are malformed. */
function askedHeaders(x: Exchange): string {
  const asked = getList(x.headers, "access-control-request-headers") ?? "";
  if (asked.length > ASKED_HEADERS_CHARS_MAX) return "";
  const names = asked.split(",", ASKED_HEADERS_MAX + 1).map((each) => trimWhitespace(each).toLowerCase());
  if (names.length > ASKED_HEADERS_MAX) return "";
  return names.every(isToken) ? names.join(", ") : "";
}

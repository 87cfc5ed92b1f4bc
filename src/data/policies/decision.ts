// Owns what a service's answer means for a request: it passes, it is refused, or nothing was decided. Pure.
// Must never let pass what is in any doubt: only an answer that has all that is expected does.
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { OverloadReason } from "../../base/priorities.ts";
import { hasStatus } from "../../base/status-list.ts";
import type { Reply } from "../exchange/policy.ts";
import type { Collected } from "../upstream/collect.ts";
import type { ExpectConfig } from "./config-subrequest.ts";

/** What {@link FAILED_OPEN_HEADER} (base/origin-claims.ts) says. */
export const FAILED_OPEN = "failed-open";

/** A service's answer. */
export interface ServiceAnswer {
  readonly status: number;
  /** Flat, lowercase. */
  readonly headers: HeaderList;
  /** null: it was longer than may be. */
  readonly body: Buffer | null;
}

/** @param collected of a call that brought one */
export const answerOf = (collected: Exclude<Collected, { readonly kind: "failed" }>): ServiceAnswer => ({
  status: collected.status,
  headers: collected.headers,
  body: collected.kind === "response" ? collected.body : null,
});

/** What was decided about one request. */
export type Decision =
  | {
      readonly kind: "allowed";
      /** Of the answer: what goes upstream. */
      readonly headers: HeaderList;
      /** Values of Set-Cookie. */
      readonly cookies: readonly string[];
    }
  | { readonly kind: "denied"; readonly answer: ServiceAnswer }
  | FailedDecision;

/** Nothing was. @property detail for operators @property headers for the client @property overloadReason there was no room for the call; left out or null: it was not that */
export interface FailedDecision {
  readonly kind: "failed";
  readonly code: ErrorCode;
  readonly detail: string;
  readonly headers: HeaderList;
  readonly overloadReason?: OverloadReason | null;
}

const SERVER_ERROR = 500;
const NOT_MODIFIED = 304;

/** @param copied names of the answer's headers that go upstream, lowercase */
export function decisionOf(answer: ServiceAnswer, expect: ExpectConfig, copied: readonly string[]): Decision {
  const { status, headers } = answer;
  // A subrequest has no conditions, so 304 stands for a response that is not there.
  if (status >= SERVER_ERROR || status < 200 || status === NOT_MODIFIED)
    return failed(`the service answered with status ${status}`, answer);
  if (!passes(answer, expect)) return { kind: "denied", answer };
  return { kind: "allowed", headers: pick(headers, copied), cookies: valuesOf(headers, "set-cookie") };
}

function passes({ status, headers }: ServiceAnswer, { statuses, headers: wanted }: ExpectConfig): boolean {
  if (!hasStatus(statuses, status)) return false;
  for (const { name, value } of wanted) {
    const found = valuesOf(headers, name);
    if (found.length !== 1 || found[0] !== value) return false;
  }
  return true;
}

function failed(detail: string, { headers }: ServiceAnswer): Decision {
  const [after] = valuesOf(headers, "retry-after");
  const isShort = after !== undefined && /^\d{1,6}$/.test(after);
  return { kind: "failed", code: "forward_auth_unavailable", detail, headers: isShort ? ["retry-after", after] : [] };
}

const NO_HEADERS: HeaderList = [];

/** Codes of a call that came too late. */
const LATE: ReadonlySet<ErrorCode> = new Set(["connect_timeout", "response_timeout", "total_timeout", "upstream_idle_timeout"]);

/** What a failed call means. @param detail for operators */
export function failedCall(code: ErrorCode, detail: string, headers: HeaderList = NO_HEADERS): FailedDecision {
  const own: ErrorCode = LATE.has(code) ? "forward_auth_timeout" : "forward_auth_unavailable";
  return {
    kind: "failed",
    code: own,
    detail: detail === "" ? code : `${code}: ${detail}`,
    headers: code === "breaker_open" || code === "overloaded" ? headers : [],
  };
}

/** Lines of these names, in their order. */
function pick(headers: HeaderList, names: readonly string[]): HeaderList {
  const out: HeaderList = [];
  if (names.length === 0) return out;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (names.includes(name)) out.push(name, headers[i + 1] as string);
  }
  return out;
}

/** Every value of a header, line by line. @param name lowercase */
export function valuesOf(headers: HeaderList, name: string): readonly string[] {
  const values: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) values.push(headers[i + 1] as string); // i is inside a list of pairs
  return values;
}

/** The gateway writes these itself, or they speak of the connection to the service. */
const NOT_RELAYED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-request-id",
]);
/** They describe a body that is not relayed. */
const OF_A_BODY: ReadonlySet<string> = new Set([
  "content-type",
  "content-encoding",
  "content-language",
  "content-location",
  "content-md5",
  "content-range",
  "digest",
  "content-digest",
  "repr-digest",
  "etag",
  "last-modified",
]);

/** RFC 9110 section 15.5.2: a 401 has a challenge. */
const ANY_CREDENTIAL: HeaderList = ["www-authenticate", 'Credential realm="forwardAuth"'];

/** What the client gets for a refusal. */
export function denialReply(answer: ServiceAnswer, how: "relay" | "problem"): Reply {
  const { status, headers, body } = answer;
  // A success that lacks what is expected must not look like one.
  if (how === "problem" || status < 300) {
    const challenges = status === 401 ? valuesOf(headers, "www-authenticate").flatMap((value) => ["www-authenticate", value]) : [];
    if (status === 401) {
      const detail = "the service that decides here did not accept them";
      return { kind: "problem", code: "credentials_invalid", detail, headers: challenges.length > 0 ? challenges : ANY_CREDENTIAL };
    }
    return { kind: "problem", code: "access_denied", detail: "the service that decides here does not let this request pass" };
  }
  const out: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (!NOT_RELAYED.has(name) && (body !== null || !OF_A_BODY.has(name))) out.push(name, headers[i + 1] as string);
  }
  // It depends on the client, and shared caches may keep some statuses by themselves (RFC 9111 section 4.2.2).
  if (valuesOf(headers, "cache-control").length === 0) out.push("cache-control", "no-store");
  return { kind: "response", status, headers: out, body };
}

/** How long the response itself allows a decision to be cached, ms; 0: not at all. A response that sets cookies belongs to this one request. */
export function lifetimeMs({ headers }: Pick<ServiceAnswer, "headers">, mostMs: number): number {
  if (valuesOf(headers, "set-cookie").length > 0) return 0;
  let least = mostMs;
  for (const value of valuesOf(headers, "cache-control")) {
    for (const directive of value.toLowerCase().split(",")) {
      const [name = "", argument = ""] = directive.trim().split("=", 2);
      if (name === "no-store" || name === "no-cache") return 0;
      if (name !== "max-age") continue;
      const seconds = /^"?(\d{1,9})"?$/.exec(argument)?.[1];
      least = Math.min(least, seconds === undefined ? 0 : Number(seconds) * 1000);
    }
  }
  return least;
}

/** Size of a cached decision, roughly. */
export const KEPT_BYTES_MAX = 8192;

/** Whether it is small enough to be cached by the thousand. */
export function isSmall(decision: Decision): boolean {
  if (decision.kind === "failed") return false;
  const headers = decision.kind === "allowed" ? decision.headers : decision.answer.headers;
  let bytes = decision.kind === "denied" ? (decision.answer.body?.length ?? 0) : 0;
  for (const each of headers) bytes += each.length;
  return bytes <= KEPT_BYTES_MAX;
}

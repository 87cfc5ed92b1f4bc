// Owns reading the request line (RFC 9112 section 3): method, target in all its forms, version. Judges nothing else: path, query and authority go
// through admission like those of any request.
import type { SentTarget } from "../../../shared/log-ring.ts";
import type { Refusal } from "../../exchange/refusal.ts";
import type { RequestLine } from "../admit.ts";

const HTTP_1_1 = " HTTP/1.1";
const HTTP_1_0 = " HTTP/1.0";
const VERSION = /^ HTTP\/\d\.\d$/;
/** RFC 3986 section 3: scheme and authority of an absolute http(s) URI. */
const ABSOLUTE = /^(https?):\/\/([^/?#]*)/i;
/** A name and a password before the host of a target that is no path. */
const USERINFO = /^([a-z][a-z0-9+.-]*:\/\/)?[^/]*@/i;

const BAD_LINE: Refusal = { code: "bad_request", detail: "not valid HTTP (RFC 9112): the request line is not method, target and version" };
const BAD_VERSION: Refusal = { code: "http_version", detail: "only HTTP/1.1 and HTTP/1.0 are spoken here" };
const BAD_TARGET: Refusal = {
  code: "bad_request",
  detail: "the request target is neither a path nor an absolute URI of this scheme (RFC 9112 section 3.2)",
};

export interface Http1RequestLine extends RequestLine {
  /** `OPTIONS *` (RFC 9110 section 9.3.7) asks the server itself. */
  readonly isServerOptions?: boolean;
  /** Of the fields behind it: set by whoever reads them. */
  usualValues: boolean;
}

/**
 * @param text begins with the line @param end of it, where its CRLF stands
 * @param secure the listener speaks TLS: an absolute-form target must name the scheme it came over (RFC 9110 section 7.4)
 */
export function readRequestLine(text: string, end: number, secure: boolean): Http1RequestLine | Refusal {
  const targetEnd = end - HTTP_1_1.length;
  const isCurrent = text.slice(targetEnd, end) === HTTP_1_1;
  // Most requests: nothing is searched for.
  if (isCurrent && text.slice(0, 5) === "GET /") return withTarget("GET", text.slice(4, targetEnd), false);
  const methodEnd = text.indexOf(" ");
  if (methodEnd <= 0 || methodEnd >= end) return targetEnd < 0 || !VERSION.test(text.slice(targetEnd, end)) ? BAD_LINE : BAD_TARGET;
  const version = targetEnd < methodEnd ? "" : text.slice(targetEnd, end);
  // Without a version it is what HTTP/0.9 was; with another one, or a target that has blanks, it is said which.
  if (!isCurrent && version !== HTTP_1_0) return VERSION.test(version) || isHttp09(text, methodEnd, end) ? BAD_VERSION : BAD_LINE;
  const method = text.slice(0, methodEnd);
  const target = text.slice(methodEnd + 1, targetEnd);
  const http10 = !isCurrent;
  if (target.charCodeAt(0) === SLASH) return withTarget(method, target, http10);
  if (target.includes(" ")) return BAD_LINE;
  if (method === "CONNECT") return { method, path: "/", query: "", http10, usualValues: false }; // admission refuses it, whatever it names
  if (target === "*" && method === "OPTIONS") return { method, path: "/", query: "", http10, usualValues: false, isServerOptions: true };
  return absolute(method, target, { secure, http10 });
}

const SLASH = 47;

/** RFC 1945 section 4.1: `GET /path` and nothing else. */
const isHttp09 = (text: string, methodEnd: number, end: number): boolean =>
  text.charCodeAt(methodEnd + 1) === SLASH && !text.slice(methodEnd + 1, end).includes(" ");

function withTarget(method: string, target: string, http10: boolean): Http1RequestLine {
  const mark = target.indexOf("?");
  if (mark < 0) return { method, path: target, query: "", http10, usualValues: false };
  return { method, path: target.slice(0, mark), query: target.slice(mark + 1), http10, usualValues: false };
}

function absolute(
  method: string,
  target: string,
  { secure, http10 }: { readonly secure: boolean; readonly http10: boolean },
): Http1RequestLine | Refusal {
  const found = ABSOLUTE.exec(target);
  if (found === null || found[1]?.toLowerCase() !== (secure ? "https" : "http")) return BAD_TARGET;
  const rest = target.slice(found[0].length);
  const line = withTarget(method, rest.startsWith("/") ? rest : `/${rest}`, http10);
  return { ...line, authority: found[2] ?? "" };
}

/** @returns the target of a line that was not understood, for the log: without the password that may stand in front of a host (RFC 3986 section 3.2.1) */
export function sentTarget(line: string): SentTarget {
  const target = line.split(" ", 2)[1] ?? "";
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  return { path: path.startsWith("/") ? path : path.replace(USERINFO, "$1***@"), query: mark < 0 ? "" : target.slice(mark + 1) };
}

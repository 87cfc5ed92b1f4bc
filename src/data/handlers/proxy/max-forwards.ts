// Owns Max-Forwards (RFC 9110 section 7.6.2) on OPTIONS, where every hop must count it; on other methods it passes as it came, as the RFC allows.

import { setHeader } from "../../../base/header-list.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Reply } from "../../exchange/policy.ts";
import { readSingle, TWICE } from "../../routing/request/single-value.ts";

const FIELD = "max-forwards";
const NUMBER = /^\d{1,10}$/;
const MALFORMED: Reply = { kind: "problem", code: "bad_request", detail: "Max-Forwards is not one whole number (RFC 9110 section 7.6.2)" };

/** What `Allow` names for the server as a whole. */
export const SERVER_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Counts this hop. @param x an OPTIONS request about to be forwarded. @returns the answer when it may go no further; undefined when it may */
export function countForward(x: Exchange): Reply | undefined {
  const sent = readSingle(x, FIELD);
  if (sent === undefined) return undefined;
  if (sent === TWICE || !NUMBER.test(sent)) return MALFORMED;
  const left = Number(sent);
  if (left === 0) return { kind: "response", status: 204, headers: ["allow", allowed(x)], body: null };
  setHeader(x.ownHeaders(), FIELD, String(left - 1));
  return undefined;
}

/** Methods of the route that the request belongs to. */
function allowed(x: Exchange): string {
  const methods = x.runtime.plan.routes[x.route?.id ?? -1]?.match.methods ?? [];
  if (methods.length === 0) return SERVER_METHODS;
  return [...new Set(methods.includes("GET") ? [...methods, "HEAD"] : methods)].join(", ");
}

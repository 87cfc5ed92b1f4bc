// Owns which fields of an upstream's trailers may go to a client (RFC 9110 section 6.5.1), whatever is spoken with it.
import { isHopByHop } from "../../base/http.ts";

/** Framing, routing, authentication, what the head already said. */
const NOT_A_TRAILER: ReadonlySet<string> = new Set([
  "content-length",
  "content-encoding",
  "content-type",
  "content-range",
  "cache-control",
  "host",
  "authorization",
  "set-cookie",
  "location",
  "date",
]);

/** @param name lowercase */
export const isResponseTrailer = (name: string): boolean => !isHopByHop(name) && !NOT_A_TRAILER.has(name);

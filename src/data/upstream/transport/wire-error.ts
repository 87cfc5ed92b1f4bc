// Names what went wrong on the wire with the codes of the error table.

import type { WireError } from "../upstream.ts";
import type { ConnectError } from "./connector.ts";

/** Reason of `overloaded`. @param places pool.queue */
export const queueFull = (places: number): string => `${places} requests wait for a connection already`;

/** A connection that did not come about: certainly nothing of the request was sent. */
export function connectFailure(error: ConnectError): WireError {
  const code = error.stage === "timeout" ? "connect_timeout" : error.stage === "tls" ? "upstream_tls" : "connect_failed";
  return { code, unsent: true, reason: error.message };
}

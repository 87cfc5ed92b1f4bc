// The end of an exchange whose own work has thrown: whoever runs such work for it hands the error here. Must never leave it open, nor answer it twice.
import { faultCode, PeerGone, PolicyFailure } from "../../base/policy-failure.ts";
import type { Exchange } from "./exchange.ts";
import { finish } from "./finish.ts";
import { fail } from "./reply.ts";

/** Nobody is there to be answered. */
function vanish(x: Exchange): void {
  x.errorCode ??= "client_aborted";
  x.abort();
  finish(x);
}

/** Answers in the place of work that has thrown, or cuts what was begun. Never throws. @param what failed, for the log */
export function crashed(x: Exchange, error: unknown, what = "the request failed inside the gateway"): void {
  if (error instanceof PeerGone) return vanish(x);
  if (!(error instanceof PolicyFailure)) x.runtime.services.reportFault(what, error, x.requestId);
  try {
    if (x.started || x.closed) x.abort();
    else fail(x, faultCode(error));
  } catch (again) {
    x.runtime.services.reportFault("answering internal_error failed", again, x.requestId);
    x.abort();
  }
  if (x.closed) finish(x); // whoever was to be told of the end may not know it
}

// The one end of every exchange: policies are told, metrics and log written, counters given back. Exactly once.
import type { Exchange } from "../exchange.ts";

/** Count an exchange in; its {@link finish} counts it out. */
export function begin(x: Exchange): void {
  x.runtime.inFlight++;
  x.runtime.services.inFlight++;
}

/** Ends an exchange: idempotent, never throws. */
export function finish(x: Exchange): void {
  if (x.finished) return;
  x.finished = true;
  const { runtime } = x;
  const { services } = runtime;
  try {
    const policies = x.route?.onFinish ?? null;
    if (policies !== null) for (const policy of policies) policy.onFinish?.(x);
    services.record(x);
  } catch (error) {
    services.reportFault("finishing an exchange failed", error, x.requestId);
  }
  services.inFlight--;
  runtime.inFlight--;
}

// The one end of every exchange: policies are told, metrics and log written, counters given back. Exactly once.
import type { Exchange } from "./exchange.ts";
import type { Policy } from "./policy.ts";

/** Count an exchange in; its {@link finish} counts it out. */
export function begin(x: Exchange): void {
  x.runtime.inFlight++;
  x.runtime.services.inFlight++;
}

/** Ends an exchange: idempotent, never throws. */
export function finish(x: Exchange): void {
  if (x.finished) return;
  x.finished = true;
  x.abandonWork();
  x.filters?.close();
  x.sentFrom?.release();
  const { runtime } = x;
  const { services } = runtime;
  const policies = x.route?.onFinish ?? null;
  if (policies !== null) tellPolicies(x, policies);
  try {
    services.record(x);
  } catch (error) {
    services.reportFault("recording an exchange failed", error, x.requestId);
  }
  if (x.heldBodyBytes > 0 || x.bodyWatch !== null) services.bodies.over(x);
  services.inFlight--;
  runtime.inFlight--;
  x.over();
}

/** The client has the whole response: the exchange ends, once every filter has had its end. */
export function complete(x: Exchange): void {
  if (x.filters === null) finish(x);
  else x.filters.whenEnded(() => finish(x));
}

/** One policy's failure must not keep the others from being told. */
function tellPolicies(x: Exchange, policies: readonly Policy[]): void {
  for (const policy of policies) {
    try {
      policy.onFinish?.(x);
    } catch (error) {
      x.runtime.services.reportFault(`policy ${policy.name} failed at the end`, error, x.requestId);
    }
  }
}

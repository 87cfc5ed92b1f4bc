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
  const policies = x.route?.onFinish ?? null;
  if (policies !== null) for (const policy of policies) guarded(x, () => policy.onFinish?.(x));
  guarded(x, () => services.record(x));
  services.inFlight--;
  runtime.inFlight--;
}

/** One part's failure must not keep the others from being told. */
function guarded(x: Exchange, part: () => void): void {
  try {
    part();
  } catch (error) {
    x.runtime.services.reportFault("finishing an exchange failed", error, x.requestId);
  }
}

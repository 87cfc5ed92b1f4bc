// Owns a response that is not stored, for the one client whom it is for.
import type { Exchange } from "../exchange/exchange.ts";
import type { ResponseHead } from "../exchange/policy.ts";
import { type RelaySource, ResponseRelay } from "../exchange/response-relay.ts";
import type { Route } from "../exchange/runtime.ts";
import type { UpstreamCall } from "../upstream/upstream-call.ts";

export class Passed extends ResponseRelay {
  protected readonly origin: RelaySource;
  readonly #call: UpstreamCall;

  /** @param ended nothing more is wanted of the call */
  constructor(x: Exchange, route: Route, call: UpstreamCall, ended: () => void) {
    super(x, route);
    this.#call = call;
    this.origin = {
      get active() {
        return call.active;
      },
      resume: () => call.resume(),
      cancel() {
        call.cancel();
        ended();
      },
      discard() {
        call.discard();
        ended();
      },
    };
  }

  /** As of every relayed response: the cookie of affinity. */
  protected override upstreamHead(head: ResponseHead): void {
    this.#call.rememberTarget(head.headers);
  }
}

// Owns what is sent to an origin on behalf of the store, and how it is judged what comes back: the request's side of a fill (fill.ts).
// Must never send a condition or a range of the client's: what comes must be good for all who wait.
import { type HeaderList, removeHeaders } from "../../base/header-list.ts";
import type { TimeoutsPlan } from "../../plan/plan.ts";
import type { SentRequest } from "../exchange/policy.ts";
import type { Services } from "../exchange/runtime.ts";
import { upstreamRequest } from "../exchange/upstream-headers.ts";
import type { RequestView } from "../routing/request-view.ts";
import { type CallRecord, type CallRequest, NO_BODY, newCallRecord } from "../upstream/call-request.ts";
import type { Endpoint, Upstream, WireHead, WireRequest } from "../upstream/upstream.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import { judge } from "./judge.ts";
import { mapBack } from "./map-back.ts";
import type { CachedResponse } from "./response-cache.ts";
import type { Storable, Unstorable } from "./rules/assess.ts";
import { OWN_CONDITIONS } from "./rules/conditions.ts";
import { validators } from "./rules/validation.ts";

/** GET fills the store; HEAD asks only whether what is stored still holds (RFC 9111 section 4.3.5). */
export type Asks = "GET" | "HEAD";

export abstract class Question implements CallRequest {
  readonly method: Asks;
  readonly body = NO_BODY;
  readonly timeouts: Partial<TimeoutsPlan> | null;
  readonly boundsBody = false;
  readonly single = false;
  readonly via: CallRequest["via"] = null;
  readonly background: boolean;
  /** It was started beside an exchange, not for one. */
  protected readonly isRefresh: boolean;
  readonly record: CallRecord;
  protected readonly context: FillContext;
  protected readonly order: FillOrder;
  /** What is to be validated, or may stand in. */
  protected stored: CachedResponse | null;
  #sentHeaders: HeaderList = [];
  #sentMs = 0;
  /** What the attempt under way has sent; only where a policy wants to know. */
  #sent: SentRequest | null = null;

  /** @param background nobody has asked to be served by it: the answer is for the store alone */
  constructor(order: FillOrder, context: FillContext, { method, background }: { readonly method: Asks; readonly background: boolean }) {
    order.x.clientInfo(); // while it can be known
    this.method = method;
    this.isRefresh = background;
    this.background = background || order.x.isBackground;
    this.context = context;
    this.order = order;
    this.stored = order.stored;
    this.timeouts = order.route.settings.timeouts;
    this.record = background ? newCallRecord() : order.x;
  }

  get services(): Services {
    return this.order.x.runtime.services;
  }

  get view(): RequestView {
    return this.order.x;
  }

  get hasStandIn(): boolean {
    return this.stored !== null && this.context.mayStandIn(this.stored, this.order.x, "breaker_open");
  }

  prepare(upstream: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest {
    const { x, route, validates } = this.order;
    const request = upstreamRequest(x, upstream, endpoint, remainingMs);
    request.method = this.method;
    request.path = this.context.sentPath(x, request.path);
    request.common = null; // other fields than the client's
    removeHeaders(request.headers, (name) => OWN_CONDITIONS.has(name));
    this.#sentHeaders = request.headers;
    if (this.stored !== null && validates) request.headers.push(...validators(this.stored.head.headers));
    this.#sentMs = Date.now();
    if (route.onUpstreamResponse !== null) this.#sent = { request, endpoint };
    return request;
  }

  dispatched(): void {}

  /** As the store and its clients know it. */
  protected received(status: number, head: WireHead): void {
    if (this.#sent !== null) mapBack(this.order, this.#sent, { status, head });
  }

  /** @returns a reason when an answer with this head is not to be stored */
  protected judge(status: number, headers: HeaderList): Storable | Unstorable {
    return judge({ x: this.order.x, sentHeaders: this.#sentHeaders, sentMs: this.#sentMs }, { status, headers }, this.context);
  }
}

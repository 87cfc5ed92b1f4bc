// Owns one subrequest to a service: a collected call to its upstream, cancelled when the exchange ends.
// Must never put a service's name or error into an answer to a client.

import type { HeaderList } from "../../base/header-list.ts";
import type { ServiceRef } from "../../plan/service-ref.ts";
import { pushDeadline } from "../exchange/upstream-headers.ts";
import type { RequestView } from "../routing/request-view.ts";
import { type CallRecord, type CallRequest, type CallServices, NO_BODY, newCallRecord, WholeBody } from "../upstream/call-request.ts";
import { type Collected, CollectedCall } from "../upstream/collect.ts";
import type { Endpoint, Upstream, WireRequest } from "../upstream/upstream.ts";

export interface Subrequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Without Host, which is the service's own. */
  readonly headers: HeaderList;
  readonly body: Buffer | null;
  /** For everything together, ms. */
  readonly timeoutMs: number;
  /** Of the answer's body. */
  readonly bytesMax: number;
}

/** On whose behalf it is sent. */
export interface SubrequestContext {
  readonly services: CallServices;
  /** What balancing by hash looks at. */
  readonly view: RequestView;
}

/** @param signal cancels it: the promise then never settles, and nothing is held against the target; null for none */
export function sendSubrequest(
  upstream: Upstream,
  subrequest: Subrequest,
  context: SubrequestContext,
  signal: AbortSignal | null,
): Promise<Collected> {
  return new Promise((resolve) => {
    const call = new CollectedCall(upstream, new SubrequestCall(subrequest, context), subrequest.bytesMax);
    const giveUp = (): void => call.cancel();
    if (signal?.aborted === true) return;
    signal?.addEventListener("abort", giveUp, { once: true });
    call.start((outcome) => {
      signal?.removeEventListener("abort", giveUp);
      resolve(outcome);
    });
  });
}

class SubrequestCall implements CallRequest {
  readonly services: CallServices;
  readonly record: CallRecord = newCallRecord();
  readonly view: RequestView;
  readonly method: string;
  readonly body: CallRequest["body"];
  readonly timeouts: CallRequest["timeouts"];
  readonly boundsBody = true;
  readonly single = false;
  readonly via = null;
  readonly #path: string;
  readonly #headers: HeaderList;

  constructor({ method, path, headers, body, timeoutMs }: Subrequest, { services, view }: SubrequestContext) {
    this.services = services;
    this.view = view;
    this.method = method;
    this.body = body === null ? NO_BODY : new WholeBody(body);
    this.timeouts = { totalMs: timeoutMs };
    this.#path = path;
    this.#headers = headers;
  }

  prepare({ plan: { deadlineHeader } }: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest {
    const headers = ["host", endpoint.plan.authority, ...this.#headers];
    pushDeadline(headers, deadlineHeader, remainingMs);
    return { method: this.method, path: this.#path, headers, body: null, contentLength: 0 };
  }

  dispatched(): void {}
}

/** Index of the service's upstream in the plan, and in the runtime that is made of it. @throws Error when there is none: the plan is then refused */
export function upstreamIndex({ upstream }: ServiceRef, upstreams: readonly { readonly name: string }[]): number {
  const index = upstreams.findIndex(({ name }) => name === upstream);
  if (index < 0) throw new Error(`there is no upstream ${upstream}`);
  return index;
}

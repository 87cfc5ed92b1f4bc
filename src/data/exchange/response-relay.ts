// Carries a response to the client of an exchange, with backpressure, whoever it comes from: the client's side of a call to an upstream, or of what stands
// between. Must never send a head that the response policies have not seen.
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import { faultCode, PolicyFailure } from "../../base/policy-failure.ts";
import type { CallFailure, ResponseSink } from "../upstream/call-request.ts";
import type { WireHead } from "../upstream/upstream.ts";
import type { ClientEvents, Exchange } from "./exchange.ts";
import { finish } from "./finish.ts";
import type { ResponseHead } from "./policy.ts";
import { pagesOf } from "./problem.ts";
import { fail, finalHead, replaceBy, replaceIntercepted, reply } from "./reply.ts";
import { FilterChain, type ResponseSource } from "./response-filter.ts";
import { hasBody } from "./response-head.ts";
import type { Route } from "./runtime.ts";

/** What `errorPages.intercept` can name. */
const INTERCEPTED_STATUS_MIN = 400;

/** Fields of an interim response that go on to the client: what browsers act on before the final one (RFC 8297). */
const EARLY_HINTS: ReadonlySet<string> = new Set([
  "link",
  "content-security-policy",
  "content-security-policy-report-only",
  "referrer-policy",
]);

/** Where a relayed response comes from: what an UpstreamCall offers to its sink. */
export interface RelaySource {
  /** There is room again, after onData() returned false. */
  resume(): void;
  /** The client has gone, or has had enough: nothing more may come. Idempotent. */
  cancel(): void;
  /** Inside onHead(): the head was all that was wanted. */
  discard(): void;
  /** More may come. */
  readonly active: boolean;
}

export abstract class ResponseRelay implements ResponseSink, ClientEvents, ResponseSource {
  protected readonly x: Exchange;
  protected readonly route: Route;
  protected abstract readonly origin: RelaySource;
  /** What the response passes; null when it goes straight to the client. */
  private filters: FilterChain | null = null;
  /** The client has the whole response; the end of its source is still to come. */
  private clientDone = false;

  constructor(x: Exchange, route: Route) {
    this.x = x;
    this.route = route;
    x.events = this;
  }

  // --- ResponseSink ---

  /** Policies see only the final head, so that an interim one carries nothing but hints about it. */
  onInterim(status: number, headers: HeaderList): void {
    const hints: HeaderList = [];
    for (let i = 0; i < headers.length; i += 2)
      if (EARLY_HINTS.has(headers[i] as string)) hints.push(headers[i] as string, headers[i + 1] as string); // i is inside a list of pairs
    this.x.informational(status, hints);
  }

  onHead(status: number, { headers, length }: WireHead): void {
    const { x, route } = this;
    const head: ResponseHead = { status, headers, length, hasBody: hasBody(x.method, status), fromUpstream: true };
    this.upstreamHead(head);
    if (status >= INTERCEPTED_STATUS_MIN && pagesOf(x)?.intercepts(status) === true) {
      this.origin.discard();
      return replaceIntercepted(x, status, headers);
    }
    const instead = finalHead(x, head);
    if (instead !== null) {
      this.origin.discard();
      return replaceBy(x, instead);
    }
    if (route.filters !== null) this.openFilters(head);
    else {
      x.status = head.status;
      x.start(head.status, head.headers, head.length);
    }
  }

  /** The head as the upstream made it, before anything of the gateway's own is in it. */
  protected upstreamHead(_head: ResponseHead): void {}

  /** @param head before the first filter has seen it */
  protected openFilters(head: ResponseHead): void {
    const { x, route } = this;
    const chain = new FilterChain(x, route.filters ?? [], this);
    this.filters = x.filters = chain;
    chain.head(head);
    if (chain.isEmpty) this.filters = x.filters = null;
  }

  onData(chunk: Buffer): boolean {
    return this.filters === null ? this.x.write(chunk) : this.filters.data(chunk);
  }

  onEnd(trailers: HeaderList | null): void {
    const { x, filters } = this;
    if (filters !== null) return filters.end(trailers);
    if (trailers !== null) x.responseTrailers = trailers;
    if (!this.clientDone) return x.end();
    this.origin.resume();
    finish(x);
  }

  onFailure(failure: CallFailure): void {
    const { x, route } = this;
    const { code, detail, headers, overloadReason } = failure;
    if (overloadReason !== null) x.overloadReason = overloadReason;
    if (x.started || this.filters !== null) return this.breakOff(code, detail); // takeBack() has said no
    try {
      for (const policy of route.onUpstreamFailure ?? []) {
        const answer = policy.onUpstreamFailure?.(x, failure);
        if (answer === undefined) continue;
        x.errorCode = code; // for log and metrics: the client gets what the policy wants it to
        x.errorDetail = detail;
        return reply(x, answer);
      }
    } catch (error) {
      x.runtime.services.reportFault("answering for an upstream failed inside the gateway", error, x.requestId);
      return fail(x, "internal_error");
    }
    fail(x, code, detail, headers);
  }

  /** The response was begun and cannot be completed: the client's connection is cut, which is all that can still be said. */
  private breakOff(code: ErrorCode, detail: string): void {
    const { x } = this;
    x.errorCode = code;
    x.errorDetail = detail;
    x.abort();
    finish(x); // the client may have had everything already: then abort() says nothing
  }

  takeBack(): boolean {
    const { x } = this;
    if (x.started && !x.isWithdrawable) return false;
    if (x.started) x.withdraw();
    x.status = 0;
    this.filters?.abort();
    this.filters = x.filters = null;
    return true;
  }

  // --- ResponseSource of the first filter ---

  drained(): void {
    this.origin.resume();
  }

  failed(error: unknown): void {
    const { x } = this;
    if (x.finished) return;
    if (!(error instanceof PolicyFailure)) x.runtime.services.reportFault("a response filter failed", error, x.requestId);
    this.origin.cancel();
    const code = faultCode(error);
    if (this.takeBack()) fail(x, code);
    else this.breakOff(code, "");
  }

  // --- ClientEvents ---

  clientDrained(): void {
    if (this.filters !== null) this.filters.drained();
    else this.origin.resume();
  }

  clientAborted(x: Exchange): void {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.origin.cancel();
    finish(x);
  }

  clientCompleted(_x: Exchange): void {
    // With a known length the client is done before the upstream's parser says so: its connection is worth keeping.
    this.clientDone = true;
    if (this.filters !== null) this.filters.whenEnded(() => this.completed());
    else if (!this.origin.active) this.completed();
  }

  /** Of a filter that has ended the response by itself, the call may still be under way. */
  private completed(): void {
    this.origin.cancel();
    finish(this.x);
  }
}

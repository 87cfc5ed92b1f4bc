// The two sides of one call to an upstream: what is asked (CallRequest), and who takes what comes of it (ResponseSink).
// Nothing here knows a client: a relayed exchange, a leg of an aggregate, a mirror copy and a question of a policy are all the same to UpstreamCall.
import type { Readable } from "node:stream";
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { OverloadReason } from "../../base/priorities.ts";
import type { TimerWheel } from "../../base/timer-wheel.ts";
import type { TimeoutsPlan } from "../../plan/plan.ts";
import type { WorkerLoad } from "../load/worker-load.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { Endpoint, UpgradedResponse, Upstream, WireCall, WireHandler, WireHead, WireRequest } from "./upstream.ts";

/** What a call uses of its worker. */
export interface CallServices {
  readonly wheel: TimerWheel;
  /** How loaded the worker is itself. */
  readonly load: WorkerLoad;
  /** An attempt is over. @param code why it failed, null when a response came. @param firstByteMs -1 when none came. */
  recordAttempt(slot: number, code: ErrorCode | null, status: number, firstByteMs: number): void;
  recordRetry(slot: number): void;
  /** A fault of ours: goes to the gateway's log. */
  reportFault(message: string, error: unknown, requestId: string): void;
}

/** What becomes known of a call in its course. An exchange is one, for the access log; whoever has several calls keeps one for each. */
export interface CallRecord {
  /** Attempts begun. */
  attempts: number;
  /** Name of the upstream asked last (a breaker's fallback may stand in). */
  upstream: string;
  /** Key of the target tried last; '' for none. */
  target: string;
  /** Of the last attempt: from dispatch to the request being on the wire / to the first response byte, ms; -1 unknown. */
  upstreamConnectMs: number;
  upstreamFirstByteMs: number;
  /** Waited for a place at an upstream, ms; 0: there was no need. */
  lineMs: number;
}

/** Told about a body that is still on its way here. */
export interface BodySourceOwner {
  /** The whole of it is there, or its first part: the attempt may start. */
  bodyReady(): void;
  /** More came, or the upstream took more: slow perhaps, but not stuck. */
  bodyProgress(): void;
  /** It breaks a limit of the gateway. @param code never one of an upstream */
  bodyRefused(code: ErrorCode, detail: string): void;
}

/** The body of a request, wherever it comes from. */
export interface BodySource {
  /** Declared length in bytes; -1 unknown, 0 for none. */
  readonly contentLength: number;
  /** The whole of it can be sent again. */
  readonly replayable: boolean;
  /** All of it has arrived here. */
  readonly done: boolean;
  /** It does not go on because the upstream takes no more. */
  readonly stalledByUpstream: boolean;
  /** Of a body without a length: what goes upstream behind it, once all of it is here. Left out or null: it can have none. */
  readonly trailers?: (() => HeaderList | null) | null;
  /** Begin to receive it. @returns true when an attempt can start now; false: bodyReady() follows */
  begin(owner: BodySourceOwner): boolean;
  /** For one attempt; anew each time. A Buffer is the whole of it. */
  forAttempt(): Buffer | Readable | null;
  /** The attempt is over: what arrives before the next one waits. */
  detach(): void;
}

/** A request to an upstream, whoever asks. */
export interface CallRequest {
  readonly services: CallServices;
  readonly record: CallRecord;
  /** Whose request it is done for: what balancing by hash and session affinity look at. */
  readonly view: RequestView;
  readonly method: string;
  readonly body: BodySource;
  /** Over the upstream's own; null: those. */
  readonly timeouts: Partial<TimeoutsPlan> | null;
  /** `timeouts.totalMs` bounds the response's body too, not only its head: for answers that are collected. */
  readonly boundsBody: boolean;
  /** One attempt only, and no fallback. */
  readonly single: boolean;
  /** Nobody waits for the answer: under load it is refused before all others. Left out: somebody does. */
  readonly background?: boolean;
  /** Whoever asks can do without an answer while breakers let nothing pass: a stored one stands in. Left out: nobody can. */
  readonly hasStandIn?: boolean;
  /** Further attempts after the first, over the upstream's own; left out or null: those. */
  readonly retryAttempts?: number | null;
  /** Builds what goes to an endpoint, without its body; for each attempt anew. @param remainingMs of the deadline; 0 for unlimited */
  prepare(upstream: Upstream, endpoint: Endpoint, remainingMs: number): WireRequest;
  /** Sends it otherwise than by the endpoint's pool: to have a connection upgraded. null: by the pool. */
  readonly via: ((upstream: Upstream, endpoint: Endpoint, request: WireRequest, handler: WireHandler) => WireCall) | null;
  /** An attempt is on its way. @param body as it was given to the transport */
  dispatched(body: Buffer | Readable | null): void;
}

/** Why there is no response, or no more of it. */
export interface CallFailure {
  readonly code: ErrorCode;
  /** For the log; what a client may be told, stands in the table of errors. '' for none. */
  readonly detail: string;
  /** What belongs on an answer that says so (Retry-After). */
  readonly headers: HeaderList | undefined;
  /** Of code `overloaded`. */
  readonly overloadReason: OverloadReason | null;
  /** The upstream asked last. */
  readonly upstream: Upstream;
  /** Of code `breaker_open`: the breaker has a fixed answer for this. */
  readonly hasFixedReply: boolean;
}

/** What went wrong with a response that was begun. */
export type CallFault = Pick<CallFailure, "code" | "detail"> & Partial<Pick<CallFailure, "overloadReason">>;

/**
 * Takes what becomes of a call: onFailure alone, or onHead, onData*, then one of onEnd and onFailure. After takeBack() returned true, all of it may
 * come anew. Nothing comes after cancel(). What is thrown is reported, and ends the call with `internal_error`.
 */
export interface ResponseSink {
  /** An interim response that is not 100 or 101 (RFC 9110 section 15.2): any number, before onHead. Left out by who has no use for them. */
  onInterim?(status: number, headers: HeaderList): void;
  /** @param head to keep and to change */
  onHead(status: number, head: WireHead): void;
  /** @param chunk lent for the call. @returns false: nothing more until UpstreamCall.resume() */
  onData(chunk: Buffer): boolean;
  /** @param trailers those that may be relayed; null for none */
  onEnd(trailers: HeaderList | null): void;
  onFailure(failure: CallFailure): void;
  /** The response broke off. @returns whether nothing of it has left: then it is as if it had not come, and another attempt may be made */
  takeBack(): boolean;
}

/** A sink that asked for another protocol. */
export interface UpgradeSink extends ResponseSink {
  /** @returns why the 101 is not good; '' when it is */
  refusesUpgrade(response: UpgradedResponse): string;
  /** The connection is the sink's, until UpstreamCall.tunnelEnded(). */
  onUpgrade(response: UpgradedResponse): void;
}

/** No body. */
export const NO_BODY: BodySource = {
  contentLength: 0,
  replayable: true,
  done: true,
  stalledByUpstream: false,
  begin: () => true,
  forAttempt: () => null,
  detach() {},
};

/** A body that is there as a whole. */
export class WholeBody implements BodySource {
  readonly contentLength: number;
  readonly replayable = true;
  readonly done = true;
  readonly stalledByUpstream = false;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.contentLength = bytes.length;
  }

  begin(): boolean {
    return true;
  }

  forAttempt(): Buffer {
    return this.#bytes;
  }

  detach(): void {}
}

/** A record for a call whose course nobody logs. */
export const newCallRecord = (): CallRecord => ({
  attempts: 0,
  upstream: "",
  target: "",
  upstreamConnectMs: -1,
  upstreamFirstByteMs: -1,
  lineMs: 0,
});

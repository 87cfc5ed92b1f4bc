// Interfaces of an upstream in a worker: choose an endpoint, speak to it. pool.ts is the only importer of undici.
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { EndpointPlan, UpstreamPlan } from "../../plan/plan.ts";
import type { TargetPlaces } from "../../shared/overload/target-table.ts";
import type { RequestView } from "../routing/request-view.ts";
import type { Tickets, UpstreamBreaker } from "./breaker.ts";
import type { Gate } from "./overload/gate.ts";
import type { TargetLimits } from "./overload/target-limits.ts";
import type { Sticky } from "./sticky.ts";

/** A connectable address with its pool, in one worker. */
export interface Endpoint {
  readonly plan: EndpointPlan;
  /** Slot in the shared target-health table. */
  readonly slot: number;
  readonly pool: Pool;
  /** Its in-flight limit; null: that of the upstream is enough. */
  readonly places: TargetPlaces | null;
}

export interface Upstream {
  readonly name: string;
  readonly plan: UpstreamPlan;
  /** null for none. */
  readonly breaker: UpstreamBreaker | null;
  /** null for none. */
  readonly sticky: Sticky | null;
  /** Who may be in flight to it, and who waits; null: everybody may. */
  readonly gate: Gate | null;
  /** Limits of its targets; null: one for all of it is enough. */
  readonly targets: TargetLimits | null;
  /**
   * Chooses an endpoint by the configured balance among the healthy ones, as a look ahead: its breaker may still say no.
   * @param tried endpoints already used by this exchange: avoided while another healthy one exists.
   * @returns null when there is none to use. Does not count the request: see begin().
   */
  select(x: RequestView, tried: readonly Endpoint[] | null): Endpoint | null;
  /**
   * Chooses an endpoint, with its breaker's and the upstream's consent, and counts the request: begin() included.
   * @param tickets of the attempt; it tells `breaker` what becomes of it
   * @returns null when there is none to use; closedForMs() tells why.
   */
  take(x: RequestView, tried: readonly Endpoint[] | null, tickets: Tickets): Endpoint | null;
  /** After take() found none. @returns ms until a breaker lets somebody pass; -1 when breakers are not the reason. */
  closedForMs(tickets: Tickets): number;
  /** Counts a request towards the endpoint (in-flight, shared by all workers). Every begin() has exactly one done(). */
  begin(endpoint: Endpoint): void;
  /** Ends what begin() started and feeds passive health. */
  done(endpoint: Endpoint, outcome: Outcome): void;
  /** Spend from the retry budget. @returns false when the budget is exhausted. */
  takeRetry(): boolean;
  /** The retry was not made after all. */
  giveRetryBack(): void;
}

/**
 * What an attempt says about the endpoint's health. `neutral`: nothing (client abort). `unasked`: the endpoint never heard of it, as the pool
 * had no connection for it: nothing, and the attempt earns no retries either.
 */
export type Outcome = "success" | "failure" | "neutral" | "unasked";

/** Header fields that a client's requests to an upstream have in common. Immutable. */
export interface FieldBlock {
  readonly list: HeaderList;
  /** As the own client writes them, once it has: it has checked them then. */
  bytes: Buffer | null;
}

/** A request ready for the wire: everything validated, nothing ambiguous left. */
export interface WireRequest {
  method: string;
  path: string;
  headers: HeaderList;
  /** What {@link headers} begin with: who changes them sets it to null. Left out or null: nothing is known of them. */
  common?: FieldBlock | null;
  /** Of a body that is sent in chunks: read when all of it is sent (RFC 9112 section 7.1.2), flat. Left out or null: there are none. */
  trailers?: (() => HeaderList | null) | null;
  /** null: no body. Buffer: whole. Otherwise a stream whose length is `contentLength` (-1: chunked). UpstreamCall sets both. */
  body: Buffer | import("node:stream").Readable | null;
  contentLength: number;
}

/** Why an attempt failed. */
export interface WireError {
  readonly code: Extract<
    ErrorCode,
    | "connect_failed"
    | "connect_timeout"
    | "response_timeout"
    | "upstream_reset"
    | "upstream_invalid"
    | "upstream_tls"
    | "upstream_idle_timeout"
    | "upstream_upgrade_refused"
    | "overloaded"
  >;
  /** True when certainly no byte of the request was sent. */
  readonly unsent: boolean;
  /** For the log only; never sent to a client. */
  readonly reason: string;
}

/** A response head, whatever transport it came by. */
export interface WireHead {
  /** End-to-end headers, flat, names lowercase; to keep and to change. */
  readonly headers: HeaderList;
  /** Of the body in bytes; -1 when the head does not say. */
  readonly length: number;
  /** Retry-After as sent; '' for none. */
  readonly retryAfter: string;
  /** Why nothing of the response may be used: its framing is in doubt. '' when it is not. */
  readonly fault: string;
}

/** Trailer fields by name; repeated ones as a list. */
export type WireTrailers = Readonly<Record<string, string | string[]>>;

/** Receives one response. Calls come in order: wireSent? wireInterim* wireHead wireData* (wireEnd | wireError), or wireUpgraded, or wireError alone. None after cancel(). */
export interface WireHandler {
  /** The request is about to be written to a connected socket. */
  wireSent(): void;
  /** An interim response, 102..199, ahead of the head. @param headers end-to-end ones, flat, names lowercase */
  wireInterim?(status: number, headers: HeaderList): void;
  /** Final response head. */
  wireHead(status: number, head: WireHead): void;
  /** @param chunk valid only during the call */
  wireData(chunk: Buffer): void;
  wireEnd(trailers: WireTrailers | null): void;
  /** Only of a request for an upgrade: 101. The last call. @returns whether the connection is taken; else it is destroyed */
  wireUpgraded?(response: UpgradedResponse): boolean;
  wireError(error: WireError): void;
}

/** A request under way. */
export interface WireCall {
  /**
   * Not sent yet because all of the pool's connections are busy with requests. False while a connection is being made for it: then it is the
   * endpoint that is waited for.
   */
  readonly inLine: boolean;
  /** Stop / go on delivering wireData. A handler that has paused must resume or cancel also after wireEnd: when it has taken the last of it. */
  pause(): void;
  resume(): void;
  /** Abandon: no callbacks follow; the connection is destroyed unless the response was complete. */
  cancel(): void;
  /** Lose interest in the rest: no callbacks follow; a short rest is read so that the connection can be used again. */
  discard(): void;
}

/** A 101 (RFC 9110 section 15.2.2): the connection speaks another protocol from here on. */
export interface UpgradedResponse {
  /** Flat, names lowercase, as received. */
  readonly rawHeaders: readonly string[];
  readonly socket: import("node:stream").Duplex;
  /** What came right behind the head. */
  readonly head: Buffer;
}

/** Connections of one worker to one endpoint, over one transport. */
export interface Pool {
  /** What a complete response says about the endpoint: transports differ (HTTP by status, gRPC by trailers). */
  classify(status: number, trailers: WireTrailers | null): "success" | "failure";
  /** Never throws, never calls the handler synchronously with an error. */
  dispatch(request: WireRequest, handler: WireHandler): WireCall;
  /** Finish what is under way, then close. */
  close(): void;
  readonly stats: PoolStats;
}

export interface PoolStats {
  /** Open connections. */
  readonly connected: number;
  readonly running: number;
  readonly queued: number;
}

// The Policy interface: what a policy can do to an exchange, and when. Policies never import each other.
import type { Readable } from "node:stream";
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { CallFailure } from "../upstream/call-request.ts";
import type { Endpoint } from "../upstream/upstream.ts";
import type { Exchange } from "./exchange.ts";
import type { PolicyRoute } from "./route-context.ts";
import type { StoredForms } from "./stored-forms.ts";

/** An answer made by the gateway itself. */
export type Reply =
  | {
      readonly kind: "response";
      readonly status: number;
      /** Lowercase names, flat. */
      readonly headers: HeaderList;
      readonly body: Uint8Array | string | null;
    }
  | {
      readonly kind: "problem";
      readonly code: ErrorCode;
      /** One sentence for this occurrence; '' for none. Must not carry upstream details. */
      readonly detail: string;
      readonly headers?: HeaderList;
      /** Instead of the code's own: what a service answered and the operator lets through. */
      readonly status?: number;
    }
  | {
      readonly kind: "stream";
      readonly status: number;
      /** Lowercase names, flat. */
      readonly headers: HeaderList;
      /** Read as fast as the client takes it; destroyed when the client goes. An error of it cuts the response. */
      readonly body: Readable;
      /** Called when the body has ended: trailers for clients that take them. */
      readonly trailers?: () => HeaderList | null;
    };

/** The request as it goes to the upstream; policies may change it in place. */
export interface UpstreamRequest {
  method: string;
  /** Path and query, origin-form. */
  path: string;
  /** Flat, lowercase; hop-by-hop headers are gone, forwarding headers are set. */
  headers: HeaderList;
}

/** The upstream's (or the gateway's own) response head; policies may change it in place. */
export interface ResponseHead {
  status: number;
  /** Flat, lowercase; hop-by-hop headers are gone. */
  headers: HeaderList;
  /** Body length in bytes; -1 unknown. */
  length: number;
  /** false when the response can have no body (HEAD, 204, 304). */
  readonly hasBody: boolean;
  /** true when an upstream made it, false when the gateway did. */
  readonly fromUpstream: boolean;
  /** For the first filter alone: the body that comes is a stored one, whole and as it is stored. */
  storedForms?: StoredForms | undefined;
}

/** What an upstream has answered: the request as it was sent, after all policies, and where to. */
export interface SentRequest {
  readonly request: UpstreamRequest;
  readonly endpoint: Endpoint;
}

/**
 * The phases before anything is sent upstream, in order; within one, policies run in the registry's order.
 * `edge`: what needs no caller (addresses, https, preflights, limits that do not depend on the caller), so that nothing refused or redirected there was asked
 * for credentials. `identify`: who calls, and whether that caller may. `identified`: what counts or decides by caller. `origin`: what is asked of whom, and the
 * answers that the gateway has itself.
 */
export const PHASES = ["edge", "identify", "identified", "origin"] as const;
export type Phase = (typeof PHASES)[number];

/**
 * A policy, compiled for one route. All hooks are optional and a route pays only for those that exist.
 * Order: the phases (onRequest in the policy's own, see registry.ts) -> handler -> target selected -> onUpstreamRequest (each attempt) -> onUpstreamFailure, where there is no response -> onUpstreamResponse -> onResponse (reverse order) -> response filters -> onFinish.
 * Hooks must not throw; a throw is answered with `internal_error` and never lets the request through.
 */
export interface Policy {
  readonly name: string;
  /** When onRequest runs; of a built-in policy the registry says it. */
  readonly phase?: Phase;
  /** As onRequest, in the phase `edge`: for a policy of a later phase of which a part needs no caller. */
  onEdge?(x: Exchange): Reply | undefined | Promise<Reply | undefined>;
  /**
   * In the policy's phase, before anything is sent upstream. May change `x.upstreamPath`, add response headers.
   * @returns undefined to go on; a Reply to answer now (later policies' onRequest do not run, onResponse does).
   * Return a promise only when the work really is asynchronous. It has limits.policyTimeout (then 504 `policy_timeout`, whatever comes later), and
   * `x.signal` fires when its time is over or the client has gone.
   */
  onRequest?(x: Exchange): Reply | undefined | Promise<Reply | undefined>;
  /** As onRequest, in the phase `identified`: for a policy of another phase of which a part counts or decides by caller. */
  onIdentified?(x: Exchange): Reply | undefined | Promise<Reply | undefined>;
  /** Once for each attempt, with the headers that will be sent. Synchronous. */
  onUpstreamRequest?(x: Exchange, request: UpstreamRequest): void;
  /**
   * An upstream's response is to go to the client: its head as the upstream made it, before anything of the gateway's own (cookies, other policies' headers)
   * is in it. Not for what the gateway answers itself. On a route with a cache once for all whom the response serves: it may depend on nothing of `x` but what
   * tells stored responses apart (scheme, host, path, what trusted proxies say of them). Synchronous.
   */
  onUpstreamResponse?(x: Exchange, head: ResponseHead, sent: SentRequest): void;
  /**
   * When the final head is known, before anything is sent to the client; also for the gateway's own answers. Synchronous.
   * @returns a Reply that replaces the response: the body of this one is dropped, and the policies that have not seen it yet see the new one
   */
  onResponse?(x: Exchange, head: ResponseHead): Reply | undefined;
  /**
   * Names all of the exchange that onResponse reads: equal texts, equal heads (but for the request's id) make equal heads, and nothing else comes of it.
   * So what it made of a stored response once stands for other requests. Left out: onResponse sees each response. Synchronous, cheap.
   */
  headDependsOn?(x: Exchange): string;
  /**
   * Beside headDependsOn: fields that onResponse puts into the head and that are each response's own, as it has put them there if it has run for this exchange.
   * Of a response that is kept ready they are left out, and added to each. null for none.
   */
  ownFields?(x: Exchange): HeaderList | null;
  /**
   * No response came, and none of its bytes has been sent. The first policy that answers does so instead of the error; in registry order. Synchronous.
   */
  onUpstreamFailure?(x: Exchange, failure: CallFailure): Reply | undefined;
  /** Exactly once, when the exchange is over, whatever happened. Synchronous. */
  onFinish?(x: Exchange): void;
  /** Which of the client's headers go upstream, of those that go at all: what the gateway sends itself is not asked for. @param name lowercase. Pure. */
  readonly copies?: (name: string) => boolean;
  /** Takes the credentials that the policy looks for out of a query: what is left may be shown, however the request ends. Pure. */
  readonly hideQuery?: (query: string) => string;
}

/** Builds a policy for a route; runs in the worker when a plan arrives. Must not throw for a configuration the primary accepted. */
export type PolicyFactory = (config: unknown, route: PolicyRoute) => Policy;

// Owns the types that a policy module is written against, imported as `sluice/policy`: one type for what each phase may do, so that a call in the wrong
// phase does not compile. docs/policies.md explains them with examples. Must never name a type of the gateway's own: what stands here is a promise.

/**
 * When `onRequest` runs, in order; in each phase after the policies that the gateway has itself.
 * `edge`: before anybody was asked who is calling. `identify`: behind `auth` and `authorize`. `identified`: what decides by caller. `origin`: the last,
 * where the request that goes upstream is made.
 */
export type Phase = "edge" | "identify" | "identified" | "origin";

/** Who calls, as `auth` has proven it. The same object for many requests: never change it. */
export interface Caller {
  /** Id of the consumer: of a configured one, or what the credential says (`sub` of a token). */
  readonly consumer: string;
  /** Name of the authenticator that proved it. */
  readonly authenticator: string;
  readonly tier: string | null;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  /** Of the token; null when the credential carries none. */
  readonly claims: Readonly<Record<string, unknown>> | null;
}

/** What every hook may read. Names of headers are in any case; values are byte strings (one character a byte). */
export interface RequestFacts {
  /** Name of the route. */
  readonly route: string;
  readonly requestId: string;
  readonly method: string;
  /** Normalised, percent-encoded, without the query. */
  readonly path: string;
  /** Without `?`; '' for none. */
  readonly query: string;
  /** Lower case, without port. */
  readonly host: string;
  readonly scheme: "http" | "https";
  /** Of the caller, as trusted proxies make it known; '' over a Unix socket. */
  readonly clientIp: string;
  /** All values of a request header, joined with ", " (RFC 9110 section 5.2); undefined when there is none. */
  header(name: string): string | undefined;
  /** For what decides something: the value of a header; undefined when there is none, more than one, or one that services may read as it (`x_tenant`). */
  headerOnce(name: string): string | undefined;
  /** Value of a cookie; undefined when there is none, or more than one of that name. */
  cookie(name: string): string | undefined;
  /** Value of a query parameter, decoded; undefined when there is none, or more than one of that name: services differ in which they read. */
  queryParameter(name: string): string | undefined;
  /** Value of a path parameter of the route, decoded; undefined when the route has none of that name. */
  parameter(name: string): string | undefined;
}

/** In the phase `edge`. */
export interface EdgeRequest extends RequestFacts {
  /** Fires when the policy's time is over (`limits.policyTimeout`) and when the client goes. For whatever is awaited. */
  readonly signal: AbortSignal;
  /** Adds a header to the response, whoever makes it. */
  addResponseHeader(name: string, value: string): void;
}

/** In the phase `identify`, behind `auth`: the caller is known, or null where the route lets anybody in. */
export interface IdentifyRequest extends EdgeRequest {
  readonly caller: Caller | null;
}

/** In the phase `identified`. */
export interface IdentifiedRequest extends IdentifyRequest {}

/** In the phase `origin`: what goes upstream is made here. */
export interface OriginRequest extends IdentifiedRequest {
  /** Path and query that go upstream, origin-form; assign another to rewrite them. */
  upstreamPath: string;
  /** Sends the request to another upstream than the route's. @param upstream one of those that the policy's `upstreams` names */
  sendTo(upstream: string): void;
  /** Sets a header of the request that goes upstream, at each attempt. */
  setUpstreamHeader(name: string, value: string): void;
}

interface RequestOfPhase {
  readonly edge: EdgeRequest;
  readonly identify: IdentifyRequest;
  readonly identified: IdentifiedRequest;
  readonly origin: OriginRequest;
}

/** In `onUpstreamRequest`: one attempt, as it is about to be sent. */
export interface UpstreamRequest extends RequestFacts {
  readonly caller: Caller | null;
  readonly upstream: string;
  readonly upstreamMethod: string;
  /** Path and query, origin-form. */
  readonly upstreamPath: string;
  upstreamHeader(name: string): string | undefined;
  setUpstreamHeader(name: string, value: string): void;
  removeUpstreamHeader(name: string): void;
}

/** In `onResponse`: the final head, before anything is sent to the client. */
export interface Response extends RequestFacts {
  readonly caller: Caller | null;
  readonly status: number;
  /** Whether an upstream made it, not the gateway. */
  readonly fromUpstream: boolean;
  responseHeader(name: string): string | undefined;
  setResponseHeader(name: string, value: string): void;
  addResponseHeader(name: string, value: string): void;
  removeResponseHeader(name: string): void;
}

/** In `onUpstreamFailure`: no upstream has answered, and nothing was sent to the client. */
export interface UpstreamFailure extends RequestFacts {
  readonly caller: Caller | null;
  /** Of the error table: `connect_failed`, `response_timeout`, `breaker_open`, ... */
  readonly code: string;
  readonly upstream: string;
}

/** In `onFinish`: the exchange is over. */
export interface Finish extends RequestFacts {
  readonly caller: Caller | null;
  /** As sent; 0 when nothing was. */
  readonly status: number;
  /** Of the error table; null for none. */
  readonly errorCode: string | null;
  readonly durationMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly upstream: string;
  readonly target: string;
  readonly attempts: number;
}

type HeaderValues = Readonly<Record<string, string | readonly string[]>>;

/** An answer of the policy's own. */
export type Answer =
  | {
      /** 200 to 599. */
      readonly status: number;
      readonly headers?: HeaderValues;
      /** Text is sent as UTF-8, a stream as fast as the client takes it. */
      readonly body?: string | Uint8Array | import("node:stream").Readable;
    }
  | {
      readonly status: number;
      readonly headers?: HeaderValues;
      /** Sent as `application/json`. */
      readonly json: unknown;
    }
  | {
      /** A code of the error table, such as `access_denied`: answered as a problem document (RFC 9457). */
      readonly problem: string;
      /** One sentence; shown to the client for errors of its own making (4xx). */
      readonly detail?: string;
      readonly headers?: HeaderValues;
    };

/** Nothing, to go on. */
// biome-ignore lint/suspicious/noConfusingVoidType: a function without `return` gives it
export type MaybeAnswer = Answer | undefined | void;

/**
 * Changes bodies of upstream responses whole: the answer is held until all of it is there. The upstream is asked for it without coding and without ranges;
 * one that answers with a coding or a part nevertheless is 500 `policy_failed`, as is a body that is longer.
 */
export interface WholeBody {
  /** Longest body, in bytes: at most 16 MiB. */
  readonly maxBytes: number;
  /** Whether this response's body is to be changed; without it all are. `text/event-stream` never is. */
  applies?(x: Response): boolean;
  /** @returns what the client gets instead */
  change(body: Buffer, x: Response): string | Uint8Array;
}

/** What a policy does, all of it optional. A throw is answered with 500 `policy_failed`: nothing passes because something failed. */
export interface Hooks<P extends Phase = Phase> {
  /** In the policy's phase, before anything is sent upstream. Give a promise only when something has to be waited for. */
  onRequest?(x: RequestOfPhase[P]): MaybeAnswer | Promise<MaybeAnswer>;
  /** Once for each attempt, with what will be sent. Synchronous. */
  onUpstreamRequest?(x: UpstreamRequest): void;
  /** Instead of the error that the client would get. Synchronous. */
  onUpstreamFailure?(x: UpstreamFailure): MaybeAnswer;
  /** Also for answers that the gateway or another policy makes. An answer replaces the response. Synchronous. */
  onResponse?(x: Response): MaybeAnswer;
  readonly responseBody?: WholeBody;
  /** Exactly once for each request that reached the route, however it ended. Synchronous. */
  onFinish?(x: Finish): void;
  /** What of the request the answer depends on, beside method, host, path and query: kept for the cache to come. Pure. */
  cacheKey?(x: RequestFacts): string;
}

/** The route that a policy is made for. */
export interface Route {
  readonly name: string;
  /** As written in `match`; of several the first. */
  readonly path: string;
  /** Those that all of its paths have. */
  readonly parameters: readonly string[];
  /** Upper case; empty for any. */
  readonly methods: readonly string[];
  /** A place in each exchange for what the policy keeps of it from hook to hook. */
  slot<T>(): Slot<T>;
}

export interface Slot<T> {
  get(x: RequestFacts): T | undefined;
  set(x: RequestFacts, value: T): void;
}

export interface Policy<P extends Phase = Phase, C = unknown> {
  /** In logs and metrics: letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  readonly phase: P;
  /** Of `with`; without it the policy takes none. It gives plain data (JSON), which is frozen. Runs while a configuration is checked, never in a worker. */
  readonly schema?: (z: Z) => Schema<C>;
  /** Upstreams beside the route's own that `sendTo` may name: they have to exist. */
  readonly upstreams?: (config: C) => readonly string[];
  /** Once for each route that has the policy, in each worker and once while the configuration is checked. A throw refuses the configuration. */
  create(config: C, route: Route): Hooks<P>;
}

/** The default export of a policy module. */
export function definePolicy<const P extends Phase, C = undefined>(policy: Policy<P, C>): Policy<P, C>;

/** The part of zod 4 that schemas are made of here. All of zod is there at run time: https://zod.dev. */
export interface Z {
  strictObject<S extends Shape>(shape: S): Schema<ObjectOf<S>>;
  object<S extends Shape>(shape: S): Schema<ObjectOf<S>>;
  string(): TextSchema;
  number(): NumberSchema;
  int(): NumberSchema;
  boolean(): Schema<boolean>;
  literal<const T extends string | number | boolean>(value: T): Schema<T>;
  enum<const T extends readonly string[]>(values: T): Schema<T[number]>;
  array<T>(of: Schema<T>): ListSchema<T>;
  record<T>(key: Schema<string>, of: Schema<T>): Schema<Readonly<Record<string, T>>>;
  union<const T extends readonly Schema<unknown>[]>(of: T): Schema<Output<T[number]>>;
}

export interface Schema<out T> {
  readonly _output: T;
  optional(): Schema<T | undefined>;
  nullable(): Schema<T | null>;
  default(value: unknown): Schema<Exclude<T, undefined>>;
  refine(holds: (value: T) => boolean, message?: string): this;
  transform<U>(change: (value: T) => U): Schema<U>;
}

export interface TextSchema extends Schema<string> {
  min(characters: number, message?: string): this;
  max(characters: number, message?: string): this;
  regex(pattern: RegExp, message?: string): this;
}

export interface NumberSchema extends Schema<number> {
  min(value: number, message?: string): this;
  max(value: number, message?: string): this;
  int(message?: string): this;
}

export interface ListSchema<out T> extends Schema<readonly T[]> {
  min(entries: number, message?: string): this;
  max(entries: number, message?: string): this;
}

type Output<S> = S extends Schema<infer T> ? T : never;
type Shape = Readonly<Record<string, Schema<unknown>>>;
type ObjectOf<S extends Shape> = {
  readonly [K in keyof S as undefined extends Output<S[K]> ? never : K]: Output<S[K]>;
} & {
  readonly [K in keyof S as undefined extends Output<S[K]> ? K : never]?: Output<S[K]>;
};

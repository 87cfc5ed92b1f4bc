// The part of the plan that bounds what clients may send and hold. Types only; milliseconds and bytes.

export interface LimitsPlan {
  readonly headerBytes: number;
  readonly headerCount: number;
  readonly uriBytes: number;
  /** null for none. */
  readonly bodyBytes: number | null;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  /** Longest time of one policy's asynchronous work in one exchange. */
  readonly policyTimeoutMs: number;
  /** null: none. */
  readonly bodyRate: BodyRatePlan | null;
  /** Bytes of request bodies that all workers together may hold. */
  readonly bufferedBodyBytes: number;
  /** Request bodies that may be arriving from one client address at once, over all workers; null for no limit. */
  readonly bodiesPerAddress: number | null;
  readonly idleTimeoutMs: number;
  /** Open client connections for the whole instance; each worker gets its share. */
  readonly connections: number;
  /** Of those, from one peer's address; null for no limit. */
  readonly connectionsPerAddress: number | null;
  /** Requests of one client connection; null for no limit. */
  readonly requestsPerConnection: number | null;
  /** HTTP/2: requests of one client connection at once. */
  readonly streamsPerConnection: number;
  /** How old a client connection becomes; null for no limit. */
  readonly connectionAgeMs: number | null;
  /** Largest WebSocket message, either direction. */
  readonly webSocketMessageBytes: number;
  /** Bytes queued towards one WebSocket peer before the connection is closed with 1013. */
  readonly webSocketBufferBytes: number;
  readonly webSocketIdleTimeoutMs: number;
  /** Slots of the table of limits, as wanted: shared/limit-layout.ts rounds up. */
  readonly rateLimitBuckets: number;
  /** Largest error page; looked at when the configuration is loaded. */
  readonly errorPageBytes: number;
}

/** The least pace of a request body: nothing is asked in the first `afterMs`, then `bytesPerSecond` on average over each `graceMs`. */
export interface BodyRatePlan {
  readonly bytesPerSecond: number;
  readonly afterMs: number;
  readonly graceMs: number;
}

// Owns how the plan refers to a service that policies call (introspection, forwardAuth): an upstream, configured or made of a URL. Types only.
import type { StatusRange } from "../base/status-list.ts";

/** In the configuration of every policy and authenticator that calls a service, under `service`: compile.ts finds it there. */
export interface ServiceRef {
  /** Name in Plan.upstreams; '' until compile.ts has named the implicit one of a URL. */
  readonly upstream: string;
  /** Path and query of each subrequest. */
  readonly path: string;
  /** What the implicit upstream is made of; null where `to` names a configured one. */
  readonly own: ImplicitUpstream | null;
}

export interface ImplicitUpstream {
  /** `http://host:port`, as a target of an upstream has it. */
  readonly target: string;
  /** PEM; null for the system's roots. */
  readonly ca: string | null;
  /** For one subrequest, everything included, ms. */
  readonly timeoutMs: number;
  /** Connections to each address, for each worker; null for as many as any upstream has. */
  readonly connections: number | null;
  /** The breaker opens after so many failures in a row. */
  readonly failures: number;
  readonly openForMs: number;
  /** Statuses that are failures; of conditions all are. */
  readonly failureStatuses: readonly StatusRange[];
}

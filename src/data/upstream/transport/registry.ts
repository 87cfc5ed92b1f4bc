// THE list of transports: by which protocol and client a worker speaks to endpoints. `protocol` of an upstream names one, and of HTTP/1.1 `pool.client`.
// A transport is what makes pools (Pool in upstream.ts); nobody else knows which one it is.
import type { TimerWheel } from "../../../base/timer-wheel.ts";
import type { EndpointPlan, UpstreamPlan } from "../../../plan/plan.ts";
import type { Pool } from "../upstream.ts";
import { H1Pool } from "./http1/pool.ts";

export type CreatePool = (endpoint: EndpointPlan, upstream: UpstreamPlan, wheel: TimerWheel) => Pool;

/** A transport as it is registered. */
export interface TransportEntry {
  readonly name: string;
  /** Loads what plans that use it need, and others do not. Once, before the first runtime that does is built. */
  readonly load: () => Promise<CreatePool>;
}

/** @returns the name of an upstream's transport */
export const transportOf = ({ protocol, pool }: Pick<UpstreamPlan, "protocol" | "pool">): string =>
  protocol === "http1" ? pool.client : "h2";

export const TRANSPORTS: readonly TransportEntry[] = [
  { name: "http1", load: async () => (endpoint, upstream, wheel) => new H1Pool(endpoint, upstream, wheel) },
  {
    name: "h2",
    load: async () => {
      const { H2Pool } = await import("./h2/pool.ts");
      return (endpoint, upstream, wheel) => new H2Pool(endpoint, upstream, wheel);
    },
  },
  {
    name: "undici",
    load: async () => {
      const { UndiciPool } = await import("./undici/pool.ts");
      return (endpoint, upstream, wheel) => new UndiciPool(endpoint, upstream, wheel);
    },
  },
];

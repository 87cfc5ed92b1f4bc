// Owns which connections a worker takes: limits.connections for its share of the instance, limits.connectionsPerAddress over the whole instance.
// Every engine asks here when somebody has connected, and closes what is too much; must never look at a request.
import { isLoopback } from "../../base/ip.ts";
import type { AddressBucket } from "../../shared/address-bucket.ts";
import type { AddressCounts } from "../../shared/address-counts.ts";
import type { ConnectionTable } from "../../shared/connection-table.ts";
import type { Runtime } from "../exchange/runtime.ts";

/** Why a connection was closed at once. */
export type ConnectionRefusal = "total" | "address";

export interface ConnectionCounts {
  readonly table: ConnectionTable;
  /** Of clients that a PROXY header named: the kernel does not know them, but the engine that reads the header tells when they go. */
  readonly proxied: AddressCounts;
  readonly buckets: AddressBucket;
}

export class ConnectionLimits {
  readonly #counts: ConnectionCounts;

  constructor(counts: ConnectionCounts) {
    this.#counts = counts;
  }

  /**
   * @param peer canonical address; '' on a Unix socket, and for one that a PROXY header is still to name
   * @param open connections of this worker, this one included. @param workers that share limits.connections
   * @returns null when it may stay
   */
  refusal(runtime: Runtime, peer: string, counts: { readonly open: number; readonly workers: number }): ConnectionRefusal | null {
    if (counts.open > Math.ceil(runtime.plan.limits.connections / counts.workers)) return "total";
    const limit = limitOf(runtime, peer);
    if (limit === null) return null;
    return this.#counts.table.opened(this.#counts.buckets.of(peer), limit) ? null : "address";
  }

  /** @param client named by a PROXY header, canonical. @returns to be called when its connection is closed; null when it is one too many */
  admitProxied(runtime: Runtime, client: string): (() => void) | null {
    const limit = limitOf(runtime, client);
    if (limit === null) return () => {};
    const { proxied, buckets } = this.#counts;
    const bucket = buckets.of(client);
    return proxied.enter(bucket, limit) ? () => proxied.leave(bucket) : null;
  }
}

/** @returns null for who is not counted: who stands for many, or is of this machine */
function limitOf(runtime: Runtime, peer: string): number | null {
  const { connectionsPerAddress } = runtime.plan.limits;
  return connectionsPerAddress === null || peer === "" || isLoopback(peer) || runtime.trustsPeer(peer) ? null : connectionsPerAddress;
}

// Owns which connections a worker takes: limits.connections for its share of the instance, limits.connectionsPerAddress over the whole instance.
// Every engine asks here when somebody has connected, and closes what is too much; must never look at a request.
import { isLoopback } from "../../base/ip.ts";
import type { AddressBucket } from "../../shared/address-bucket.ts";
import type { ConnectionTable } from "../../shared/connection-table.ts";
import type { Runtime } from "../runtime.ts";

/** Why a connection was closed at once. */
export type ConnectionRefusal = "total" | "address";

export class ConnectionLimits {
  readonly #table: ConnectionTable;
  readonly #buckets: AddressBucket;

  constructor(table: ConnectionTable, buckets: AddressBucket) {
    this.#table = table;
    this.#buckets = buckets;
  }

  /**
   * @param peer canonical address; '' on a Unix socket
   * @param open connections of this worker, this one included. @param workers that share limits.connections
   * @returns null when it may stay
   */
  refusal(runtime: Runtime, peer: string, counts: { readonly open: number; readonly workers: number }): ConnectionRefusal | null {
    const { connections, connectionsPerAddress } = runtime.plan.limits;
    if (counts.open > Math.ceil(connections / counts.workers)) return "total";
    if (connectionsPerAddress === null || peer === "" || isLoopback(peer) || runtime.trustsPeer(peer)) return null;
    return this.#table.opened(this.#buckets.of(peer), connectionsPerAddress) ? null : "address";
  }
}

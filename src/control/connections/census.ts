// Owns counting the connections of each peer address for limits.connectionsPerAddress: asks the kernel when a worker finds that somebody comes near
// the limit, and says who has reached it. Must never keep the primary busy: a census takes a tenth of its time at most.

import { ClientTrust } from "../../base/client-trust.ts";
import { isLoopback } from "../../base/ip.ts";
import type { Log } from "../../observe/log.ts";
import type { Plan } from "../../plan/plan.ts";
import { ADDRESS_BUCKETS, type AddressBucket } from "../../shared/address-bucket.ts";
import { type ConnectionTable, NEAR } from "../../shared/connection-table.ts";
import { canListPeers, listPeers } from "./socket-list.ts";

/** How often it is looked whether a census is due, ms; so long a closed connection may count on. */
const LOOK_MS = 100;
/** While somebody has many connections the list is renewed so often, ms: nothing tells of those that are closed until the next one is opened. */
const RENEW_MS = 1000;
/** After a census it rests for this many times as long as it took. */
const REST_FACTOR = 9;
/** At least so long (ms) between two lines of the log. */
const QUIET_MS = 60_000;

export interface CensusOptions {
  readonly table: ConnectionTable;
  readonly buckets: AddressBucket;
  readonly log: Log;
  /** Instead of the kernel's lists, in their form. */
  readonly files?: readonly string[];
}

export class ConnectionCensus {
  readonly #options: CensusOptions;
  #plan: Plan | null = null;
  #timer: NodeJS.Timeout | null = null;
  #running = false;
  #restUntilMs = 0;
  #renewAtMs = Number.POSITIVE_INFINITY;
  #saidMs = Number.NEGATIVE_INFINITY;

  /** Before any worker listens: whoever connects from then on is counted. */
  constructor(options: CensusOptions) {
    this.#options = options;
    options.table.works = canListPeers(options.files);
  }

  /** The plan in force. */
  async follow(plan: Plan): Promise<void> {
    this.#plan = plan;
    const wanted = plan.limits.connectionsPerAddress !== null && plan.listeners.some((each) => each.unixPath === null);
    if (!wanted) return this.stop();
    if (this.#timer !== null) return;
    if (await this.#count()) this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** From now on nobody is turned away for his address. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#options.table.works = false;
  }

  #look(): void {
    const nowMs = performance.now();
    const due = this.#options.table.wanted || nowMs >= this.#renewAtMs;
    if (due && !this.#running && nowMs >= this.#restUntilMs) void this.#count();
  }

  /** @returns false when the kernel does not tell */
  async #count(): Promise<boolean> {
    const { table, log } = this.#options;
    const plan = this.#plan;
    if (plan === null || this.#running) return true;
    this.#running = true;
    const beganMs = performance.now();
    try {
      await this.#takeCensus(plan);
      table.works = plan.limits.connectionsPerAddress !== null;
      return true;
    } catch (error) {
      log.warn("limits.connectionsPerAddress is not kept: the system does not tell who is connected", { error });
      this.stop();
      return false;
    } finally {
      this.#running = false;
      const nowMs = performance.now();
      this.#restUntilMs = nowMs + REST_FACTOR * (nowMs - beganMs);
    }
  }

  async #takeCensus(plan: Plan): Promise<void> {
    const { table, buckets } = this.#options;
    const trust = new ClientTrust(plan.trustedProxies);
    const listed = new Int32Array(ADDRESS_BUCKETS);
    const busiest = { peer: "", connections: 0 };
    table.beginCensus();
    await listPeers(
      new Set(plan.listeners.filter(isCounted).map(({ port }) => port)),
      (peer) => {
        if (isLoopback(peer) || trust.trusts(peer)) return;
        const bucket = buckets.of(peer);
        const connections = (listed[bucket] = (listed[bucket] ?? 0) + 1);
        if (connections > busiest.connections) Object.assign(busiest, { peer, connections });
      },
      this.#options.files,
    );
    table.endCensus(listed);
    const many = (plan.limits.connectionsPerAddress ?? Number.POSITIVE_INFINITY) * NEAR;
    this.#renewAtMs = busiest.connections >= many ? performance.now() + RENEW_MS : Number.POSITIVE_INFINITY;
    this.#tell(plan, busiest);
  }

  #tell({ limits }: Plan, { peer, connections }: { readonly peer: string; readonly connections: number }): void {
    const nowMs = performance.now();
    if (limits.connectionsPerAddress === null || connections < limits.connectionsPerAddress || nowMs - this.#saidMs < QUIET_MS) return;
    this.#saidMs = nowMs;
    this.#options.log.warn("an address has limits.connectionsPerAddress connections open: further ones are closed", {
      address: peer,
      connections,
    });
  }
}

/** Behind PROXY headers the kernel knows the balancer only. */
const isCounted = (listener: Plan["listeners"][number]): boolean => listener.unixPath === null && !listener.proxyProtocol;

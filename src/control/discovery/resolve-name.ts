// Owns one resolution of one name, through DNS or the system. Must never cache or retry: name-watch.ts does.
import { lookup, Resolver } from "node:dns/promises";
import type { TargetSource } from "./target-url.ts";

/** Addresses one name may have; more are cut off (a bound, not a feature). */
export const ADDRESSES_MAX = 256;
/** One query may take this long, over all servers and tries about three times as long. */
const QUERY_TIMEOUT_MS = 2000;
const QUERY_TRIES = 2;
/** How often what has no TTL is looked at again: the system's resolver and hosts file, and SRV records whose addresses have none. */
const NO_TTL_MS = 30_000;

/** One address behind a name. */
export interface ResolvedAddress {
  /** IP literal. */
  readonly address: string;
  /** From SRV; 0 otherwise: the target's own port. */
  readonly port: number;
  /** From SRV; 1 otherwise. Multiplies the target's weight. */
  readonly weight: number;
  /** The SRV record's host; the name itself otherwise. */
  readonly host: string;
}

/** What a name means now. */
export interface Answer {
  /** Sorted and distinct, so that equal answers look equal. */
  readonly addresses: readonly ResolvedAddress[];
  readonly ttlMs: number;
}

/** A name that has to be resolved. */
export type NameSource = Exclude<TargetSource, { kind: "literal" }>;

/** Resolves names through one set of servers. */
export class NameResolver {
  /** Made when first needed: most plans have no names. */
  #made: Resolver | null = null;
  readonly #explicitServers: boolean;

  /** @param servers `address` or `address:port`; empty for the system's. @throws TypeError for anything else. */
  constructor(servers: readonly string[]) {
    this.#explicitServers = servers.length > 0;
    if (this.#explicitServers) this.#resolver.setServers([...servers]);
  }

  get #resolver(): Resolver {
    return (this.#made ??= new Resolver({ timeout: QUERY_TIMEOUT_MS, tries: QUERY_TRIES }));
  }

  /**
   * `localhost` and its subdomains (RFC 6761 section 6.3), and single-label names unless servers are configured, are asked of the system, which
   * knows hosts file and search domains; everything else of DNS, because only DNS tells the TTL. When the system's DNS does not know a name
   * the hosts file still may. A (IPv4) records win; AAAA count when there are none.
   * @throws Error with a DNS code when there is no address.
   */
  async resolve(source: NameSource): Promise<Answer> {
    if (source.kind === "srv") return this.#resolveSrv(source.name);
    return this.#resolveHost(source.name);
  }

  /** Abandons queries under way: they fail with ECANCELLED. */
  cancel(): void {
    this.#made?.cancel();
  }

  async #resolveHost(name: string): Promise<Answer> {
    const local = name === "localhost" || name.endsWith(".localhost");
    if (local || (!this.#explicitServers && !name.includes("."))) return systemLookup(name);
    try {
      return await this.#queryAddresses(name);
    } catch (error) {
      if (this.#explicitServers) throw error;
      return systemLookup(name);
    }
  }

  async #queryAddresses(name: string): Promise<Answer> {
    const [v4, v6] = await Promise.allSettled([this.#resolver.resolve4(name, { ttl: true }), this.#resolver.resolve6(name, { ttl: true })]);
    const records = v4.status === "fulfilled" && v4.value.length > 0 ? v4.value : v6.status === "fulfilled" ? v6.value : [];
    // The A failure is the telling one: a host without IPv6 answers AAAA with "no data".
    if (records.length === 0) throw v4.status === "rejected" ? v4.reason : new Error(`no address for ${name}`);
    // If A failed but for "there are none", AAAA alone could be half the truth: keep what was known instead.
    if (v4.status === "rejected" && !meansNone(v4.reason)) throw v4.reason;
    const ttlMs = Math.min(...records.map((record) => record.ttl)) * 1000;
    return answer(
      records.map((record) => plain(name, record.address)),
      ttlMs,
    );
  }

  /** Lowest priority only; node does not tell the TTL of SRV records, so that of the addresses stands for both. */
  async #resolveSrv(name: string): Promise<Answer> {
    const records = await this.#resolver.resolveSrv(name);
    const best = Math.min(...records.map((record) => record.priority));
    const chosen = records.filter((record) => record.priority === best && record.name !== "").slice(0, ADDRESSES_MAX);
    const hosts = await Promise.all(chosen.map((record) => this.#resolveSrvHost(record.name)));
    const addresses = chosen.flatMap((record, i) =>
      // Weight 0 means "hardly any" beside others (RFC 2782), and all 0 means equal: 1 serves both.
      (hosts[i]?.addresses ?? []).map(({ address }) => ({
        address,
        port: record.port,
        weight: Math.max(1, record.weight),
        host: record.name,
      })),
    );
    if (addresses.length === 0) throw new Error(`no SRV target for ${name}`);
    return answer(addresses, Math.min(...hosts.map((host) => host?.ttlMs ?? NO_TTL_MS)));
  }

  /** @returns null for a host that does not exist: the others still serve. @throws when that is not certain. */
  async #resolveSrvHost(name: string): Promise<Answer | null> {
    try {
      return await this.#resolveHost(name);
    } catch (error) {
      if (meansNone(error)) return null;
      throw error;
    }
  }
}

async function systemLookup(name: string): Promise<Answer> {
  const found = await lookup(name, { all: true, order: "ipv4first" });
  const family = found[0]?.family;
  const addresses = found.filter((entry) => entry.family === family).map((entry) => plain(name, entry.address));
  return answer(addresses, NO_TTL_MS);
}

const plain = (host: string, address: string): ResolvedAddress => ({ address, port: 0, weight: 1, host });

function meansNone(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return code === "ENODATA" || code === "ENOTFOUND";
}

function answer(addresses: readonly ResolvedAddress[], ttlMs: number): Answer {
  const distinct = new Map(addresses.map((entry) => [`${entry.host} ${entry.address} ${entry.port}`, entry]));
  const sorted = [...distinct.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, ADDRESSES_MAX);
  return { addresses: sorted.map(([, entry]) => entry), ttlMs };
}

// Owns what ioredis is told: bounded waits, no queue while there is no connection, no command sent twice behind our back. Pure.
import type { ClusterOptions, RedisOptions } from "ioredis";
import type { RedisNode, RedisSettings, RedisTls } from "./redis-settings.ts";

/** Longest wait (ms) for a TCP (and TLS) connection. */
const CONNECT_TIMEOUT_MS = 2000;
/** First pause (ms) before connecting again; it doubles up to the longest. */
const RETRY_MS_FIRST = 50;
const RETRY_MS_MAX = 1000;
/** Silence (ms) after which TCP asks whether the peer is still there. */
const KEEP_ALIVE_MS = 10_000;
/** How often (ms) a cluster is asked which node has which slots; a redirection leads to the same at once. */
const SLOTS_REFRESH_MS = 5000;
/** Redirections of one command before it fails. */
const REDIRECTIONS_MAX = 4;

/** Exponential, half of it random, so that a fleet does not come back in step. @param attempt from 1 */
export function retryDelayMs(attempt: number, random: () => number = Math.random): number {
  const full = Math.min(RETRY_MS_MAX, RETRY_MS_FIRST * 2 ** Math.min(30, attempt - 1));
  return Math.round(full * (0.5 + random() / 2));
}

/** For one Redis, by itself or behind Sentinel. @param settings not of a cluster */
export function redisOptions(settings: RedisSettings): RedisOptions & { replyMapping: "legacy" } {
  const { topology } = settings;
  const common = { ...connectionOptions(settings), enableOfflineQueue: false, retryStrategy: retryAlways };
  switch (topology.kind) {
    case "standalone":
      return { ...common, host: topology.host, port: topology.port };
    case "unix":
      return { ...common, path: topology.path };
    case "sentinel":
      return {
        ...common,
        name: topology.name,
        sentinels: topology.nodes.map(({ host, port }) => ({ host, port })),
        ...(topology.username === null ? {} : { sentinelUsername: topology.username }),
        ...(topology.password === null ? {} : { sentinelPassword: topology.password }),
        ...(settings.tls === null ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(settings.tls) }),
        sentinelCommandTimeout: settings.commandTimeoutMs,
        sentinelRetryStrategy: retryAlways,
        failoverDetector: true,
      };
    case "cluster":
      throw new Error("a cluster has options of its own");
  }
}

/** For a cluster: where to begin, and how. */
export function clusterOptions(settings: RedisSettings, nodes: readonly RedisNode[]) {
  return {
    startup: nodes.map(({ host, port }) => ({ host, port })),
    options: {
      redisOptions: connectionOptions(settings),
      enableOfflineQueue: false,
      clusterRetryStrategy: retryAlways,
      slotsRefreshTimeout: Math.max(CONNECT_TIMEOUT_MS, settings.commandTimeoutMs),
      slotsRefreshInterval: SLOTS_REFRESH_MS,
      maxRedirections: REDIRECTIONS_MAX,
    } satisfies ClusterOptions,
  };
}

const retryAlways = (attempt: number): number => retryDelayMs(attempt);

function connectionOptions({ username, password, database, tls, commandTimeoutMs }: RedisSettings) {
  return {
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(tls === null ? {} : { tls: tlsOptions(tls) }),
    db: database,
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: commandTimeoutMs,
    // A Redis that hangs keeps its connections: whoever does not answer is left.
    socketTimeout: commandTimeoutMs,
    keepAlive: KEEP_ALIVE_MS,
    // What was under way when the connection broke is ours to send again, with the same number.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // A master that became a replica keeps its connections too.
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
    connectionName: "sluice",
    disableClientInfo: true,
    // Literals, as ioredis's types ask for them.
    protocol: 2 as const,
    replyMapping: "legacy" as const,
  };
}

function tlsOptions({ ca, cert, key, serverName, verify }: RedisTls) {
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(serverName === null ? {} : { servername: serverName }),
    rejectUnauthorized: verify,
  };
}

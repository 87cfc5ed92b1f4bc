// Owns the schema of the `redis` section: how the fleet's Redis is reached and how often instances reconcile with it. Must never connect.
import * as z from "zod";
import { insecure } from "../../../base/insecure-schema.ts";
import { withRules } from "../../../base/rules.ts";
import { name, once } from "../../../base/schema.ts";
import type { WayOut } from "../../../base/ways-out.ts";
import type { RedisNode, RedisSettings, RedisTopology } from "../../../store/redis-settings.ts";
import { parseListenAddress } from "../source/address.ts";
import { count, pemFile, period } from "./fields.ts";

const NODES_MAX = 100;
/** Instances of one fleet. */
export const FLEET_SIZE_MAX = 1000;
const DEFAULT_PORT = 6379;
const SENTINEL_PORT = 26_379;
const SYNC_INTERVAL_MS_MIN = 10;
const SYNC_INTERVAL_MS_MAX = 10_000;

/** What the configuration says of Redis. */
export interface RedisConfig extends RedisSettings {
  readonly syncIntervalMs: number;
  /** What keys of limits are hashed with; null: derived from the password, or fixed. */
  readonly secret: string | null;
  /** Instances that are expected; null when it is not said. */
  readonly fleetSize: number | null;
}

const credential = () => z.string().min(1).max(4096);

/** `host:port`, the port optional; output {@link RedisNode}. */
const node = (defaultPort: number) =>
  z
    .string()
    .transform((text, ctx): RedisNode => {
      const address = parseListenAddress(/:\d+$/.test(text) ? text : `${text}:${defaultPort}`);
      if (address !== null && address.unixPath === null && address.port !== 0) return { host: address.host, port: address.port };
      ctx.addIssue({ code: "custom", message: "expected host:port or [IPv6]:port" });
      return z.NEVER;
    })
    .meta({ examples: [`10.0.0.7:${defaultPort}`] });

const nodes = (defaultPort: number) => z.array(node(defaultPort)).min(1).max(NODES_MAX);

interface RedisUrl {
  readonly topology: RedisTopology;
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number | null;
}

/** @returns null for what is none. Says nothing about the text: it may hold a password. */
export function parseRedisUrl(text: string): RedisUrl | null {
  if (text.startsWith("unix:")) {
    const address = parseListenAddress(text);
    const path = address?.unixPath ?? null;
    return path === null ? null : { topology: { kind: "unix", path }, tls: false, username: null, password: null, database: null };
  }
  const url = /^rediss?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : null;
  const database = url === null ? null : /^\/(\d{1,5})?$/.exec(url.pathname === "" ? "/" : url.pathname);
  if (url === null || database === null || url.hostname === "" || url.search !== "" || url.hash !== "") return null;
  const [username, password] = [decode(url.username), decode(url.password)];
  if (username === null || password === null || url.port === "0") return null;
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  return {
    topology: { kind: "standalone", host, port: url.port === "" ? DEFAULT_PORT : Number(url.port) },
    tls: url.protocol === "rediss:",
    username: username === "" ? null : username,
    password: password === "" ? null : password,
    database: database[1] === undefined ? null : Number(database[1]),
  };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

const url = once(() =>
  z
    .string()
    .transform((text, ctx): RedisUrl => {
      const parsed = parseRedisUrl(text);
      if (parsed !== null) return parsed;
      ctx.addIssue({ code: "custom", message: "expected redis://user:password@host:port/database, rediss://... for TLS, or unix:/path" });
      return z.NEVER;
    })
    .meta({
      description:
        "One Redis: `redis://user:password@host:port/database`, `rediss://` for TLS, or `unix:/path`. `file:path` reads it from a file.",
      examples: ["redis://10.0.0.7:6379", `\${REDIS_URL}`],
    }),
);

const sentinel = once(() =>
  z
    .strictObject({
      name: z.string().min(1).max(256).meta({ description: "Name of the master that the sentinels watch." }),
      nodes: nodes(SENTINEL_PORT).meta({ description: "Some of the sentinels; the others are discovered from them." }),
      username: credential().optional().meta({ description: "For the sentinels themselves." }),
      password: credential().optional().meta({ description: "For the sentinels themselves. `file:path` reads it from a file." }),
    })
    .meta({ description: "Redis behind Sentinel." }),
);

const PLAIN_TLS = { ca: null, cert: null, key: null, serverName: null, verify: true };

const tls = once(() =>
  z
    .union(
      [
        z.boolean(),
        withRules(
          z.strictObject({
            ca: pemFile().optional().meta({ description: "PEM file of the authorities to trust instead of the system's." }),
            cert: pemFile().optional().meta({ description: "PEM file: the client certificate." }),
            key: pemFile().optional().meta({ description: "PEM file: the client certificate's private key." }),
            serverName: z.string().min(1).max(253).optional().meta({ description: "Name to verify, instead of the host." }),
            insecureSkipVerify: z
              .boolean()
              .optional()
              .meta({ description: "Former form of `insecure: [tls-unverified]`.", deprecated: true }),
          }),
          ({ cert, key }, object) => {
            if ((cert === undefined) !== (key === undefined)) object("cert and key go together");
          },
        ),
      ],
      { error: "expected true, false or a map" },
    )
    .transform((v) => {
      if (typeof v === "boolean") return v ? PLAIN_TLS : null;
      return {
        ca: v.ca ?? null,
        cert: v.cert ?? null,
        key: v.key ?? null,
        serverName: v.serverName ?? null,
        verify: v.insecureSkipVerify !== true,
      };
    })
    .meta({
      description: "TLS to Redis and to the sentinels; `true` verifies by the system's authorities, which is what `rediss://` means too.",
    }),
);

export const redis = once(() =>
  withRules(
    z.strictObject({
      url: url().optional(),
      sentinel: sentinel().optional(),
      cluster: nodes(DEFAULT_PORT).optional().meta({ description: "Some nodes of a Redis Cluster; the others are discovered from them." }),
      tls: tls().optional(),
      insecure: insecure("redis"),
      username: credential().optional().meta({ description: "User of the ACL; may stand in the URL instead." }),
      password: credential().optional().meta({ description: "Password; may stand in the URL instead. `file:path` reads it from a file." }),
      database: count(0, 65_535).optional().meta({ description: "Number of the database; not with a cluster." }),
      prefix: name().prefault("sluice").meta({ description: "In front of every key: fleets with different prefixes share nothing." }),
      secret: z.string().min(16).max(4096).optional().meta({
        description:
          "What callers' keys are hashed with before they go to Redis, and what stored responses there are signed with; equal in all instances. Default: derived from the password. `file:path` reads it from a file.",
      }),
      syncInterval: period({ min: SYNC_INTERVAL_MS_MIN, max: SYNC_INTERVAL_MS_MAX })
        .prefault("100ms")
        .meta({ description: "How often an instance reports what was spent here and reads what the fleet has spent." }),
      commandTimeout: period({ max: 60_000 })
        .prefault("500ms")
        .meta({ description: "How long Redis may take to answer before the connection is given up. Requests never wait for it." }),
      fleetSize: count(1, FLEET_SIZE_MAX).optional().meta({
        description: "Instances to expect: what `validate` computes with, and what an instance assumes until Redis has counted them.",
      }),
    }),
    ({ url, sentinel, cluster }, object) => {
      if ([url, sentinel, cluster].filter((each) => each !== undefined).length !== 1)
        object("expected exactly one of url, sentinel and cluster");
    },
    ({ cluster, database, url }, object) => {
      if (cluster !== undefined && (database ?? url?.database ?? 0) !== 0) object("a cluster has only database 0", ["database"]);
    },
    ({ tls, url, insecure }, object) => {
      if (insecure !== undefined && (tls ?? null) === null && url?.tls !== true)
        object("tls-unverified opens nothing: Redis is reached without TLS", ["insecure"], "remove it, or write `tls: true`");
    },
  )
    .transform((v): RedisConfig => {
      return {
        topology: topologyOf(v),
        tls: tlsOf(v.tls === undefined && v.url?.tls === true ? PLAIN_TLS : (v.tls ?? null), v.insecure),
        username: v.username ?? v.url?.username ?? null,
        password: v.password ?? v.url?.password ?? null,
        database: v.database ?? v.url?.database ?? 0,
        prefix: v.prefix,
        commandTimeoutMs: v.commandTimeout,
        syncIntervalMs: v.syncInterval,
        secret: v.secret ?? null,
        fleetSize: v.fleetSize ?? null,
      };
    })
    .optional()
    .transform((value) => value ?? null)
    .meta({
      description:
        "The Redis that makes a fleet of several instances: limits in `fleet` and `strict` mode, quotas, and stored responses of routes with `cache: { redis: true }` are shared through it. A change needs a restart.",
    }),
);

/** @param insecure what was written under it */
const tlsOf = (tls: RedisSettings["tls"], insecure: readonly WayOut[] = []): RedisSettings["tls"] =>
  tls === null ? null : { ...tls, verify: tls.verify && !insecure.includes("tls-unverified") };

function topologyOf(v: {
  readonly url?: RedisUrl | undefined;
  readonly sentinel?: z.output<ReturnType<typeof sentinel>> | undefined;
  readonly cluster?: readonly RedisNode[] | undefined;
}): RedisTopology {
  if (v.url !== undefined) return v.url.topology;
  if (v.sentinel === undefined) return { kind: "cluster", nodes: v.cluster ?? [] }; // one of the three, by the rule
  const { username, password, ...rest } = v.sentinel;
  return { kind: "sentinel", ...rest, username: username ?? null, password: password ?? null };
}

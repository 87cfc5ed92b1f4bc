// Owns the root of the one schema from which types, validation, JSON Schema and reference docs are made.
// Must never read files or the environment.
import * as z from "zod";
import { name, once } from "../../../base/schema.ts";
import type { ModuleFilePlan } from "../../../plan/module-plan.ts";
import type { RedisConsumerSet } from "../source/redis-consumers.ts";
import { auth } from "./auth.ts";
import { clients } from "./clients.ts";
import { consumers, consumersFrom, tiers } from "./consumers.ts";
import { errorPages } from "./error-pages.ts";
import { trustedProxy } from "./fields.ts";
import { identity } from "./identity.ts";
import { admin, cache, dns, drainTimeout, limits, log, watchdog, workers } from "./instance.ts";
import { listeners } from "./listener.ts";
import { workerOverload } from "./overload.ts";
import { redis } from "./redis.ts";
import { defaults, policySets, type RouteConfig, routes } from "./route.ts";
import { type UpstreamConfig, upstream, upstreamDefaults } from "./upstream.ts";
import { versioning } from "./versioning.ts";

/** Upstreams of one instance. */
export const UPSTREAMS_MAX = 10_000;
const TRUSTED_PROXIES_MAX = 1000;

const version = once(() => z.literal(1, { error: "expected version: 1" }).meta({ description: "Version of this format." }));

const trustedProxies = once(() =>
  z.array(trustedProxy()).max(TRUSTED_PROXIES_MAX).prefault([]).meta({
    description:
      "Addresses and CIDR blocks whose `Forwarded` and `X-Forwarded-*` headers are believed; `unix` stands for whoever connects over a Unix socket. `X-Forwarded-For` wins over a `Forwarded` that differs; what cannot be read of either is 400.",
  }),
);

export const upstreams = once(() =>
  z
    .record(name(), upstream())
    .refine((record) => Object.keys(record).length <= UPSTREAMS_MAX, `expected at most ${UPSTREAMS_MAX} upstreams`)
    .prefault({})
    .meta({ description: "Named groups of targets." }),
);

const topErrorPages = once(() =>
  errorPages()
    .optional()
    .transform((value) => value ?? null),
);

/** Sections that stand on their own: each is parsed alone, so that a mistake in one hides none in another. */
export const SECTIONS = {
  version,
  workers,
  listeners,
  admin,
  trustedProxies,
  limits,
  cache,
  overload: workerOverload,
  drainTimeout,
  watchdog,
  dns,
  log,
  redis,
  auth,
  tiers,
  consumers,
  identity,
  consumersFrom,
  clients,
  versioning,
  errorPages: topErrorPages,
} as const;

const WHOLE = { ...SECTIONS, upstreamDefaults, upstreams, defaults, policySets, routes } as const;

/** Top-level keys that begin so are the author's own, as a home for anchors: nobody reads them. */
export const IGNORED_PREFIX = "x-";

/** Keys of the whole file. */
export const CONFIG_KEYS: readonly string[] = Object.keys(WHOLE);

/** The whole file. */
export const configSchema = once(() =>
  z.strictObject(Object.fromEntries(Object.entries(WHOLE).map(([key, schema]) => [key, schema()])) as Made<typeof WHOLE>),
);

type Made<Makers extends Readonly<Record<string, () => unknown>>> = { readonly [K in keyof Makers]: ReturnType<Makers[K]> };
type Sections = { readonly [K in keyof typeof SECTIONS]: z.output<Made<typeof SECTIONS>[K]> };

/** One named upstream. */
export interface NamedUpstream extends UpstreamConfig {
  readonly name: string;
}

/** Where nobody listens for now. */
export interface LeftOutListener {
  readonly address: string;
  /** As a problem of the configuration would be said. */
  readonly problem: string;
  /** What has to be usable again; paths are absolute. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly clientCa: string | null;
}

/** A configuration that is right in every part: defaults filled in, units resolved (milliseconds, bytes, fractions), files read or their paths made absolute. */
export interface Config extends Sections {
  readonly upstreams: readonly NamedUpstream[];
  /** In the order of the file; the plan orders them. */
  readonly routes: readonly RouteConfig[];
  /** Files of the listeners' certificates, keys and authorities: path -> content, each character a byte. */
  readonly certificateFiles: Readonly<Record<string, string>>;
  /** Error pages in files: path -> text. */
  readonly errorPageFiles: Readonly<Record<string, string>>;
  /** Sources of the policies of the user's own. */
  readonly modules: readonly ModuleFilePlan[];
  /** Listeners that the file has and that are not among `listeners`, as their certificates cannot be used; only ever at a start. */
  readonly leftOut: readonly LeftOutListener[];
  /** What `consumers` has from Redis, as it was read; null for nothing. */
  readonly redisConsumers: RedisConsumerSet | null;
}

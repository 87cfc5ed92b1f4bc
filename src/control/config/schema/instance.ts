// Owns the schema of what belongs to the instance as a whole: admin, limits, watchdog, DNS, log. Outputs carry units in their names.
import * as z from "zod";
import { CPU_NUMBER_MAX, parseCpuList } from "../../../base/cpu-list.ts";
import { withRules } from "../../../base/rules.ts";
import { headerName, lazyOptional, once } from "../../../base/schema.ts";
import { CREDENTIAL_HEADERS } from "../../../data/cache/config-credentials.ts";
import type { CachePlan, TierPlan } from "../../../plan/cache-plan.ts";
import type { LimitsPlan } from "../../../plan/limits-plan.ts";
import { WORKERS_MAX } from "../../../shared/heartbeat.ts";
import { LIMIT_SLOTS_DEFAULT, LIMIT_SLOTS_MAX, LIMIT_SLOTS_MIN } from "../../../shared/limit-layout.ts";
import { bodyRate } from "./body.ts";
import { cacheWarm } from "./cache-warm.ts";
import { bodyBytes, bytes, count, filePath, listenAddress, period } from "./fields.ts";

/** uWebSockets.js keeps no longer timeouts. */
const ENGINE_TIMEOUT_MS_MAX = 960_000;

const MIB = 1024 ** 2;
/** Objects of the largest size that the store must have room for. */
const OBJECTS_MIN = 50;

/** Of one error page. */
const ERROR_PAGE_BYTES_MAX = 8 * MIB;

/** Output null for `none`. */
const countOrNone = (preset: number | "none") =>
  z
    .union([z.literal("none"), count(1, 10_000_000)], { error: "expected none or a number from 1 to 10000000" })
    .transform((value) => (value === "none" ? null : value))
    .prefault(preset);

/** Output null for `none`. */
const periodOrNone = (preset: string) =>
  z
    .union([z.literal("none"), period()], { error: "expected none or a duration such as 1h" })
    .transform((value) => (value === "none" ? null : value))
    .prefault(preset);

const isMap = (input: unknown): boolean => typeof input === "object" && input !== null && !Array.isArray(input);

const workerCount = () =>
  z.union([z.literal("auto"), count(1, WORKERS_MAX)], { error: `expected auto or a number from 1 to ${WORKERS_MAX}` });

const cpuList = once(() =>
  z
    .string()
    .transform((text, ctx) => {
      const cpus = parseCpuList(text);
      if (cpus !== null) return cpus;
      ctx.addIssue({ code: "custom", message: "expected auto or CPUs such as 0-3,8 or [0, 1]" });
      return z.NEVER;
    })
    .meta({ examples: ["0-3,8"] }),
);

export const workers = once(() =>
  z
    .union(
      [
        z.literal("auto"),
        count(1, WORKERS_MAX),
        z.strictObject({
          count: workerCount()
            .prefault("auto")
            .meta({ description: "How many; `auto` is one for each of `cpus`, and without those one for each available core." }),
          cpus: z
            .union(
              [
                z.literal("auto"),
                cpuList(),
                z
                  .array(count(0, CPU_NUMBER_MAX))
                  .min(1)
                  .max(CPU_NUMBER_MAX + 1),
              ],
              {
                error: "expected auto or CPUs such as 0-3,8 or [0, 1]",
              },
            )
            .optional()
            .meta({
              description:
                "Pins worker N to the Nth of these CPUs (again from the first when there are more workers); `auto` takes those that this process may use. Without it the kernel chooses. Needs Linux and taskset (util-linux); where pinning fails the gateway serves on and logs it.",
            }),
        }),
      ],
      {
        // What is wrong inside of a map says its own message.
        error: ({ input }) => (isMap(input) ? undefined : `expected auto, a number from 1 to ${WORKERS_MAX}, or a map with count and cpus`),
      },
    )
    .transform(
      (value): WorkersConfig =>
        typeof value === "object" ? { count: value.count, cpus: value.cpus ?? null } : { count: value, cpus: null },
    )
    .prefault("auto")
    .meta({
      description: "Worker threads: `auto` for one for each available core, a number, or a map with these keys. A change needs a restart.",
    }),
);

export interface WorkersConfig {
  readonly count: "auto" | number;
  /** null: not pinned. */
  readonly cpus: "auto" | readonly number[] | null;
}

export const admin = once(() =>
  z
    .union(
      [
        z.literal(false),
        z.strictObject({
          address: listenAddress()
            .prefault("127.0.0.1:9901")
            .meta({ description: "Where the admin listener listens. A change needs a restart." }),
          token: z
            .string()
            .max(4096)
            .refine((text) => /^[\x21-\x7e]*$/.test(text), "expected visible ASCII characters without spaces")
            .prefault("")
            .meta({
              description: "Bearer token; empty: none, and only loopback peers are served. `file:path` reads it from a file.",
              examples: [`\${ADMIN_TOKEN:-}`, "file:/run/secrets/admin-token"],
            }),
        }),
      ],
      { error: "expected a map with address and token, or false" },
    )
    .transform((value) => (value === false ? null : { address: value.address, token: value.token === "" ? null : value.token }))
    .prefault({})
    .meta({ description: "Admin listener: health, metrics, configuration, reload. `false` switches it off (the control socket stays)." }),
);

export const limits = once(() =>
  z
    .strictObject({
      headerBytes: bytes(1024)
        .prefault("16KiB")
        .meta({ description: "Largest request header section; beyond it 431. A change needs a restart." }),
      headerCount: count(1, 1000)
        .prefault(100)
        .meta({ description: "Most request headers; beyond it 431. The uws engine itself stops at 98." }),
      uriBytes: bytes(64).prefault("8KiB").meta({ description: "Longest request target; beyond it 414. A change needs a restart." }),
      bodyBytes: bodyBytes().prefault("10MiB").meta({
        description:
          "Largest request body; beyond it 413. `none`: bodies of any size, which stream to the service; what reads a whole body (`forwardAuth`, signatures, `aggregate`) keeps its own bound, and `bufferedBodyBytes`, `bodyTimeout` and `bodyRate` hold. A route may set its own.",
      }),
      headerTimeout: period({ max: ENGINE_TIMEOUT_MS_MAX })
        .prefault("10s")
        .meta({ description: "Time for a request's header section to arrive; the uws engine rounds it up to a multiple of 4 s." }),
      bodyTimeout: period().prefault("30s").meta({ description: "Longest pause while a request body arrives; beyond it 408." }),
      policyTimeout: period().prefault("5s").meta({
        description:
          "Longest time that one policy may keep a request waiting, whatever it waits for; beyond it 504 `policy_timeout`. A route's `timeouts.total` bounds it where that is shorter.",
      }),
      bodyRate: bodyRate().prefault({}).meta({
        description:
          "Least pace of a request body, or `none`; beyond it 408. Only time in which the gateway is willing to read counts. A route may set its own.",
      }),
      bufferedBodyBytes: bytes(MIB).prefault("256MiB").meta({
        description:
          "Bytes of request bodies that are held in memory for all workers together: first parts of those that wait for a connection to their target, and what is kept for another attempt; beyond it 503 `overloaded`.",
      }),
      idleTimeout: period({ max: ENGINE_TIMEOUT_MS_MAX })
        .prefault("60s")
        .meta({ description: "How long an idle keep-alive connection stays open; the uws engine rounds it up to a multiple of 4 s." }),
      connections: count(1, 10_000_000)
        .prefault(50_000)
        .meta({ description: "Open client connections of the whole instance; each worker gets its share." }),
      connectionsPerAddress: countOrNone(2000).meta({
        description:
          "Open connections from one peer address (IPv6: from one /64) to the whole instance, or `none`; those beyond it are closed. Peers in trustedProxies, on loopback and on Unix sockets are not counted; behind proxyProtocol the client that the header names is. Needs Linux.",
      }),
      requestsPerConnection: countOrNone("none").meta({
        description:
          "Requests on one client connection, or `none`: then it is closed behind the answer (HTTP/2: GOAWAY), up to a tenth earlier, so that not all come back at once. Kept by the `net` engine.",
      }),
      streamsPerConnection: count(1, 10_000).prefault(100).meta({
        description:
          "HTTP/2: requests of one client connection that may be under way at once; of more, clients are told to send them again (REFUSED_STREAM). One that its client gives up counts until the gateway is done with it. Holds for connections made after a change.",
      }),
      connectionAge: periodOrNone("1h").meta({
        description:
          "How old a client connection becomes, or `none`: the first request after it, or up to a tenth earlier, is the last one, so that clients spread over workers and instances again. What is under way goes on. Kept by the `net` engine.",
      }),
      bodiesPerAddress: countOrNone(100).meta({
        description:
          "Request bodies that may be arriving at once from one client address (IPv6: from one /64), as trustedProxies make it known, or `none`; beyond it 429. Bodies that come at once do not count.",
      }),
      rateLimitBuckets: count(LIMIT_SLOTS_MIN, LIMIT_SLOTS_MAX).prefault(LIMIT_SLOTS_DEFAULT).meta({
        description:
          "Callers that can be told apart at once by all limits together, rounded up to a power of two; 16 bytes each. Only who has used something lately takes a place. A change needs a restart.",
      }),
      errorPageBytes: bytes(1)
        .refine((n) => n <= ERROR_PAGE_BYTES_MAX, `expected at most ${ERROR_PAGE_BYTES_MAX / MIB}MiB`)
        .prefault("256KiB")
        .meta({ description: "Largest page under `errorPages`, file or text; each is in every worker's memory." }),
      webSocket: z
        .strictObject({
          messageBytes: bytes(1).prefault("1MiB").meta({ description: "Largest message, either direction; beyond it close code 1009." }),
          bufferBytes: bytes(1024)
            .prefault("1MiB")
            .meta({ description: "Bytes queued towards one peer before its connection is closed with 1013." }),
          idleTimeout: period({ max: ENGINE_TIMEOUT_MS_MAX })
            .prefault("2m")
            .meta({ description: "Silence after which a WebSocket is closed; pings count as traffic." }),
        })
        .prefault({})
        .meta({ description: "Bounds of WebSocket connections." }),
    })
    .transform(
      (v): LimitsPlan => ({
        headerBytes: v.headerBytes,
        headerCount: v.headerCount,
        uriBytes: v.uriBytes,
        bodyBytes: v.bodyBytes,
        headerTimeoutMs: v.headerTimeout,
        bodyTimeoutMs: v.bodyTimeout,
        policyTimeoutMs: v.policyTimeout,
        idleTimeoutMs: v.idleTimeout,
        bodyRate: v.bodyRate,
        bufferedBodyBytes: v.bufferedBodyBytes,
        connections: v.connections,
        connectionsPerAddress: v.connectionsPerAddress,
        requestsPerConnection: v.requestsPerConnection,
        streamsPerConnection: v.streamsPerConnection,
        connectionAgeMs: v.connectionAge,
        bodiesPerAddress: v.bodiesPerAddress,
        webSocketMessageBytes: v.webSocket.messageBytes,
        webSocketBufferBytes: v.webSocket.bufferBytes,
        webSocketIdleTimeoutMs: v.webSocket.idleTimeout,
        rateLimitBuckets: v.rateLimitBuckets,
        errorPageBytes: v.errorPageBytes,
      }),
    )
    .prefault({})
    .meta({ description: "Bounds on what clients may send and hold." }),
);

const DEBUG_TOKEN_CHARS_MIN = 16;

const cacheDebug = once(() =>
  z
    .strictObject({
      header: headerName()
        .prefault("x-cache-debug")
        .refine((each) => !CREDENTIAL_HEADERS.has(each), { error: "this header carries what callers prove who they are with" })
        .meta({ description: "The request header that carries the token. No upstream is sent it." }),
      token: z
        .string()
        .min(DEBUG_TOKEN_CHARS_MIN, `expected at least ${DEBUG_TOKEN_CHARS_MIN} characters`)
        .max(4096)
        .refine((text) => /^[\x21-\x7e]*$/.test(text), "expected visible ASCII characters without spaces")
        .meta({
          description: "Who sends it passes by the store of every route. `file:path` reads it from a file.",
          examples: [`\${CACHE_DEBUG_TOKEN}`],
        }),
    })
    .meta({ description: "Lets whoever knows a token have the origin answer, whatever is stored." }),
);

/** A record is read as a whole, by each worker for itself. */
const TIER_OBJECT_BYTES_MAX = 64 * MIB;

const cacheRedis = once(() =>
  withRules(
    z.strictObject({
      timeout: period({ max: 5000 })
        .prefault("50ms")
        .meta({ description: "Longest that a client waits for Redis; then the origin is asked." }),
      maxObject: bytes(1).prefault("1MiB").meta({
        description:
          "Largest body that is written to Redis, before it is compressed; at most 64MiB and half of `queue`. Nothing is that `cache.maxObject` keeps out of the store.",
      }),
      queue: bytes(MIB)
        .prefault("16MiB")
        .meta({ description: "Of what waits to be written, in each worker; what finds no room is not written." }),
    }),
    ({ maxObject, queue }, object) => {
      if (maxObject > TIER_OBJECT_BYTES_MAX)
        object("maxObject is more than 64MiB", ["maxObject"], "lower it: larger bodies are left to the origin");
      else if (maxObject > queue / 2) object("maxObject is more than half of queue", ["maxObject"], "raise queue, or lower maxObject");
    },
  )
    .transform((v): TierPlan => ({ timeoutMs: v.timeout, maxObjectBytes: v.maxObject, queueBytes: v.queue }))
    .prefault({})
    .meta({ description: "How routes with `cache: { redis: true }` use the fleet's Redis (`redis`) as a second tier." }),
);

export const cache = once(() =>
  withRules(
    z.strictObject({
      memory: bytes(8 * MIB)
        .prefault("64MiB")
        .meta({ description: "Memory of the store that all workers share, index included; taken as it fills. A change needs a restart." }),
      maxObject: bytes(1).prefault("1MiB").meta({ description: "Largest body that is stored; at most a fiftieth of `memory`." }),
      name: z
        .string()
        .regex(/^[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*$/, "expected a token (RFC 9651 section 3.3.4)")
        .max(64)
        .prefault("sluice")
        .meta({ description: "By which `Cache-Status` (RFC 9211) names this cache." }),
      debug: lazyOptional(cacheDebug),
      warm: lazyOptional(cacheWarm),
      redis: cacheRedis(),
    }),
    ({ memory, maxObject }, object) => {
      if (maxObject > memory / OBJECTS_MIN)
        object(
          `maxObject is more than a fiftieth of memory (${Math.floor(memory / OBJECTS_MIN)} bytes)`,
          ["maxObject"],
          "raise memory, or lower maxObject",
        );
    },
  )
    .transform(
      (v): CachePlan => ({
        memoryBytes: v.memory,
        maxObjectBytes: v.maxObject,
        name: v.name,
        debug: v.debug ?? null,
        warm: v.warm ?? null,
        tier: { ...v.redis, maxObjectBytes: Math.min(v.redis.maxObjectBytes, v.maxObject) },
      }),
    )
    .prefault({})
    .meta({ description: "The store of responses; routes use it by their own `cache`." }),
);

export const drainTimeout = once(() =>
  period({ min: 0 })
    .prefault("30s")
    .meta({ description: "How long in-flight requests and WebSockets may go on after a stop, before they are cut." }),
);

export const watchdog = once(() =>
  z
    .strictObject({
      timeout: period().prefault("5s").meta({ description: "A worker whose event loop is blocked for longer is reported." }),
      replaceAfter: period({ min: 0 })
        .prefault("30s")
        .meta({ description: "A worker blocked for longer makes the instance replace itself; `0` never." }),
    })
    .transform((v) => ({ timeoutMs: v.timeout, replaceAfterMs: v.replaceAfter }))
    .prefault({})
    .meta({ description: "Notices workers whose event loop is blocked." }),
);

export const dns = once(() =>
  withRules(
    z.strictObject({
      servers: z
        .array(
          z
            .string()
            .regex(
              /^(\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?|\[[0-9a-fA-F:.]+\]:\d{1,5}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)$/,
              "expected an IP address, with or without :port",
            ),
        )
        .max(8)
        .prefault([])
        .meta({ description: "Name servers; empty: those of the system.", examples: ["10.0.0.53", "[::1]:5353"] }),
      ttlMin: period().prefault("1s").meta({ description: "Shortest time between two look-ups of a name, whatever its TTL." }),
      ttlMax: period().prefault("5m").meta({ description: "Longest time between two look-ups of a name, whatever its TTL." }),
    }),
    ({ ttlMin, ttlMax }, object) => {
      if (ttlMin > ttlMax) object("ttlMin is larger than ttlMax", ["ttlMin"]);
    },
  )
    .transform((v) => ({ servers: v.servers, ttlMinMs: v.ttlMin, ttlMaxMs: v.ttlMax }))
    .prefault({})
    .meta({ description: "How names of targets are resolved. A change needs a restart." }),
);

export const log = once(() =>
  z
    .strictObject({
      file: filePath()
        .prefault("stdout")
        .meta({
          description: "Where the access log goes: `stdout` or a file, which is appended to. A change needs a restart.",
          examples: ["stdout", "/var/log/sluice/access.log"],
        }),
      query: z.boolean().prefault(false).meta({
        description:
          "Whether the lines hold the query of each request, which may carry personal data. Never in it: credentials that an authenticator reads from queries.",
      }),
    })
    .prefault({})
    .meta({ description: "The access log: one JSON line for each request." }),
);

// Owns the schema of upstreams: targets, balancing, pools, timeouts, retries, health, TLS. Outputs have the plan's shape.
import * as z from "zod";
import { insecure as insecureKey } from "../../../base/insecure-schema.ts";
import { withRules } from "../../../base/rules.ts";
import { fraction, headerName, lazyOptional, once, size } from "../../../base/schema.ts";
import { statusesOr } from "../../../base/status-schema.ts";
import type { WayOut } from "../../../base/ways-out.ts";
import type { HashOn, PoolPlan, RetryCondition, RetryPlan, UpstreamProtocol } from "../../../plan/plan.ts";
import type { UpstreamTlsPlan } from "../../../plan/tls-rules.ts";
import { breaker } from "./breaker.ts";
import { count, pemFile, period, targetUrl, unsupportedMessage } from "./fields.ts";
import { health } from "./health.ts";
import { host } from "./host.ts";
import { overload } from "./overload.ts";
import { sticky } from "./sticky.ts";
import { upstreamTimeouts, type WrittenTimeouts } from "./timeouts.ts";
import { ciphersForEachVersion, oldTlsRules, tlsRuleKeys, tlsRulesOf, versionOrder } from "./tls-rules.ts";

/** Targets of one upstream. */
export const TARGETS_MAX = 1000;
/** Weights are relative within a list. */
export const WEIGHT_MAX = 10_000;

/** Requests at once on one HTTP/2 connection. */
const STREAMS_MAX = 10_000;
/** Percent; as Envoy and HAProxy have it under that name. */
const HASH_BALANCE_FACTOR_MAX = 100_000;

export const weight = () => count(0, WEIGHT_MAX).prefault(1);

const target = once(() =>
  z.strictObject({
    url: targetUrl().meta({
      description: "Scheme, host and port; a name is looked up again when its TTL ends; `+srv` looks up SRV records.",
    }),
    weight: weight().meta({ description: "Share of the traffic relative to the other targets; 0 takes it out." }),
  }),
);

const hashOn = once(() =>
  z
    .union([
      z.enum(["ip", "path"]),
      withRules(
        z.strictObject({
          header: headerName().optional().meta({ description: "The value of this request header." }),
          cookie: z.string().min(1).max(256).optional().meta({ description: "The value of this cookie." }),
          query: z.string().min(1).max(256).optional().meta({ description: "The value of this query parameter." }),
        }),
        ({ header, cookie, query }, object) => {
          if ([header, cookie, query].filter((v) => v !== undefined).length !== 1)
            object("expected exactly one of header, cookie and query");
        },
      ),
    ])
    .transform((value): HashOn => {
      if (typeof value === "string") return { kind: value };
      const { header, cookie, query = "" } = value;
      if (header !== undefined) return { kind: "header", name: header };
      return cookie !== undefined ? { kind: "cookie", name: cookie } : { kind: "query", name: query };
    })
    .meta({
      description:
        "What requests with the same target have in common (balance: hash): `ip`, `path`, `{header: name}`, `{cookie: name}` or `{query: name}`.",
    }),
);

const pool = once(() =>
  z
    .strictObject({
      client: z.enum(["http1", "undici"]).prefault("http1").meta({
        description: "The client that speaks HTTP/1.1: the gateway's own `http1` (default), or `undici`.",
      }),
      connections: count(1, 65_536).prefault(128).meta({
        description:
          "Connections to each target, for each worker; with HTTP/2 a further one is opened when all carry as many requests as they may.",
      }),
      streams: count(1, STREAMS_MAX).prefault(100).meta({
        description: "Of HTTP/2: requests at once on a connection. What the target allows holds too.",
      }),
      ping: period({ min: 0 })
        .prefault("0")
        .meta({
          description:
            "Of HTTP/2: ask a connection for a sign of life after it has been silent for so long while answers are awaited; one that gives none within `timeouts.connect` (at least 1s) is thrown away. `0`: ask only when an answer is overdue. gRPC services take frequent pings for an attack; where one says so, the time is doubled.",
          examples: ["30s"],
        }),
      pipelining: count(1, 64).prefault(1).meta({
        description:
          "Of HTTP/1.1: GET requests that may go out on one connection in one write, before the first is answered; for services that answer fast. Answers come in order: those that wait 50 ms behind another are sent again on connections of their own, and sharing rests for a while.",
      }),
      keepAlive: period().prefault("60s").meta({ description: "How long an idle connection is kept." }),
      queue: count(0, 1_000_000).prefault(1024).meta({
        description:
          "Requests that may wait for a connection, for each target and worker; beyond it 503 `overloaded`. With `overload.mode: on` only for the time that a connection takes to be made: who waits for a place stands in `overload.queue`.",
      }),
    })
    .transform(
      (v): PoolPlan => ({
        client: v.client,
        connections: v.connections,
        pipelining: v.pipelining,
        streams: v.streams,
        pingMs: v.ping,
        keepAliveMs: v.keepAlive,
        queue: v.queue,
      }),
    )
    .prefault({})
    .meta({ description: "Connections to the targets." }),
);

/** @param presets whether the reference is to name the defaults: a route's follow from its upstream */
const writtenTimeouts = (presets: boolean) => {
  const key = (min: number, preset: string, description: string) =>
    period({ min })
      .optional()
      .meta({ description, ...(presets && preset !== "" ? { default: preset } : {}) });
  return z
    .strictObject({
      connect: key(1, "1s", "To establish a connection, TLS included."),
      attempt: key(1, "5s", "Of each attempt: from the request being sent to the head of its response. Connecting is not included."),
      response: key(1, "", "Former name of `attempt`.").meta({ description: "Former name of `attempt`.", deprecated: true }),
      idle: key(1, "30s", "Between two pieces of the response body, or of a WebSocket's handshake."),
      total: key(
        0,
        "",
        "From the request's last byte to the head of the response, retries, connecting and waiting included; bodies are bounded by `idle` and limits.bodyTimeout. `0` for none. By default `15s`, and never less than the attempts that `attempt`, `connect` and `retry.attempts` allow for.",
      ),
    })
    .transform(
      ({ connect, attempt, response = attempt, idle, total }): WrittenTimeouts => ({
        ...(connect === undefined ? {} : { connectMs: connect }),
        ...(response === undefined ? {} : { attemptMs: response }),
        ...(idle === undefined ? {} : { idleMs: idle }),
        ...(total === undefined ? {} : { totalMs: total }),
      }),
    );
};

const timeouts = once(() => writtenTimeouts(true).prefault({}).meta({ description: "How long to wait for the upstream." }));

/** A route's overrides: only what is written. */
export const routeTimeouts = once(() => writtenTimeouts(false));

const RETRY_CONDITIONS = ["connect-failure", "reset", "timeout"] as const satisfies readonly RetryCondition[];

const retryOn = once(() => statusesOr(RETRY_CONDITIONS, { min: 400, example: "500-599", mayBeEmpty: true }));

const retry = once(() =>
  z
    .strictObject({
      attempts: count(0, 10).prefault(2).meta({ description: "Further attempts after the first; 0 for none." }),
      on: retryOn().prefault(["connect-failure", "reset"]).meta({
        description:
          "What is tried again: `connect-failure`, `reset` (the connection broke before a response), `timeout` (connect or response), or statuses. As in nginx, an answer of the service is passed on unless its status is listed.",
      }),
      backoff: z
        .strictObject({
          base: period({ min: 0 }).prefault("25ms").meta({ description: "Upper bound of the first pause; it doubles each time." }),
          max: period({ min: 0 }).prefault("250ms").meta({ description: "Upper bound of any pause." }),
        })
        .prefault({})
        .meta({ description: "Exponential, with full jitter." }),
      budget: fraction().prefault("20%").meta({ description: "Retries as a share of requests, so that retries never multiply an outage." }),
      nonIdempotent: z
        .boolean()
        .prefault(false)
        .meta({ description: "Retry POST and PATCH too, even when something may have been sent: only for services that tolerate it." }),
      bufferBytes: size()
        .prefault("64KiB")
        .meta({ description: "Largest request body kept for another attempt; a larger one is sent once." }),
    })
    .transform(
      (v): RetryPlan => ({
        attempts: v.attempts,
        on: v.on.words,
        statuses: v.on.statuses,
        backoffBaseMs: v.backoff.base,
        backoffMaxMs: v.backoff.max,
        budget: v.budget,
        nonIdempotent: v.nonIdempotent,
        bufferBytes: v.bufferBytes,
      }),
    )
    .prefault({})
    .meta({
      description:
        "Further attempts: for idempotent requests, or where nothing was sent. Never to the same target while another is healthy.",
    }),
);

const tls = once(() =>
  withRules(
    z.strictObject({
      ca: pemFile().optional().meta({ description: "PEM file of the authorities to trust instead of the system's." }),
      cert: pemFile().optional().meta({ description: "PEM file: the client certificate (mTLS)." }),
      key: pemFile().optional().meta({ description: "PEM file: the client certificate's private key." }),
      serverName: z
        .string()
        .min(1)
        .max(253)
        .optional()
        .meta({ description: "Name to ask for (SNI) and to verify, instead of the target's host." }),
      insecureSkipVerify: z.boolean().optional().meta({ description: "Former form of `insecure: [tls-unverified]`.", deprecated: true }),
      ...tlsRuleKeys(),
      // Whether it is written decides what `old-tls` opens.
      minVersion: tlsRuleKeys()
        .minVersion.unwrap()
        .optional()
        .meta({ description: "Oldest version of TLS that is spoken.", default: "TLSv1.2" }),
    }),
    versionOrder,
    ciphersForEachVersion,
    ({ cert, key }, object) => {
      if ((cert === undefined) !== (key === undefined)) object("cert and key go together");
    },
  ),
);

type WrittenTls = z.output<ReturnType<typeof tls>>;

/** @param written undefined where nothing is. @returns undefined where TLS is as it always is */
function tlsOf(written: WrittenTls | undefined, insecure: readonly WayOut[]): UpstreamTlsPlan | undefined {
  if (written === undefined && insecure.length === 0) return undefined;
  return {
    ca: written?.ca ?? null,
    cert: written?.cert ?? null,
    key: written?.key ?? null,
    serverName: written?.serverName ?? null,
    verify: !insecure.includes("tls-unverified"),
    rules: insecure.includes("old-tls") ? oldTlsRules(written ?? {}) : written === undefined ? null : tlsRulesOf(written),
  };
}

/** What is opened, also by the former key. */
function openedBy(tls: WrittenTls | undefined, insecure: readonly WayOut[] = []): readonly WayOut[] {
  return tls?.insecureSkipVerify === true ? [...new Set<WayOut>([...insecure, "tls-unverified"])] : insecure;
}

/** Every key but the targets: what upstreams can share. */
const settings = once(() => ({
  protocol: z
    .enum(["http1", "h2", "h2c", "http"], {
      error: (issue) => (issue.input === "grpc" ? unsupportedMessage("protocol: grpc") : "expected http1, h2 or h2c"),
    })
    .prefault("http1")
    .transform((v): UpstreamProtocol => (v === "http" ? "http1" : v))
    .meta({
      description:
        "What the targets are spoken to: `http1`; `h2`, HTTP/2 for https targets, which must choose it by ALPN, as there is no way back to HTTP/1.1; or `h2c`, HTTP/2 in cleartext with prior knowledge, for http targets. WebSockets are opened by HTTP/1.1 on connections of their own in any case. `http` is a former name of `http1`.",
    }),
  balance: z.enum(["round-robin", "least-request", "random", "hash"]).prefault("least-request").meta({
    description:
      "How a target is chosen; `least-request` takes the less busy of two at random; `hash` is consistent: requests with the same `hashOn` go to the same target while it is healthy.",
  }),
  hashOn: lazyOptional(hashOn),
  hashBalanceFactor: z
    .union([z.literal(0), count(101, HASH_BALANCE_FACTOR_MAX)], {
      error: `expected 0 or a percentage from 101 to ${HASH_BALANCE_FACTOR_MAX}`,
    })
    .prefault(0)
    .meta({
      description:
        "Of `balance: hash`: a target takes at most this percentage of the mean number of requests under way, and what is beyond goes to the next on the ring, so a hot key is spread and affinity is lost while it is. `0`: no bound.",
      examples: [150],
    }),
  sticky: lazyOptional(sticky),
  slowStart: period({ min: 0 })
    .prefault("0")
    .meta({ description: "Time over which a new or recovered target gets its full share; `0` for at once." }),
  pool: pool(),
  timeouts: timeouts(),
  retry: retry(),
  health: health(),
  breaker: lazyOptional(breaker),
  overload: overload(),
  tls: lazyOptional(tls).meta({ description: "For https targets." }),
  insecure: insecureKey("upstream"),
  host: host().optional().meta({
    description:
      "The Host that the service gets: `target` the target's own, `client` the one that the client sent, or this name. A name is asked for (SNI) and verified too where `tls.serverName` says nothing else, and health checks send it. `X-Forwarded-Host` is what the client asked for in any case.",
    default: "target",
  }),
  preserveHost: z
    .boolean()
    .optional()
    .meta({ description: "Former form of `host`: `true` is `client`, `false` is `target`.", deprecated: true }),
  deadlineHeader: z
    .union([z.literal(false), headerName()], { error: "expected a header name, or false" })
    .transform((v) => (v === false ? null : v))
    .prefault("x-request-deadline-ms")
    .meta({ description: "Header with the milliseconds that are left for the service; `false` for none." }),
}));

export const upstream = once(() =>
  withRules(
    z.strictObject({
      targets: z.array(target()).min(1).max(TARGETS_MAX).meta({ description: "Addresses of the service." }),
      ...settings(),
    }),
    ({ tls, insecure = [] }, object) => {
      if (tls?.insecureSkipVerify === false && insecure.includes("tls-unverified"))
        object("says the contrary of `insecure: [tls-unverified]`", ["tls", "insecureSkipVerify"], "remove one of them");
      if (tls?.minVersion === "TLSv1.3" && insecure.includes("old-tls"))
        object("old-tls opens nothing: only TLSv1.3 is spoken", ["insecure"], "remove it, or `tls.minVersion`");
    },
  ).transform(({ timeouts, host = "target", preserveHost: _read, tls, insecure: written, ...rest }) => {
    const insecure = openedBy(tls, written);
    return {
      ...rest,
      host,
      tls: tlsOf(tls, insecure),
      insecure,
      writtenTimeouts: timeouts,
      timeouts: upstreamTimeouts(timeouts, rest.retry),
    };
  }),
);

/** What may stand under `upstreamDefaults`. Of its output nothing is used: it is laid under each upstream before that is read. */
export const upstreamDefaults = once(() =>
  z.strictObject(settings()).optional().meta({
    description:
      "Merged under every upstream: maps key by key, the upstream wins; `key: null` in an upstream takes a default away. `tls` reaches upstreams with an https target only, `hashOn` and `hashBalanceFactor` those that balance by hash.",
  }),
);

export type UpstreamConfig = z.output<ReturnType<typeof upstream>>;

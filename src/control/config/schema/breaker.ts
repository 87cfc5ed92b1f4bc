// Owns the schema of an upstream's circuit breaker. The output has the plan's shape, but for the slot, which the primary gives it.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { duration, fraction, lazyOptional, name, once } from "../../../base/schema.ts";
import { statusesOr } from "../../../base/status-schema.ts";
import { respondSchema } from "../../../data/handlers/respond/config.ts";
import type { BreakerCondition, BreakerFallback, BreakerPlan } from "../../../plan/plan.ts";
import { TRIALS_MAX } from "../../../shared/breaker-word.ts";
import { BUCKET_COUNT_MAX } from "../../../shared/rolling-window.ts";
import { count, period } from "./fields.ts";

const CONDITIONS = ["connect-failure", "reset", "timeout", "invalid"] as const satisfies readonly BreakerCondition[];
/** A window must be long enough that threads agree on its parts, and short enough for its counters. */
const WINDOW_MS_MIN = 1000;
const WINDOW_MS_MAX = 600_000;
/** Shorter openings would be over before anybody has heard of them. */
const OPEN_MS_MIN = 100;
const MAX_OPEN_FOR_MS = 60_000;
const CONSECUTIVE_MAX = 10_000;

const failures = once(() =>
  statusesOr(CONDITIONS, { example: "500-599" })
    .prefault(["500-599", ...CONDITIONS])
    .transform(({ words, statuses }) => ({ statuses, conditions: words }))
    .meta({
      description:
        "What counts as a failure: statuses, `connect-failure`, `reset` (the connection broke), `timeout`, `invalid` (not HTTP, or a refused upgrade). Everything else that the upstream answers is a success; a client that goes away counts as neither.",
    }),
);

const FALLBACK_EXPECTED = "expected `stale`, or a map with respond, upstream or stale";

const fallbackMap = once(() =>
  withRules(
    z.strictObject(
      {
        respond: lazyOptional(respondSchema).meta({ description: "Answer with this." }),
        upstream: name().optional().meta({ description: "Ask this upstream instead; its own fallback is not used." }),
        stale: duration()
          .optional()
          .meta({
            description: "As `fallback: stale`, but only responses whose lifetime has been over for less than this.",
            examples: ["1h"],
          }),
      },
      { error: ({ code }) => (code === "invalid_type" ? FALLBACK_EXPECTED : undefined) },
    ),
    ({ respond, upstream, stale }, object) => {
      if ([respond, upstream, stale].filter((each) => each !== undefined).length !== 1)
        object("expected exactly one of respond, upstream and stale");
    },
  ),
);

const fallback = once(() =>
  z
    .union([z.literal("stale"), fallbackMap()], {
      error: ({ input }) => (typeof input === "object" && input !== null && !Array.isArray(input) ? undefined : FALLBACK_EXPECTED),
    })
    .transform((value): BreakerFallback => {
      if (value === "stale") return { kind: "stale", forS: -1 };
      if (value.stale !== undefined) return { kind: "stale", forS: value.stale / 1000 };
      return value.upstream === undefined ? { kind: "respond", config: value.respond } : { kind: "upstream", name: value.upstream };
    })
    .meta({
      description:
        "Instead of 503 `breaker_open` while the breaker lets nothing pass. `stale`: what a route with `cache` has stored, however long its lifetime has been over, unless the service forbids it (`must-revalidate`, `no-cache`); 503 where there is none. A route's own `cache.staleIfOpen` counts first.",
      examples: ["stale", { stale: "1h" }],
    }),
);

export const breaker = once(() =>
  withRules(
    z.strictObject({
      scope: z.enum(["target", "upstream", "both"]).prefault("target").meta({
        description:
          "What has a breaker: each `target` (one that is open is not chosen), the `upstream` as a whole (open: no target is chosen), or `both`.",
      }),
      errorRate: fraction()
        .refine((v) => v > 0, "expected more than 0%")
        .prefault("50%")
        .meta({ description: "Opens when this share of the calls in the window failed." }),
      minimumRequests: count(1, BUCKET_COUNT_MAX).prefault(20).meta({ description: "Calls in the window below which it does not judge." }),
      consecutiveFailures: count(1, CONSECUTIVE_MAX).optional().meta({
        description: "Opens after so many failures in a row, too, however few calls the window holds. Off unless given.",
      }),
      window: period({ min: WINDOW_MS_MIN, max: WINDOW_MS_MAX })
        .prefault("10s")
        .meta({ description: "How far back calls count: 1s to 10m." }),
      slowCall: period().optional().meta({ description: "A call whose response head takes longer is slow. Off unless given." }),
      slowCallRate: fraction()
        .refine((v) => v > 0, "expected more than 0%")
        .optional()
        .meta({ description: "Opens when this share of the calls in the window was slow; `50%` when only `slowCall` is given." }),
      openFor: period({ min: OPEN_MS_MIN })
        .prefault("5s")
        .meta({ description: "How long nothing passes; doubles each time that a trial fails." }),
      maxOpenFor: period({ min: OPEN_MS_MIN }).optional().meta({
        description:
          "Upper bound of that; `1m` (or openFor, if that is more) by default. All but the first are up to a quarter shorter, at random.",
      }),
      halfOpenRequests: count(1, TRIALS_MAX)
        .prefault(3)
        .meta({ description: "Trials after that: exactly so many requests of the whole instance pass, and all must go well." }),
      trialTimeout: period({ min: OPEN_MS_MIN })
        .prefault("10s")
        .meta({ description: "A trial that is not decided by then gives its place to another request." }),
      recovery: period({ min: 0 }).prefault("10s").meta({
        description: "Time after the trials over which the share of requests that pass grows from a tenth to all; `0` for at once.",
      }),
      failures: failures(),
      fallback: lazyOptional(fallback),
    }),
    ({ slowCallRate, slowCall }, object) => {
      if (slowCallRate !== undefined && slowCall === undefined) object("`slowCallRate` needs `slowCall`", ["slowCallRate"]);
    },
    ({ maxOpenFor, openFor }, object) => {
      if (maxOpenFor !== undefined && maxOpenFor < openFor) object("expected at least openFor", ["maxOpenFor"]);
    },
  )
    .transform(
      (v): Omit<BreakerPlan, "slot"> => ({
        scope: v.scope,
        errorRate: v.errorRate,
        minimumRequests: v.minimumRequests,
        consecutiveFailures: v.consecutiveFailures ?? 0,
        windowMs: v.window,
        slowCallMs: v.slowCall ?? 0,
        slowCallRate: v.slowCall === undefined ? 0 : (v.slowCallRate ?? 0.5),
        openForMs: v.openFor,
        maxOpenForMs: v.maxOpenFor ?? Math.max(v.openFor, MAX_OPEN_FOR_MS),
        halfOpenRequests: v.halfOpenRequests,
        trialTimeoutMs: v.trialTimeout,
        recoveryMs: v.recovery,
        failures: v.failures,
        fallback: v.fallback ?? null,
      }),
    )
    .meta({ description: "Circuit breaker: stops asking what fails too often, tries it after a while, and lets it come back gradually." }),
);

// Owns the schema of an upstream's health checks, active and passive. The output has the plan's shape.
import * as z from "zod";
import { compileRegex } from "../../../base/linear-regex.ts";
import { isProtected } from "../../../base/protected-headers.ts";
import { type Rule, withRules } from "../../../base/rules.ts";
import { fraction, headerName, headerText, lazyOptional, once } from "../../../base/schema.ts";
import { statusList } from "../../../base/status-schema.ts";
import type { ActiveHealthPlan, HealthBodyPlan } from "../../../plan/plan.ts";
import { count, period } from "./fields.ts";

const HEADERS_MAX = 32;
const BODY_CHARS_MAX = 1024;
const PATH_PRESET = "/healthz";
const STATUSES_PRESET = "200-299";

const body = once(() =>
  withRules(
    z.strictObject({
      contains: z.string().min(1).max(BODY_CHARS_MAX).optional().meta({ description: "This text, anywhere." }),
      regex: z
        .string()
        .min(1)
        .max(BODY_CHARS_MAX)
        .superRefine((text, ctx) => {
          const compiled = compileRegex(text, "search");
          if ("error" in compiled)
            ctx.addIssue({ code: "custom", message: compiled.at === 0 ? compiled.error : `character ${compiled.at}: ${compiled.error}` });
        })
        .optional()
        .meta({ description: "A match of this regular expression, anywhere; of the linear-time kind, as in paths." }),
    }),
    ({ contains, regex }, object) => {
      if ((contains === undefined) === (regex === undefined)) object("expected exactly one of contains and regex");
    },
  ).transform(({ contains, regex = "" }): HealthBodyPlan => (contains === undefined ? { regex } : { contains })),
);

const expectation = once(() =>
  z
    .union([
      statusList(),
      z.strictObject({
        status: statusList().prefault(STATUSES_PRESET).meta({ description: "Statuses of a healthy target." }),
        body: lazyOptional(body).meta({
          description: "What the response's body holds, too. Of it 64 KiB are read; without this only the head is.",
        }),
      }),
    ])
    .transform(
      (value): Pick<ActiveHealthPlan, "statuses" | "body"> =>
        "status" in value ? { statuses: value.status, body: value.body ?? null } : { statuses: value, body: null },
    ),
);

const headers = once(() =>
  z
    .record(
      headerName().refine(
        (name) => name === "host" || !isProtected(name),
        "this header frames the message or belongs to one connection: the gateway writes it",
      ),
      headerText().transform((text) => Buffer.from(text, "utf8").toString("latin1")),
    )
    .refine((map) => Object.keys(map).length <= HEADERS_MAX, `expected at most ${HEADERS_MAX} headers`),
);

const written = once(() =>
  z.strictObject({
    tcp: z.boolean().prefault(false).meta({
      description:
        "Only connect, and close again; with https targets the TLS handshake is part of it. For services that have no request to ask: `path`, `method`, `headers` and `expect` mean nothing then, and are refused.",
    }),
    path: z
      .string()
      .regex(/^\/[\x21-\x22\x24-\x7e]*$/, "expected a path that starts with /")
      .optional()
      .meta({ description: "Path and query of the request.", default: PATH_PRESET }),
    method: z
      .enum(["GET", "HEAD", "OPTIONS", "POST"])
      .optional()
      .meta({ description: "Of the request, which has no body.", default: "GET" }),
    headers: lazyOptional(headers).meta({
      description:
        "Headers of the request, over `user-agent: sluice-health` and `accept: */*`. `host` is the upstream's `host`, or the target's own, unless it stands here. Values may be secrets from a file.",
      examples: [{ host: "users.internal", authorization: "file:secrets/health" }],
    }),
    interval: period().prefault("5s").meta({ description: "Between two probes of a target." }),
    timeout: period().prefault("1s").meta({ description: "A probe that takes longer failed." }),
    healthyAfter: count(1, 100).prefault(2).meta({ description: "Successes in a row after which a target is used again." }),
    unhealthyAfter: count(1, 100).prefault(3).meta({ description: "Failures in a row after which a target is no longer used." }),
    expect: expectation()
      .optional()
      .meta({
        description: "Statuses of a healthy target; as a map with what its body holds, too.",
        default: STATUSES_PRESET,
        examples: ["200-299", [200, 302], { status: 200, body: { contains: '"UP"' } }],
      }),
  }),
);

type Written = z.output<ReturnType<typeof written>>;

const OF_HTTP = ["path", "method", "headers", "expect"] as const satisfies readonly (keyof Written)[];

const onlyConnects: Rule<Written> = (check, object) => {
  if (!check.tcp) return;
  for (const key of OF_HTTP) if (check[key] !== undefined) object("`tcp: true` sends no request", [key], "remove it, or `tcp`");
};

const bodyToRead: Rule<Written> = ({ method, expect }, object) => {
  if (method === "HEAD" && expect !== undefined && expect.body !== null)
    object("the response to HEAD has no body", ["expect", "body"], "write `method: GET`");
};

const activeHealth = once(() =>
  withRules(written(), onlyConnects, bodyToRead).transform(
    (v): ActiveHealthPlan => ({
      tcp: v.tcp,
      method: v.method ?? "GET",
      path: v.path ?? PATH_PRESET,
      headers: v.headers ?? {},
      intervalMs: v.interval,
      timeoutMs: v.timeout,
      healthyAfter: v.healthyAfter,
      unhealthyAfter: v.unhealthyAfter,
      ...(v.expect ?? { statuses: [{ min: 200, max: 299 }], body: null }),
    }),
  ),
);

const passiveHealth = once(() =>
  z
    .strictObject({
      consecutiveFailures: count(1, 10_000).prefault(5).meta({ description: "Failed requests in a row after which a target is ejected." }),
      ejectFor: period().prefault("30s").meta({ description: "How long; longer each time it happens again." }),
      maxEjected: fraction().prefault("50%").meta({ description: "Largest share of the targets that may be ejected at once." }),
    })
    .transform((v) => ({ consecutiveFailures: v.consecutiveFailures, ejectForMs: v.ejectFor, maxEjected: v.maxEjected })),
);

export const health = once(() =>
  z
    .strictObject({
      active: lazyOptional(activeHealth).meta({ description: "Probes sent by the primary; off unless present." }),
      passive: z
        .union([z.literal(false), passiveHealth()], { error: "expected a map, or false" })
        .prefault({})
        .transform((v) => (v === false ? null : v))
        .meta({ description: "Watching real traffic; on unless `false`." }),
    })
    .transform((v) => ({ active: v.active ?? null, passive: v.passive }))
    .prefault({})
    .meta({ description: "How unhealthy targets are found." }),
);

// Owns the `cache` key of a route: what may be stored and for how long. Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../base/rules.ts";
import { condition, duration, fraction, headerName, lazyOptional, once } from "../../base/schema.ts";
import { statusMap } from "../../base/status-schema.ts";
import type { BypassRule, CacheSettings, QueryKey } from "../../plan/cache-plan.ts";
import { CREDENTIAL_HEADERS } from "./config-credentials.ts";

const STATUSES_MAX = 64;
const NAMES_MAX = 64;
/** A smaller part is none in which a route could keep what it uses. */
const SHARE_MIN = 0.01;

const seconds = (ms: number | undefined): number => (ms === undefined ? -1 : ms / 1000);

const names = once(() => z.array(z.string().min(1).max(256)).max(NAMES_MAX));

const query = once(() =>
  z
    .union([
      z.enum(["all", "none"]),
      withRules(
        z.strictObject({
          only: names().optional().meta({ description: "These, and no others." }),
          except: names().optional().meta({ description: "All but these." }),
        }),
        ({ only, except }, object) => {
          if ((only === undefined) === (except === undefined)) object("expected exactly one of only and except");
        },
      ),
    ])
    .prefault("all")
    .transform((value): QueryKey => {
      if (value === "all") return { kind: "all" };
      if (value === "none") return { kind: "only", names: [] };
      return value.only === undefined ? { kind: "except", names: value.except ?? [] } : { kind: "only", names: value.only };
    })
    .meta({
      description:
        "Query parameters that count: `all` as they come, `none`, `{only: [...]}` or `{except: [...]}` in an order of their own. What does not count is not sent to the upstream either.",
      examples: ["all", { except: ["utm_source", "utm_medium"] }],
    }),
);

const key = once(() =>
  z
    .strictObject({
      query: query(),
      headers: z
        .array(headerName())
        .max(NAMES_MAX)
        .refine((list) => list.every((each) => !CREDENTIAL_HEADERS.has(each)), {
          error: "a credential is no part of a key: let the route's `auth` say who asks",
        })
        .prefault([])
        .meta({ description: "Request headers that count, whether or not the response's Vary names them.", examples: [["x-region"]] }),
      cookies: names().prefault([]).meta({ description: "Cookies that count." }),
    })
    .prefault({})
    .meta({ description: "What tells responses apart, beside scheme, host, path, what Vary names and who asks." }),
);

const byStatus = once(() =>
  statusMap(duration(), STATUSES_MAX, { min: 200, example: "500-599" })
    .prefault({})
    .transform((values) => Array.from(values, ([status, ms]): readonly [number, number] => [status, ms / 1000]))
    .meta({
      description:
        "The same for responses with this status, or in this range (the narrower counts), errors included, which are stored only so or when the origin says how long.",
      examples: [{ 404: "10s", "500-599": "1s" }],
    }),
);

const bypass = once(() =>
  withRules(
    z.strictObject({
      headers: z.array(headerName()).max(NAMES_MAX).prefault([]).meta({ description: "That have one of these headers, whatever it says." }),
      cookies: names().prefault([]).meta({ description: "That have one of these cookies." }),
      when: condition()
        .optional()
        .meta({
          description: "For which this holds (CEL; request and caller are there), or cannot be evaluated.",
          examples: ['"x-preview" in header'],
        }),
    }),
    ({ headers, cookies, when }, object) => {
      if (headers.length + cookies.length === 0 && when === undefined) object("expected headers, cookies or when");
    },
  )
    .transform((v): BypassRule => ({ headers: v.headers, cookies: v.cookies, when: v.when ?? null }))
    .meta({ description: "Requests that pass by the store: neither answered from there nor stored. Each reason by itself is enough." }),
);

export const cacheSchema = once(() =>
  z
    .strictObject({
      ttl: duration()
        .optional()
        .meta({
          description:
            "Lifetime of responses that say nothing of it themselves (status 200, 203, 204, 300, 301, 308). What the origin says (Cache-Control, Expires, CDN-Cache-Control) always counts first. Left out: such responses are not stored.",
          examples: ["30s"],
        }),
      statuses: byStatus(),
      heuristic: z
        .boolean()
        .prefault(false)
        .meta({ description: "Where neither says a lifetime: a tenth of the time since Last-Modified, at most a day." }),
      staleWhileRevalidate: duration().optional().meta({
        description:
          "How long after its lifetime a response is still served while it is validated in the background (RFC 5861), unless the origin says another time or forbids it.",
      }),
      staleIfError: duration().optional().meta({
        description:
          "How long after its lifetime a response stands in for a failed connection, for 500, 502, 503 and 504 (RFC 5861), and for what is refused before the service is asked, unless the origin says another time or forbids it.",
      }),
      staleIfOpen: duration().optional().meta({
        description:
          "The same for refusals of the gateway's own: the upstream's breaker is open, or it has all that it can work on (503 `overloaded`). The longer of the two counts. `breaker.fallback: stale` of the upstream counts where this is left out.",
      }),
      perConsumer: z.boolean().prefault(true).meta({
        description:
          "On a route with `auth`: each caller has responses of its own, told apart by all that the gateway knows of it. `false`: all callers share them, whatever services are told about who asks.",
      }),
      setCookie: z.enum(["refuse", "keep"]).prefault("refuse").meta({
        description:
          "Responses with Set-Cookie: `refuse` stores none of them; `keep` stores them with the cookie, which everybody then gets.",
      }),
      cookies: z.enum(["refuse", "ignore"]).prefault("refuse").meta({
        description:
          "Responses to requests with cookies that are no part of the key, where only this route says how long they live (`ttl`, `statuses`, `heuristic`): `refuse` stores none of them, since they may be for one visitor; `ignore` stores them, for services that look at no cookie here.",
      }),
      key: key(),
      bypass: lazyOptional(bypass),
      clientControl: z.boolean().prefault(true).meta({
        description: "Cache-Control and Pragma of requests are obeyed. `false` spares the origin clients that ask for the newest.",
      }),
      tags: z
        .array(headerName())
        .max(8)
        .prefault(["cache-tag", "surrogate-key"])
        .meta({ description: "Response headers that name tags, by which responses can be purged." }),
      maxShare: fraction()
        .refine((share) => share >= SHARE_MIN, { error: "expected a percentage from 1% to 100%" })
        .prefault("100%")
        .meta({
          description:
            "Part of `cache.memory` that responses of this route have at most, heads, keys and index included. Beyond it they push out each other, and nobody else's. An upper bound: nothing is set apart for the route, and those of all routes may add up to more than 100%.",
          examples: ["20%"],
        }),
      status: z.boolean().prefault(true).meta({ description: "Cache-Status (RFC 9211) on responses." }),
      redis: z.boolean().prefault(false).meta({
        description:
          "What is not in memory is looked for in the fleet's Redis before the origin is asked, and what is stored is written there, heads and bodies as they are: instances share it, and a restart finds it again. Needs `redis`.",
      }),
    })
    .transform(
      (v): CacheSettings => ({
        ttl: seconds(v.ttl),
        byStatus: v.statuses,
        heuristic: v.heuristic,
        staleWhileRevalidate: seconds(v.staleWhileRevalidate),
        staleIfError: seconds(v.staleIfError),
        staleIfOpen: seconds(v.staleIfOpen),
        perConsumer: v.perConsumer,
        setCookie: v.setCookie,
        keyHeaders: v.key.headers,
        keyCookies: v.key.cookies,
        ignoresCookies: v.cookies === "ignore",
        query: v.key.query,
        clientControl: v.clientControl,
        tagFields: v.tags,
        showStatus: v.status,
        bypass: v.bypass ?? null,
        maxShare: v.maxShare,
        redis: v.redis,
      }),
    )
    .meta({
      description:
        "Serve responses from memory, as RFC 9111 permits a shared cache. Off unless present; `cache: {}` stores what the origin allows.",
    }),
);

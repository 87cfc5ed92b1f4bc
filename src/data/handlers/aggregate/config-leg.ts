// Owns the keys of one leg of an aggregated answer. Schema and docs only.
import * as z from "zod";
import { parseJsonPath } from "../../../base/exact-json.ts";
import { HOP_BY_HOP } from "../../../base/http.ts";
import { isProtected } from "../../../base/protected-headers.ts";
import { withRules } from "../../../base/rules.ts";
import { duration, headerName, headerText, lazyOptional, name, once, size } from "../../../base/schema.ts";
import { statusList } from "../../../base/status-schema.ts";
import { CONCURRENCY_MAX, ITEMS_MAX, type LegBody, type LegConfig } from "./config-plan.ts";

const PATH_CHARS_MAX = 8192;
const PARAMETERS_MAX = 64;
const HEADERS_MAX = 64;
const MEMBERS_MAX = 256;
const RETRIES_MAX = 10;
const TIMEOUT_MS_MAX = 3_600_000;
const JSON_CHARS_MAX = 64 * 1024;
const BYTES_MAX = 64 * 1024 * 1024;

/** Response headers that no leg can give: the gateway makes body and framing. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "accept-ranges",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "date",
  "etag",
  "last-modified",
]);

/** A bound in bytes. */
export const bytes = once(() => size().refine((n) => n >= 1 && n <= BYTES_MAX, "expected at least 1 byte and at most 64MiB"));

/** Legs stand in templates between dots, and in a header. */
export const legName = once(() =>
  z.string().regex(/^(?!(?:legs|merge|wins|incomplete|stream|maxBytes|maxRequestBytes)$)[A-Za-z][A-Za-z0-9_-]{0,63}$/, {
    error: "expected the name of a leg: a letter, then letters, digits, '_' and '-'; names of this map's own keys are taken",
  }),
);

/** Name of a member of a JSON object. */
export const member = once(() => z.string().min(1).max(256));

const jsonPath = once(() =>
  z
    .string()
    .min(1)
    .max(1024)
    .superRefine((text, ctx) => {
      const path = parseJsonPath(text);
      if ("error" in path) ctx.addIssue({ code: "custom", message: path.error });
    }),
);

const text = once(() => z.union([z.string().max(PATH_CHARS_MAX), z.number(), z.boolean()]).transform((value) => String(value)));

/** Whether a map is no larger than it may be. */
export const bounded = <T>(map: Readonly<Record<string, T>>, max: number): boolean => Object.keys(map).length <= max;

const body = once(() =>
  z
    .union(
      [
        z.literal("client"),
        z.strictObject({
          json: z
            .unknown()
            .refine((value) => value !== undefined && JSON.stringify(value).length <= JSON_CHARS_MAX, {
              error: `expected JSON of at most ${JSON_CHARS_MAX} characters`,
            })
            .meta({
              description:
                "Sent as `application/json`. Each text in it may hold templates; one that is a single `{legs...}` or `{item...}` becomes that JSON value.",
            }),
        }),
      ],
      { error: "expected client, or {json: ...}" },
    )
    .transform((value): LegBody => (value === "client" ? { kind: "client" } : { kind: "json", value: value.json })),
);

const retry = once(() =>
  z.strictObject({
    attempts: z.int().min(0).max(RETRIES_MAX).meta({ description: "Further attempts after the first; 0 for none." }),
  }),
);

const flatten = once(() =>
  z.union([z.literal(true), z.array(member()).min(1).max(MEMBERS_MAX)], { error: "expected true, or a list of members" }),
);

/** One leg as it is written. */
export const writtenLeg = once(() =>
  withRules(
    z.strictObject({
      to: name().meta({ description: "Name of an upstream." }),
      method: z
        .enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        .prefault("GET")
        .meta({ description: "Of the request to the service, whatever the client's is." }),
      path: z
        .string()
        .regex(/^\/[^#]*$/, "expected a path with a leading `/` and without `#`")
        .max(PATH_CHARS_MAX)
        .meta({
          description:
            "What the service is asked for; may have a query. A template: a value of another leg makes this leg wait for it, and is percent-encoded.",
          examples: ["/users/{id}", "/recommendations?segment={legs.user.json.segment}"],
        }),
      query: z
        .record(z.string().min(1).max(256), text())
        .refine((map) => bounded(map, PARAMETERS_MAX), `expected at most ${PARAMETERS_MAX} parameters`)
        .prefault({})
        .meta({ description: "Further query parameters. One whose value is empty is left out.", examples: [{ page: "{query.page}" }] }),
      headers: z
        .record(
          headerName().refine(
            (header) => !isProtected(header),
            "this header frames the message or belongs to one connection: the gateway writes it",
          ),
          headerText(),
        )
        .refine((map) => bounded(map, HEADERS_MAX), `expected at most ${HEADERS_MAX} headers`)
        .prefault({})
        .meta({
          description: "Request headers that replace what the client sent.",
          examples: [{ "x-segment": "{legs.user.json.segment}" }],
        }),
      body: lazyOptional(body).meta({ description: "`client`: the client's own body. `{ json: ... }`: one made here. Left out: none." }),
      required: z.boolean().prefault(true).meta({
        description: "true: without it there is no answer. false: the answer comes without it, and says so.",
      }),
      timeout: duration()
        .refine((ms) => ms >= 1 && ms <= TIMEOUT_MS_MAX, "expected at least 1ms and at most 1h")
        .optional()
        .meta({
          description:
            "For the whole leg, from its start to the last byte of its answer, retries included. Default: the upstream's timeouts.",
        }),
      retry: lazyOptional(retry).meta({ description: "Overrides of the upstream's `retry`." }),
      expect: statusList({ min: 200 })
        .prefault(["200-299"])
        .meta({ description: "Statuses whose body is used. With any other the leg fails." }),
      relay: statusList({ min: 400, max: 499 })
        .optional()
        .meta({
          description: "Statuses of a required leg that become the client's status when the leg fails with them. Others become 502.",
          examples: [[404]],
        }),
      relayBody: z.boolean().prefault(false).meta({ description: "Pass the body along with such a status, with its Content-Type." }),
      select: jsonPath()
        .optional()
        .meta({
          description:
            "The part of the JSON that is used: a JSON Pointer (`/data/items/0`) or a dotted path (`data.items.0`). Nothing there: the leg fails.",
          examples: ["data.user", "/data/user"],
        }),
      pick: z
        .array(member())
        .min(1)
        .max(MEMBERS_MAX)
        .optional()
        .meta({
          description: "Members that are taken, of an object or of each object in a list; all others stay behind.",
          examples: [["id", "name"]],
        }),
      rename: z
        .record(member(), member())
        .refine((map) => bounded(map, MEMBERS_MAX), `expected at most ${MEMBERS_MAX} members`)
        .prefault({})
        .meta({ description: "Members that get another name: from old to new. Done after `pick`.", examples: [{ full_name: "name" }] }),
      flatten: lazyOptional(flatten).meta({
        description:
          "A list of members: what is inside of them takes their place (what is outside wins). `true`: a list of lists becomes one list. Done last.",
        examples: [["address"], true],
      }),
      as: member().optional().meta({ description: "Member of the answer that holds it. Default: the leg's name." }),
      merge: z.enum(["nest", "flat"]).optional().meta({ description: "Overrides `merge` for this leg." }),
      forEach: z
        .string()
        .min(1)
        .max(1024)
        .optional()
        .meta({
          description:
            "Ask once for each item of another leg's list, with `{item}` and `{item.PATH}` in templates. The value is the list of the answers, in the order of the items.",
          examples: ["{legs.orders.json.items}"],
        }),
      concurrency: z
        .int()
        .min(1)
        .max(CONCURRENCY_MAX)
        .optional()
        .meta({ description: "Of `forEach`: calls under way at once. Default: 8." }),
      maxItems: z
        .int()
        .min(1)
        .max(ITEMS_MAX)
        .optional()
        .meta({ description: "Of `forEach`: with a longer list the leg fails. Default: 100." }),
      onItemFailure: z.enum(["fail", "gap"]).optional().meta({
        description:
          "Of `forEach`: `fail` makes the leg fail; `gap` leaves `null` in the item's place and names the leg as incomplete. Default: fail.",
      }),
      responseHeaders: z
        .array(headerName().refine((header) => !OWN_HEADERS.has(header), "the gateway makes this header itself"))
        .max(HEADERS_MAX)
        .prefault([])
        .meta({
          description: "Headers of the leg's response that the client gets, each line as it came. None by default.",
          examples: [["set-cookie"]],
        }),
      maxBytes: bytes().optional().meta({ description: "Overrides `maxBytes` for this leg." }),
    }),
    ({ method, body }, object) => {
      if (body !== undefined && (method === "GET" || method === "HEAD"))
        object(`a ${method} request has no body`, ["body"], "write `method: POST`");
    },
    ({ required, relay }, object) => {
      if (!required && relay !== undefined)
        object("an optional leg never decides the status", ["relay"], "remove `relay`, or `required: false`");
    },
    ({ relay, relayBody }, object) => {
      if (relayBody && relay === undefined) object("`relayBody` needs `relay`", ["relayBody"]);
    },
    ({ forEach, concurrency, maxItems, onItemFailure, responseHeaders }, object) => {
      const given = { concurrency, maxItems, onItemFailure };
      if (forEach === undefined)
        for (const [key, value] of Object.entries(given)) if (value !== undefined) object(`\`${key}\` needs \`forEach\``, [key]);
      if (forEach !== undefined && responseHeaders.length > 0)
        object("a leg with `forEach` has many answers: which one's headers?", ["responseHeaders"], "name the headers in another leg");
    },
    ({ required, onItemFailure }, object) => {
      if (required && onItemFailure === "gap")
        object(
          "a required leg has no gaps: a failed item fails it",
          ["onItemFailure"],
          "write `required: false`, or `onItemFailure: fail`",
        );
    },
    ({ as, merge }, object) => {
      if (as !== undefined && merge === "flat") object("with `merge: flat` no member holds the leg", ["as"]);
    },
    ({ pick, rename }, object) => {
      const targets = Object.values(rename);
      for (const [from, to] of Object.entries(rename)) {
        if (pick !== undefined && !pick.includes(from)) object(`${from} is not picked`, ["rename", from], "add it to `pick`");
        if (targets.indexOf(to) !== targets.lastIndexOf(to)) object(`two members are renamed to ${to}`, ["rename", from]);
        else if (pick?.includes(to) === true && rename[to] === undefined) object(`${to} is picked too`, ["rename", from]);
      }
    },
    ({ method, select, pick, merge }, object) => {
      if (method === "HEAD" && (select !== undefined || pick !== undefined || merge === "flat"))
        object("a HEAD request gets headers only: there is no JSON to take from", ["method"]);
    },
  ),
);

/** What holds for legs that do not say otherwise. */
interface LegPresets {
  readonly merge: "nest" | "flat";
  readonly maxBytes: number;
}

/** A leg as workers get it, but for the index of its upstream. */
export function compiledLeg(name: string, leg: z.output<ReturnType<typeof writtenLeg>>, preset: LegPresets): LegConfig {
  const { forEach, flatten } = leg;
  return {
    name,
    to: leg.to,
    upstream: -1,
    method: leg.method,
    path: leg.path,
    query: leg.query,
    headers: leg.headers,
    body: leg.body ?? null,
    required: leg.required,
    timeoutMs: leg.timeout ?? null,
    retryAttempts: leg.retry?.attempts ?? null,
    expect: leg.expect,
    relay: leg.relay ?? [],
    relayBody: leg.relayBody,
    select: leg.select ?? "",
    pick: leg.pick ?? null,
    rename: Object.entries(leg.rename).map(([from, to]) => ({ from, to })),
    lift: Array.isArray(flatten) ? flatten : [],
    flattenLists: flatten === true,
    as: (leg.merge ?? preset.merge) === "flat" ? null : (leg.as ?? name),
    forEach:
      forEach === undefined
        ? null
        : { list: forEach, concurrency: leg.concurrency ?? 8, itemsMax: leg.maxItems ?? 100, keepsGaps: leg.onItemFailure === "gap" },
    responseHeaders: [...new Set(leg.responseHeaders)],
    maxBytes: leg.maxBytes ?? preset.maxBytes,
  };
}

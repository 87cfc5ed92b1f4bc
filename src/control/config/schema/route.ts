// Owns the schema of routes: what they match, where they go, and the policies composed from the data plane's registry.
import * as z from "zod";
import { insecure } from "../../../base/insecure-schema.ts";
import { withRules } from "../../../base/rules.ts";
import { headerName, lazyOptional, name, once } from "../../../base/schema.ts";
import type { WayOut } from "../../../base/ways-out.ts";
import type { StickyBy } from "../../../data/handlers/proxy/config.ts";
import { type ModulesConfig, modulesSchema } from "../../../data/policies/module/config.ts";
import type { ModuleUse } from "../../../plan/module-plan.ts";
import type { FeaturePlan } from "../../../plan/plan.ts";
import { bodyRate } from "./body.ts";
import { conditions } from "./conditions.ts";
import { errorPages } from "./error-pages.ts";
import { FEATURES } from "./features.ts";
import { bodyBytes, hostPattern, method, pathPattern } from "./fields.ts";
import { host } from "./host.ts";
import { LISTENERS_MAX } from "./listener.ts";
import { priority } from "./overload.ts";
import { routePaths } from "./paths.ts";
import { routeTimeouts, weight } from "./upstream.ts";
import { version } from "./versioning.ts";

const HOSTS_MAX = 1000;
const SPLIT_MAX = 32;
const VERSIONS_MAX = 32;
const PATHS_MAX = 100;
const USED_SETS_MAX = 32;
/** Policy sets of one instance. */
export const POLICY_SETS_MAX = 1000;

const match = once(() =>
  withRules(
    z.strictObject({
      hosts: z
        .array(hostPattern())
        .max(HOSTS_MAX)
        .prefault([])
        .meta({ description: "Any of these hosts; `*.example.com` is any name below. Empty: any host." }),
      path: pathPattern()
        .optional()
        .meta({
          description:
            "Pattern: literal segments; `{name}` and `*` for one segment; `{name}` beside literal text for a part of one; `{name:regex}` for what the regular expression matches whole; `**` at the end for any rest, also none: `/static/**` matches `/static` too. Left out, with `paths`: `/**`.",
          examples: ["/users/{id}", "/static/**", "/{file}.json", "/orders/{id:[1-9][0-9]*}", "/{kind:users|orders}/{id}"],
        }),
      paths: z
        .array(pathPattern())
        .min(1)
        .max(PATHS_MAX)
        .optional()
        .meta({
          description:
            "Instead of `path`: any of these patterns. It stays one route: in its metrics, limits and policies, which know the parameters that all of them have.",
          examples: [["/users/**", "/teams/**"]],
        }),
      listener: z
        .union([name(), z.array(name()).min(1).max(LISTENERS_MAX)])
        .optional()
        .meta({
          description: "Name of the listener that it serves, or several. To requests on others the route does not exist.",
          examples: ["public", ["public", "internal"]],
        }),
      scheme: z.enum(["http", "https"]).optional().meta({
        description: "How the client came: to the listener, or to a trusted proxy that says so.",
      }),
      methods: z.array(method()).max(32).prefault([]).meta({ description: "Any of these methods; GET implies HEAD. Empty: any method." }),
      headers: conditions(headerName()).prefault({}).meta({
        description: "All of these request headers: name to text (exact), `{prefix}`, `{regex}` or `{present: true}`.",
      }),
      query: conditions(z.string().min(1).max(256)).prefault({}).meta({ description: "All of these query parameters, in the same forms." }),
      client: name()
        .optional()
        .meta({
          description:
            "Type of client: one of `clients`, or `mobile`, `desktop` or `bot`, which are guessed from User-Agent and Sec-CH-UA-Mobile. A hint, never a permission: clients send what they like.",
          examples: ["mobile"],
        }),
      version: z
        .union([version(), z.array(version()).min(1).max(VERSIONS_MAX)])
        .optional()
        .meta({
          description: "Version of the service, or several: `versioning` says where requests name it.",
          examples: ["2", ["1", "2"]],
        }),
    }),
    ({ path, paths }, object) => {
      if (path !== undefined && paths !== undefined)
        object("path and paths exclude each other", ["paths"], "write all of them under `paths`");
    },
  ).transform((v) => ({
    hosts: [...new Set(v.hosts)],
    paths: v.paths ?? [v.path ?? "/**"],
    listeners: [...new Set([v.listener ?? []].flat())],
    scheme: v.scheme ?? null,
    methods: [...new Set(v.methods)].sort(),
    headers: v.headers,
    query: v.query,
    client: v.client ?? null,
    versions: [...new Set([v.version ?? []].flat())].sort(),
  })),
);

const ACCESS_LOG = "Write a line to the access log for each request.";

const webSocket = once(() =>
  z
    .union([
      z.boolean(),
      z.strictObject({
        closeAtExpiry: z.boolean().prefault(false).meta({
          description:
            "Close it with code 1008 (policy violation) when the credential ends that opened it: `exp` and `maxAge` of a token with the tolerance of `clockSkew`, `exp` of an introspection answer, the end of a client certificate. By default it goes on, as behind other proxies, since clients with short tokens would have to connect anew each few minutes. Credentials without an end (API keys, passwords, request signatures) close nothing.",
        }),
      }),
    ])
    .transform((value) =>
      typeof value === "boolean" ? { allowed: value, closeAtExpiry: false } : { allowed: true, closeAtExpiry: value.closeAtExpiry },
    )
    .meta({ description: "Allow upgrades to WebSocket; a map allows them and has settings.", examples: [false, { closeAtExpiry: true }] }),
);

const METHOD_OVERRIDE =
  "`keep` is the former form of `insecure: [method-override]`. `remove`, as without it: `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override` do not go upstream, by which services take a request for one of another method than the route has matched.";

const routeLimits = once(() =>
  z.strictObject({
    bodyBytes: bodyBytes().optional().meta({ description: "Largest request body of this route, or `none` for bodies of any size." }),
    bodyRate: bodyRate()
      .optional()
      .meta({ description: "Least pace of this route's request bodies; `none` for clients that stream slowly." }),
  }),
);

const settings = once(() => ({
  timeouts: lazyOptional(routeTimeouts).meta({
    description:
      "Overrides of the upstream's timeouts. `connect` is how long a request waits for a connection that is made for it; the connection itself, which other routes share, goes on being made for the longest of the upstream's and its routes' `connect`.",
  }),
  host: host().optional().meta({
    description:
      "Override of the upstream's `host`, for this route's requests: Host only. The name asked for and verified by TLS belongs to the connection, and so to the upstream.",
  }),
  limits: lazyOptional(routeLimits).meta({ description: "Overrides of the instance's limits." }),
  paths: lazyOptional(routePaths).meta({
    description: "What request paths may hold here, of what the listener lets through. Refused: 400 `bad_path`.",
  }),
  priority: priority().optional().meta({
    description:
      "Whose requests are refused last when an upstream has more to do than it can: `critical`, `high`, `normal`, `low`. By default that of the caller's tier, else `normal`.",
  }),
  accessLog: z.boolean().prefault(true).meta({ description: ACCESS_LOG }),
  webSocket: webSocket().prefault(true),
  methodOverride: z.enum(["remove", "keep"]).optional().meta({ description: METHOD_OVERRIDE, deprecated: true }),
  insecure: insecure("route"),
  errorPages: lazyOptional(errorPages),
  policies: lazyOptional(modulesSchema),
}));

const upstreamName = once(() => name().meta({ description: "Name of an upstream." }));

const weighted = once(() =>
  z
    .array(
      z.strictObject({ upstream: upstreamName(), weight: weight().meta({ description: "Share relative to the others; 0 for none." }) }),
    )
    .min(1)
    .max(SPLIT_MAX),
);

const stickyBy = once(() =>
  z
    .union([
      z.enum(["consumer", "ip"], { error: "expected consumer, ip, or a map such as `{ cookie: NAME }`" }),
      withRules(
        z.strictObject({
          header: headerName().optional().meta({ description: "The value of this request header." }),
          cookie: z.string().min(1).max(256).optional().meta({ description: "The value of this cookie." }),
        }),
        ({ header, cookie }, object) => {
          if ((header === undefined) === (cookie === undefined)) object("expected exactly one of header and cookie");
        },
      ),
    ])
    .transform((value): StickyBy => {
      if (typeof value === "string") return { kind: value };
      const { header, cookie = "" } = value;
      return header === undefined ? { kind: "cookie", name: cookie } : { kind: "header", name: header };
    }),
);

const mirror = once(() =>
  z.strictObject({
    upstream: upstreamName(),
    percent: z.number().min(0).max(100).prefault(100).meta({ description: "Share of the requests, 0 to 100." }),
  }),
);

const ownKeys = once(() => ({
  name: name().meta({ description: "Unique; stands in logs and metrics." }),
  match: match().prefault({}).meta({
    description: "Which requests it is for; left out: all. Order in the file never matters: the more specific route wins.",
  }),
  use: z
    .array(name())
    .max(USED_SETS_MAX)
    .prefault([])
    .meta({
      description:
        "Policy sets that lie under this route: over `defaults`, each over those before it, the route's own keys over all. Maps merge key by key, lists are replaced, `key: null` takes away.",
      examples: [["partner", "cors"]],
    }),
  to: upstreamName().optional().meta({ description: "The upstream it goes to." }),
  weighted: lazyOptional(weighted).meta({ description: "Instead of `to`: split by weight." }),
  stickyBy: lazyOptional(stickyBy).meta({
    description:
      "Of `weighted`: what has the same value goes to the same upstream: `consumer`, `ip`, `{header: name}` or `{cookie: name}`. Shares stay as the weights say, over many callers; when weights change, only those move that have to. Requests without the value are split by chance.",
  }),
  mirror: lazyOptional(mirror).meta({
    description:
      "Send a copy to another upstream as well; its answer is thrown away. Larger bodies than `retry.bufferBytes`, and those of unknown length, are not copied.",
  }),
}));

const policies = once(() => Object.fromEntries(FEATURES.map(({ key, schema }) => [key, lazyOptional(schema)])));

const fixed = once(() => z.strictObject({ ...ownKeys(), ...settings() }));

/** One route, as written with the defaults merged in. Read its output with {@link routeOf}. */
export const route = once(() => z.strictObject({ ...ownKeys(), ...settings(), ...policies() }));

/** What may stand under `defaults` and in a set: everything but what makes a route itself. Nothing is filled in here: the route's own defaults come after. */
const shared = () =>
  z.strictObject({
    ...settings(),
    accessLog: z.boolean().optional().meta({ description: ACCESS_LOG }),
    webSocket: webSocket().optional(),
    ...policies(),
  });

export const defaults = once(() =>
  shared().optional().meta({
    description: "Merged under every route: maps key by key, the route wins; `key: null` in a route takes a default away.",
  }),
);

/** One policy set: it may hold what `defaults` may, handlers such as `respond` too. */
export const policySet = once(shared);

export const policySets = once(() =>
  z
    .record(name(), policySet())
    .refine((record) => Object.keys(record).length <= POLICY_SETS_MAX, `expected at most ${POLICY_SETS_MAX} policy sets`)
    .optional()
    .meta({
      description:
        "Named sets of policies and settings, for routes that name them under `use`. They lie over `defaults` and under the route's own keys; `key: null` in a set takes away what lies under it.",
    }),
);

export interface RouteConfig extends Omit<z.output<ReturnType<typeof fixed>>, "webSocket" | "policies" | "methodOverride" | "insecure"> {
  /** What is opened, also by a former key. */
  readonly insecure: readonly WayOut[];
  readonly webSocket: boolean;
  readonly webSocketClosesAtExpiry: boolean;
  /** Policies, filters and handlers as configured, in the order of FEATURES. */
  readonly policies: readonly FeaturePlan[];
  /** Policies of the user's own, as written. */
  readonly modules: ModulesConfig;
  /** The same, once they are loaded (control/config/modules). */
  readonly uses: readonly ModuleUse[];
}

/** Whoever writes `remove` means it. */
function openedBy({
  methodOverride,
  insecure = [],
}: Pick<z.output<ReturnType<typeof fixed>>, "methodOverride" | "insecure">): readonly WayOut[] {
  if (methodOverride === "remove") return insecure.filter((name) => name !== "method-override");
  return methodOverride === "keep" ? [...new Set<WayOut>([...insecure, "method-override"])] : insecure;
}

/** Splits the schema's flat output into the route proper and its policies. */
export function routeOf(output: unknown): RouteConfig {
  const flat = output as z.output<ReturnType<typeof fixed>> & Record<string, unknown>; // output of `route`, whose policy keys have no static type
  const plans: FeaturePlan[] = [];
  for (const { key } of FEATURES) if (flat[key] !== undefined) plans.push({ name: key, config: flat[key] });
  return {
    name: flat.name,
    match: flat.match,
    use: flat.use,
    to: flat.to,
    weighted: flat.weighted,
    stickyBy: flat.stickyBy,
    mirror: flat.mirror,
    timeouts: flat.timeouts,
    host: flat.host,
    limits: flat.limits,
    paths: flat.paths,
    priority: flat.priority,
    accessLog: flat.accessLog,
    webSocket: flat.webSocket.allowed,
    webSocketClosesAtExpiry: flat.webSocket.closeAtExpiry,
    insecure: openedBy(flat),
    errorPages: flat.errorPages,
    policies: plans,
    modules: flat.policies ?? [],
    uses: [],
  };
}

/** Routes of one instance. */
export const ROUTES_MAX = 100_000;

export const routes = once(() => z.array(route()).min(1).max(ROUTES_MAX).meta({ description: "What is served." }));

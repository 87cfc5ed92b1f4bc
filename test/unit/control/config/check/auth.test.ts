// What a route may say about who may call it, and what the loader says when that names nobody, leaves it open, or asks what nobody can answer.
import { describe, expect, it } from "vitest";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

/** Line 6 is the route. */
const withAuth = (auth: string, section = "auth: { corp: { apiKey: { name: x-key } } }"): string =>
  withRoutes(`- { name: a, match: { path: /t/{tenant} }, to: users, auth: ${auth} }\n${section}`);

const nested = (depth: number): string => (depth === 0 ? "corp" : `{ optional: ${nested(depth - 1)} }`);

describe("the tree", () => {
  check("nothing in it", withAuth("‸{}"), "routes[0].auth: expected exactly one of any, all and optional");
  check("two branches", withAuth("‸{ any: [corp], all: [corp] }"), "routes[0].auth: expected exactly one of any, all and optional");
  check("no branch", withAuth("‸{ forwardCredentials: true }"), "routes[0].auth: expected exactly one of any, all and optional");
  check("any of nothing", withAuth("{ any: ‸[] }"), "routes[0].auth.any: expected at least 1 entry");
  check("all of nothing, inside", withAuth("{ any: [corp, { all: ‸[] }] }"), "routes[0].auth.any[1].all: expected at least 1 entry");
  check("misspelt branch", withAuth("{ optional: { ‸ani: [corp] } }"), "routes[0].auth.optional.ani: unknown key; did you mean `any`?");
  check(
    "forwardCredentials inside",
    withAuth("{ any: [{ any: [corp], ‸forwardCredentials: true }] }"),
    "routes[0].auth.any[0].forwardCredentials: unknown key; known keys: any, all, optional",
  );
  check("a number", withAuth("‸7"), "routes[0].auth: expected a text or a map; name an authenticator, or write `none`");
  check("a number inside", withAuth("{ any: [‸7] }"), "routes[0].auth.any[0]: expected a text or a map; write it in quotes");
  check("too deep", withAuth(`‸${nested(6)}`), "routes[0].auth: nested deeper than 5 levels");
  check(
    "too many",
    withAuth(`‸{ any: [{ all: [${Array(32).fill("corp")}] }, corp] }`),
    "routes[0].auth: names more than 32 authenticators",
  );
  check("as deep as may be", withAuth(nested(5)));
});

describe("forwardCredentials of an authenticator", () => {
  const own = (text: string) => withAuth("corp", `auth: { corp: { apiKey: { name: x-key }, ${text} } }`);
  it("is off by default, and goes into the plan", () => {
    const forwards = (text: string) => good([text]).config.auth.map((each) => [each.kind, each.forwardCredentials]);
    expect(forwards(withAuth("corp"))).toEqual([["apiKey", false]]);
    expect(forwards(own("forwardCredentials: true"))).toEqual([["apiKey", true]]);
  });
  check(
    "that is no boolean",
    own("forwardCredentials: ‸yes"),
    "auth.corp.forwardCredentials: expected true or false, got a text; write `true`",
  );
});

describe("names", () => {
  check("unknown", withAuth("‸crop"), "routes[0].auth: there is no authenticator named crop; did you mean `corp`?");
  check(
    "unknown, inside",
    withAuth("{ any: [corp, { optional: { all: [corp, ‸partner] } }] }"),
    "routes[0].auth.any[1].optional.all[1]: there is no authenticator named partner; authenticators: corp",
  );
  check("none there", withAuth("‸corp", ""), "routes[0].auth: there is no authenticator named corp; there are no authenticators");
  check(
    "none inside a tree",
    withAuth("{ any: [corp, ‸none] }"),
    "routes[0].auth.any[1]: `none` stands alone: `auth: none`; write `optional` for callers who may be nobody",
  );
  check(
    "none as a name",
    withAuth("none", "auth: { none: ‸{ basic: {} } }"),
    "auth.none: `none` is the word for public routes; give the authenticator another name",
  );
  it("a broken authenticator is not missed as well", () =>
    expect(problemsOf(withAuth("corp", "auth: { corp: {} }"))).toEqual([expect.stringContaining("auth.corp: expected exactly one of ")]));
});

describe("every route chooses", () => {
  const keys = "auth: { corp: { apiKey: { name: x-key } } }";
  check(
    "one that does not",
    withRoutes(`- ‸{ name: a, match: {}, to: users }\n- { name: b, match: { path: /b }, to: users, auth: corp }\n${keys}`),
    "routes[0]: the route a does not say who may call it; add `auth: corp`, or `auth: none` to make it public; `defaults.auth` says it for all routes",
  );
  check("by the defaults", withRoutes(`- { name: a, match: {}, to: users }\n${keys}\ndefaults: { auth: corp }`));
  it("without authenticators nobody has to", () => {
    expect(good([withRoutes("- { name: a, match: {}, to: users }")]).warnings).toEqual([]);
    expect(good([withAuth("none", "")]).warnings).toEqual([]);
  });
  it("a route's own tree replaces the defaults' whole", () => {
    const { config } = good([
      withRoutes(`- { name: a, match: {}, to: users, auth: { optional: corp } }\n${keys}\ndefaults: { auth: { any: [corp] } }`),
    ]);
    expect(config.routes[0]?.policies).toEqual([
      { name: "auth", config: { tree: { kind: "optional", of: { kind: "one", name: "corp" } }, forwardCredentials: null } },
    ]);
  });
  it("an authenticator that no route uses is worth a warning", () => {
    expect(good([withAuth("none")]).warnings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      "auth.corp: no route uses this authenticator",
    ]);
  });
});

describe("authorize", () => {
  const asks = (authorize: string, auth = "corp", more = ""): string =>
    withAuth(
      `${auth}, authorize: ${authorize}`,
      `auth: { corp: { introspection: { endpoint: "http://127.0.0.1/", clientId: a, clientSecret: b, claims: { roles: r, groups: g, tier: t } } }, other: { basic: {} } }\ntiers: { gold: { rate: 1/s } }${more}\ndefaults: { headers: {} }`,
    ).replace("\nauth:", "\n- { name: uses-other, match: { path: /o }, to: users, auth: other }\nauth:");
  check("nothing asked", asks("‸{}"), "routes[0].authorize: expected at least one condition");
  check("misspelt", asks("{ ‸scope: { any: [a] } }"), "routes[0].authorize.scope: unknown key; did you mean `scopes`?");
  check("a list of scopes", asks("{ scopes: ‸[a] }"), "routes[0].authorize.scopes: expected a map, got a list");
  check("no scopes", asks("{ scopes: ‸{} }"), "routes[0].authorize.scopes: expected `any` or `all`, each with a list");
  check("scopes of nothing", asks("{ scopes: { any: ‸[] } }"), "routes[0].authorize.scopes.any: expected at least 1 entry");
  check(
    "all there is",
    asks(
      '{ scopes: { any: [a] }, roles: { all: [r] }, groups: { any: [g] }, consumers: [c], tiers: [gold], ip: [10.0.0.0/8], time: [{ days: [mon] }], claims: { tenant: "{path.tenant}", level: [1, 2] }, when: claims.level > 1 }',
    ),
  );
  check(
    "unknown tier",
    asks("{ tiers: [gold, ‸golf] }"),
    "routes[0].authorize.tiers[1]: there is no tier named golf; did you mean `gold`?",
  );
  check(
    "unknown parameter",
    asks('{ claims: { tenant: ‸"{path.tenat}" } }'),
    "routes[0].authorize.claims.tenant: {path.tenat}: the route's path has no such parameter (known: tenant, query.NAME, header.NAME, claims.NAME, host, method, scheme, route, request.id, request.path, consumer.id, consumer.tier, client.ip)",
  );
  for (const [key, value] of [
    ["scopes", "{ any: [a] }"],
    ["roles", "{ any: [a] }"],
    ["groups", "{ any: [a] }"],
    ["consumers", "[a]"],
    ["tiers", "[gold]"],
    ["claims", "{ a: 1 }"],
    ["when", "has(claims.a)"],
  ])
    it(`${key} on a public route`, () =>
      expect(problemsOf(asks(`{ ${key}: ${value} }`, "none"))).toEqual([
        expect.stringContaining(
          `routes[0].authorize.${key}: nobody proves who is calling the route a, so nobody could ever use it; name an authenticator under \`auth\``,
        ),
      ]));
  it("where and when may be asked on a public route", () =>
    expect(problemsOf(asks('{ ip: [10.0.0.0/8], time: [{ days: [mon] }], when: "method == \\"GET\\"" }', "none"))).toEqual([]));
  check(
    "a broken condition",
    asks("{ when: ‸1 + }"),
    'routes[0].authorize.when: at character 4: Unexpected token: EOF; write a condition in CEL, such as `method == "GET" && header["x-tier"] == "gold"`',
  );
  check(
    "unknown variable",
    asks("{ when: ‸claim.a == 1 }"),
    "routes[0].authorize.when: at character 1: Unknown variable: claim; known: consumer, claims, path, query, header, host, method, scheme, client.ip, request.path, request.time, route",
  );
  check(
    "no condition",
    asks("{ when: ‸size(claims.a) }"),
    "routes[0].authorize.when: it is no condition: it gives int, not true or false; compare it with something, as in `x == 1`",
  );
  check(
    "a parameter that the path does not have",
    asks("{ when: ‸claims.tenant == path.tenat }"),
    "routes[0].authorize.when: the route's path has no parameter tenat; did you mean `tenant`?",
  );
  check("long condition", asks(`{ when: ‸"${"x".repeat(1025)}" }`), "routes[0].authorize.when: expected at most 1024 characters");
});

describe("the headers of identity", () => {
  const route = (rest: string): string =>
    withRoutes(`- { name: a, match: { path: /a${rest.startsWith("M") ? `, ${rest.slice(1)} }` : ` }, ${rest}`}, to: users }`);
  const MINE =
    "services take this header for who is calling: only the gateway writes it; `identity.headers` and `identity.claims` say what it holds";
  check("set", route('headers: { request: { set: { X-Consumer-Id: ‸"1" } } }'), `routes[0].headers.request.set.X-Consumer-Id: ${MINE}`);
  check(
    "set, spelt otherwise",
    route('headers: { request: { set: { x_consumer_id: ‸"1" } } }'),
    `routes[0].headers.request.set.x_consumer_id: ${MINE}`,
  );
  check(
    "added",
    route('headers: { request: { add: { x-internal-token: ‸"1" } } }'),
    `routes[0].headers.request.add.x-internal-token: ${MINE}`,
  );
  check("removed: why not", route("headers: { request: { remove: [x-consumer-roles] } }"));
  check(
    "matched",
    route("Mheaders: { x-consumer-tier: ‸gold }"),
    "routes[0].match.headers.x-consumer-tier: no request has this header: it is removed from what clients send, and who is calling is not known before a route is chosen; use `authorize`",
  );
  check(
    "by a name of its own",
    `${route('headers: { request: { set: { x-user: ‸"1" } } }')}\nidentity: { headers: { consumer: x-user } }`,
    `routes[0].headers.request.set.x-user: ${MINE}`,
  );
  check(
    "as the header of a key",
    withAuth("corp", "auth: { corp: { apiKey: { name: ‸x-consumer-id } } }"),
    "auth.corp.apiKey.name: this header is removed from what clients send: no credential could arrive in it; choose another name",
  );
  check(
    "a name that is taken",
    `${route("limits: {}")}\nidentity: { headers: { consumer: ‸x-forwarded-user } }`,
    "identity.headers.consumer: this header has another meaning: choose another name",
  );
  it("a key that stands in the file is worth a warning, one from the environment is not", () => {
    const text = (key: string) => `${route("limits: {}")}\nidentity: { internalToken: { algorithm: HS256, key: ${key} } }`;
    expect(good([text("k".repeat(32))]).warnings.map(({ path }) => path)).toEqual(["identity.internalToken.key"]);
    expect(good([text(`"\${KEY}"`)], { KEY: "k".repeat(32) }).warnings).toEqual([]);
  });
  it("says what is wrong with a key without saying the key", () => {
    const problems = problemsOf(`${route("limits: {}")}\nidentity: { internalToken: { key: hunter2-hunter2 } }`);
    expect(problems).toEqual([expect.stringContaining("expected an Ed25519 private key in PEM")]);
    expect(problems.join()).not.toContain("hunter2");
  });
});

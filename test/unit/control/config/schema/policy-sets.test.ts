// What policy sets are: layers between the defaults and a route's own keys; what may stand in them; where mistakes in them are told.
import { describe, expect, it } from "vitest";
import { settingsOf } from "../../../../../src/control/config/schema/route-layers.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { check, good, parse, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const AUTH = `
auth: { keys: { apiKey: { in: header, name: x-api-key } }, corp: { basic: {} } }
consumers: [{ id: a, keys: ["sha256:498c49edd651d7e7ff00f063f2e864ffd3ee79d6eb7ce8ca5c317bdea156e22a"] }]
`;
const text = (route: string, sets: string, rest = "") =>
  withRoutes(`- { name: a, match: {}, to: users, ${route} }\npolicySets: ${sets}\n${rest}`);
const policiesOf = (...texts: readonly string[]): Record<string, unknown> =>
  Object.fromEntries(good(texts).config.routes[0]?.policies.map((policy) => [policy.name, policy.config]) ?? []);
const setHeaders = (...texts: readonly string[]) =>
  (policiesOf(...texts)["headers"] as { readonly request: { readonly set: unknown; readonly remove: unknown } }).request; // of the headers policy

describe("layers", () => {
  const DEFAULTS = "defaults: { headers: { request: { set: { x-a: d, x-b: d, x-c: d, x-d: d }, remove: [x-d] } } }";
  const SETS =
    "{ one: { headers: { request: { set: { x-b: one, x-c: one, x-d: one }, remove: [x-1, x-2] } } }, two: { headers: { request: { set: { x-c: two, x-d: two } } } } }";

  it("defaults, then sets in their order, then the route: maps by key, lists replaced", () => {
    const own = "headers: { request: { set: { x-d: own } } }";
    expect(setHeaders(text(`use: [one, two], ${own}`, SETS, DEFAULTS))).toMatchObject({
      set: { "x-a": "d", "x-b": "one", "x-c": "two", "x-d": "own" },
      remove: ["x-1", "x-2"],
    });
    expect(setHeaders(text(`use: [two, one], ${own}`, SETS, DEFAULTS))).toMatchObject({
      set: { "x-a": "d", "x-b": "one", "x-c": "one", "x-d": "own" },
    });
  });
  it("a route without sets has the defaults alone", () =>
    expect(setHeaders(text("use: []", SETS, DEFAULTS))).toMatchObject({ set: { "x-b": "d" }, remove: ["x-d"] }));
  it("null in a route takes a set's key away, null in a set what lies under it", () => {
    const cors = "{ open: { cors: { origins: ['*'] } }, closed: { cors: null } }";
    expect(policiesOf(text("use: [open], cors: null", cors))).toEqual({});
    expect(policiesOf(text("use: [open, closed]", cors))).toEqual({});
    expect(
      policiesOf(
        text(
          "use: [closed, open]",
          `{ open: { cors: { origins: ['*'] } }, closed: { cors: null } }`,
          "defaults: { cors: { origins: [https://a.example] } }",
        ),
      ),
    ).toMatchObject({ cors: { origins: ["*"] } });
  });
  it("a null that has nothing to take away on one route does not hinder another", () => {
    const two = withRoutes(`- { name: a, match: { path: /a }, to: users, use: [open, closed] }
- { name: b, match: { path: /b }, to: users, use: [closed] }
policySets: { open: { headers: { request: { set: { x-a: "1", x-b: "2" } } } }, closed: { headers: { request: { set: { x-a: null } } } } }`);
    expect(setHeaders(two).set).toEqual({ "x-b": "2" });
  });
  it("a tree of authenticators replaces that of a lower layer whole", () => {
    const sets = "{ any: { auth: { any: [keys, corp] } }, all: { auth: { all: [keys, corp] } } }";
    expect(policiesOf(text("use: [any, all]", sets, AUTH))["auth"]).toMatchObject({ tree: { kind: "all" } });
    expect(policiesOf(text("use: [all], auth: { optional: keys }", sets, `${AUTH}defaults: { auth: none }`))["auth"]).toMatchObject({
      tree: { kind: "optional" },
    });
  });
  it("half of a policy may stand in a set", () =>
    expect(
      policiesOf(text("use: [long], cors: { origins: [https://a.example] }", "{ long: { cors: { maxAge: 1h } } }"))["cors"],
    ).toMatchObject({ maxAge: 3_600_000 }));
  it("settings and handlers may stand in a set, as in the defaults", () => {
    const { config } = good([
      text(
        "use: [slow, off]",
        "{ slow: { timeouts: { response: 1m }, accessLog: false, webSocket: false }, off: { respond: { status: 503 } } }",
      ),
    ]);
    expect(config.routes[0]).toMatchObject({ use: ["slow", "off"], timeouts: { attemptMs: 60_000 }, accessLog: false, webSocket: false });
    expect(config.routes[0]?.policies.map(({ name }) => name)).toEqual(["respond"]);
  });
  it("files that a set names are relative to the file that it stands in", () => {
    const ca = "policySets: { p: { forwardAuth: { url: https://sso.example/check, ca: 'file:no/such.pem' } } }\n";
    expect(problemsOf(`${withRoutes("- { name: a, match: {}, to: users, use: [p] }")}\n${ca}`)).toEqual([
      expect.stringMatching(/^c\.yaml:7:\d+: policySets\.p\.forwardAuth\.ca: .*no\/such\.pem/),
    ]);
  });
  it("policies of one's own may stand in a set, and an upper layer's list replaces them", () => {
    const list = (name: string) => `policies: [{ module: ./${name}.ts }]`;
    const missing = (route: string) =>
      problemsOf(text(route, `{ low: { ${list("low")} }, high: { ${list("high")} } }`)).map((each) => /[a-z]+\.ts/.exec(each)?.[0]);
    expect(missing("use: [low]")).toEqual(["low.ts"]);
    expect(missing("use: [low, high]")).toEqual(["high.ts"]);
    expect(missing(`use: [low, high], ${list("own")}`)).toEqual(["own.ts"]);
  });
  it("overlays are laid over sets, and named limits of a set are changed one by one", () => {
    const base = text(
      "use: [p]",
      "{ p: { rateLimit: [{ name: x, per: ip, rate: 1/s }, { name: y, per: ip, rate: 2/s }], headers: { request: { set: { x-a: '1' } } } } }",
    );
    const over = "policySets: { p: { rateLimit: [{ name: y, rate: 9/s }], headers: null } }";
    const { rateLimit, ...others } = policiesOf(base, over);
    expect((rateLimit as readonly { readonly rate: { readonly count: number } }[]).map(({ rate }) => rate.count)).toEqual([1, 9]); // of rateLimit
    expect(others).toEqual({});
    expect(policiesOf(base, "routes: [{ name: a, use: null }]")).toEqual({});
  });
});

describe("mistakes", () => {
  check(
    "an unknown name",
    text("use: [‸partnr]", "{ partner: { accessLog: false } }"),
    "routes[0].use[0]: there is no policy set named partnr; did you mean `partner`?",
  );
  check(
    "a name without sets",
    text("use: [‸partner]", "{}"),
    "routes[0].use[0]: there is no policy set named partner; there are no policy sets",
  );
  check(
    "a name twice",
    text("use: [p, ‸p]", "{ p: { accessLog: false } }"),
    "routes[0].use[1]: the set p is listed twice; list it once, where it is to count",
  );
  check(
    "one name without a list",
    text("use: ‸p", "{ p: { accessLog: false } }"),
    "routes[0].use: expected a list, got a text; write it as [a, b] or as lines that start with `-`",
  );
  check(
    "nothing that may follow from an unknown set is told",
    text("use: [‸partnr]", "{ partner: { auth: keys } }", AUTH),
    "routes[0].use[0]: there is no policy set named partnr; did you mean `partner`?",
  );
  check(
    "what makes a route cannot stand in a set",
    text("use: [p]", "{ p: { ‸to: users } }"),
    "policySets.p.to: unknown key; it makes a route itself: it stands in the route",
  );
  check(
    "sets use no sets",
    text("use: [p]", "{ p: { ‸use: [q] }, q: {} }"),
    "policySets.p.use: unknown key; a set uses no other: routes list all that they use",
  );
  check(
    "the defaults use no sets",
    `${text("use: [p]", "{ p: {} }")}defaults: { ‸use: [p] }`,
    "defaults.use: unknown key; routes name the sets that they use: write the keys themselves here",
  );
  check(
    "a name that is none",
    text("use: [p]", "{ p: {}, ‸'a b': {} }"),
    "policySets[\"a b\"]: expected a name of letters, digits, '.', '_' and '-'",
  );
  check("no map", text("accessLog: false", "‸[a]"), "policySets: expected a map, got a list");
  check(
    "a null that takes nothing away from any route",
    text("use: [p]", "{ p: { cors: ‸null } }"),
    "policySets.p.cors: takes nothing away: on no route that uses the set have `defaults` or a set before it this key; give it a value, or remove the key",
  );
  check(
    "keys of a later version",
    text("use: [p]", "{ p: { ‸graphql: {} } }"),
    "policySets.p.graphql: `graphql` is not in this version yet; remove it",
  );

  const many = (sets: string) =>
    withRoutes(
      `${Array.from({ length: 300 }, (_, i) => `- { name: r${i}, match: { path: /r${i} }, to: users, use: [p] }`).join("\n")}\npolicySets: ${sets}\n${AUTH}defaults: { auth: none }\n`,
    );
  it("a mistake in a set is told once, where it stands, however many routes use it; and hides no other", () => {
    expect(problemsOf(many("{ p: { compress: { minByte: 1 }, auth: crp, headers: { request: { set: { x-a: '{pth}' } } } } }"))).toEqual([
      "c.yaml:306:32: policySets.p.compress.minByte: unknown key; did you mean `minBytes`?",
      "c.yaml:306:52: policySets.p.auth: there is no authenticator named crp; did you mean `corp`?",
      expect.stringMatching(/^c\.yaml:306:91: policySets\.p\.headers\.request\.set\.x-a: \{pth\} is unknown/),
    ]);
  });
  it("a mistake in a set that no route uses is told", () =>
    expect(problemsOf(text("accessLog: false", "{ p: { compress: { minByte: 1 } } }"))).toEqual([
      "c.yaml:7:32: policySets.p.compress.minByte: unknown key; did you mean `minBytes`?",
    ]));
  it("mistakes of the defaults stand under the defaults", () =>
    expect(problemsOf(`${withRoutes("- { name: a, match: {}, to: users }")}\n${AUTH}defaults: { auth: crp }`)).toEqual([
      "c.yaml:10:19: defaults.auth: there is no authenticator named crp; did you mean `corp`?",
    ]));
  it("a set that no route uses is warned of", () => {
    const { warnings } = good([text("use: [p]", "{ p: { accessLog: false }, spare: { cors: null } }")]);
    expect(warnings.map(formatProblem)).toEqual([
      "c.yaml:7:47: policySets.spare: no route uses this set; remove it, or add it to a route's `use`",
    ]);
  });
});

describe("cors with credentials for every origin", () => {
  check(
    "is refused, with what to do, once for a set that several routes use",
    `${text("use: [p]", "{ p: { cors: { origins: ['*'], credentials: ‸true } } }")}`,
    "policySets.p.cors.credentials: credentials with the origin `*` would let every site act as the signed-in user; where pages send no cookies (tokens in `Authorization` are none), remove `credentials`; else name the origins, or a pattern such as https://*.example.com",
  );
});

describe("top-level keys that begin with x-", () => {
  it("are a home for anchors that nobody reads", () =>
    expect(
      setHeaders(
        `x-shared: { anything: [1, { b: 2 }], set: &set { x-a: "1" } }\n${text("use: [p]", "{ p: { headers: { request: { set: *set } } } }")}`,
      ).set,
    ).toEqual({ "x-a": "1" }));
  it("are none of a route's or a set's keys", () =>
    expect(problemsOf(text("x-a: 1, use: [p]", "{ p: { x-a: 1 } }"))).toEqual([
      expect.stringContaining("routes[0].x-a: unknown key"),
      expect.stringContaining("policySets.p.x-a: unknown key"),
    ]));
});

describe("where a setting comes from", () => {
  it("is the highest layer that has it", () => {
    const result = parse([
      text(
        "use: [one, two], timeouts: { total: 1s }",
        "{ one: { headers: { request: { set: { x-a: '1', x-b: '1' } } } }, two: { headers: { request: { set: { x-b: '2' } } } } }",
        "defaults: { timeouts: { idle: 2s, total: 3s }, accessLog: false }",
      ),
      "policySets: { two: { headers: { request: { set: { x-b: '3' } } } } }",
    ]);
    const settings = result.ok ? settingsOf(result.tree, 0) : [];
    expect(settings.map(({ path, from, at }) => `${path} ${from} ${at.file}:${at.line}`).sort()).toEqual([
      "accessLog defaults c.yaml:8",
      "headers.request.set.x-a policySets.one c.yaml:7",
      "headers.request.set.x-b policySets.two over1.yaml:1",
      "timeouts.idle defaults c.yaml:8",
      "timeouts.total route c.yaml:6",
    ]);
  });
});

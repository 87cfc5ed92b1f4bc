// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
// What lies over what: the environment in the text, overlays on files, routes on defaults.
import { describe, expect, it } from "vitest";
import { SECTIONS } from "../../../../../src/control/config/schema/schema.ts";
import { sectionPresets } from "../../../../../src/control/config/schema/sections.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, good, parse, problemsOf, withRoutes } from "../../../../support/config-text.ts";

describe("environment", () => {
  it("fills in texts, numbers and booleans", () => {
    const text = withRoutes(
      "- { name: a, match: {}, to: '${TO}', webSocket: '${WS}' }\nworkers: ${W}\nlimits: { headerCount: '${N:-50}', bodyBytes: '${B:-1KiB}' }".replace(
        "\nworkers",
        "\nworkers",
      ),
    );
    const { config } = good([text], { TO: "users", WS: "false", W: "3" });
    expect(config).toMatchObject({ workers: { count: 3 }, limits: { headerCount: 50, bodyBytes: 1024 } });
    expect(config.routes[0]).toMatchObject({ to: "users", webSocket: false });
  });
  it("keeps digits that are text", () => {
    const { config } = good([`${BASE}admin: { token: "\${T}" }`], { T: "0123456789012345678901234567890" });
    expect(config.admin?.token).toBe("0123456789012345678901234567890");
  });
  it("an empty token is no token", () => expect(good([`${BASE}admin: { token: "\${T:-}" }`]).config.admin?.token).toBeNull());
  it("reports every unset variable at its place", () => {
    expect(problemsOf(`${BASE}admin: { token: "\${A}\${B}" }`)).toEqual([
      "c.yaml:6:18: admin.token: the environment variable A is not set; set it, or write ${A:-default}",
      "c.yaml:6:22: admin.token: the environment variable B is not set; set it, or write ${B:-default}",
    ]);
  });
  it("never repeats a value from the environment", () => {
    const problems = problemsOf(`${BASE}drainTimeout: \${SECRET}\nworkers: \${SECRET}\nlog: { file: "\${SECRET}", x: 1 }`, {
      SECRET: "hunter2",
    });
    expect(problems.length).toBeGreaterThan(2);
    expect(problems.join("\n")).not.toContain("hunter2");
  });
});

describe("overlays", () => {
  it("merge key by key, replace lists, remove by null", () => {
    const over =
      "upstreams:\n  users: { timeouts: { response: 1s }, targets: [{ url: http://b }] }\n  more: { targets: [{ url: http://c }] }\ndrainTimeout: null\n";
    const { config } = good([`${BASE}drainTimeout: 5s\n`, over]);
    expect(config.drainTimeout).toBe(30_000);
    expect(config.upstreams.map(({ name, targets, timeouts }) => [name, targets, timeouts.attemptMs, timeouts.totalMs])).toEqual([
      ["users", [{ url: "http://b:80", weight: 1 }], 1000, 15_000],
      ["more", [{ url: "http://c:80", weight: 1 }], 5000, 15_000],
    ]);
  });
  it("problems stand in the file they were written in", () => {
    const result = parse([BASE, "limits:\n  bodyBytes: big\n", "upstreams: { users: { balanc: hash } }"]);
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
      'over1.yaml:2:14: limits.bodyBytes: expected a size such as 16KiB or 10MiB, got "big"',
      "over2.yaml:1:23: upstreams.users.balanc: unknown key; did you mean `balance`?",
    ]);
  });
  it("syntax errors of all files are reported", () => {
    const result = parse(["a: [", "b: {"]);
    expect(result.ok ? [] : result.problems.map((p) => p.at.file)).toEqual(["c.yaml", "over1.yaml"]);
  });
});

describe("defaults", () => {
  const text = (defaults: string, routes: string) => `${withRoutes(routes)}\ndefaults: ${defaults}\n`;
  const policies = (defaults: string, route: string) =>
    Object.fromEntries(
      good([text(defaults, `- { name: a, match: {}, to: users, ${route} }`)]).config.routes[0]?.policies.map((p) => [p.name, p.config]) ??
        [],
    );

  it("lie under every route, key by key", () => {
    const result = policies(
      "{ headers: { request: { remove: [x-a], set: { x-b: '1' } } } }",
      "headers: { request: { set: { x-c: '2' } }, response: { remove: [server] } }",
    );
    expect(result["headers"]).toMatchObject({
      request: { remove: ["x-a"], set: { "x-b": "1", "x-c": "2" } },
      response: { remove: ["server"] },
    });
  });
  it("the route wins, lists replace", () => {
    expect(policies("{ headers: { request: { remove: [x-a] } } }", "headers: { request: { remove: [x-b] } }")["headers"]).toMatchObject({
      request: { remove: ["x-b"] },
    });
  });
  it("null takes one away", () => expect(policies("{ cors: { origins: ['*'] } }", "cors: null")).toEqual({}));
  it("may be half of a policy", () => {
    expect(policies("{ cors: { credentials: true } }", "cors: { origins: ['https://a.example'] }")["cors"]).toMatchObject({
      credentials: true,
      origins: ["https://a.example"],
    });
  });
  it("set accessLog, webSocket, timeouts and limits", () => {
    const { config } = good([
      text(
        "{ accessLog: false, webSocket: false, timeouts: { total: 0 }, limits: { bodyBytes: 1KiB } }",
        "- { name: a, match: {}, to: users, webSocket: true }",
      ),
    ]);
    expect(config.routes[0]).toMatchObject({ accessLog: false, webSocket: true, timeouts: { totalMs: 0 }, limits: { bodyBytes: 1024 } });
  });
  it("a mistake in them is reported once, where it stands", () => {
    const two = "- { name: a, match: { path: /a }, to: users }\n- { name: b, match: { path: /b }, to: users }";
    expect(problemsOf(text("{ compress: { minByte: 1 } }", two))).toEqual([
      "c.yaml:8:25: defaults.compress.minByte: unknown key; did you mean `minBytes`?",
    ]);
  });
  it("cannot say where routes go", () => {
    expect(problemsOf(text("{ to: users }", "- { name: a, match: {} }"))).toContain(
      "c.yaml:7:13: defaults.to: unknown key; known keys: timeouts, host, limits, paths, priority, accessLog, webSocket, methodOverride, insecure, errorPages, policies, ip, redirect, cors, rateLimit, auth, forwardAuth, authorize, rewrite, query, headers, deprecation, cache, aggregate, respond, compress",
    );
  });
});

describe("sections that nobody writes", () => {
  it("are known in advance to the bundle, as JSON", () => {
    const presets = sectionPresets();
    expect(JSON.parse(JSON.stringify(presets))).toEqual(presets);
    const { config } = good([BASE]);
    const absent = Object.keys(SECTIONS).filter((key) => key !== "version" && key !== "listeners");
    expect(Object.keys(presets).sort()).toEqual(absent.sort());
    for (const key of absent) expect(config).toHaveProperty([key], presets[key]);
  });
});

describe("overlays on lists", () => {
  const two = withRoutes(
    "- { name: a, match: { path: /a }, to: users, timeouts: { idle: 1s } }\n- { name: b, match: { path: /b }, to: users }",
  );
  const routesOf = (...over: readonly string[]) => good([two, ...over]).config.routes;

  it("one route is changed by its name, the others stay as they are", () => {
    const routes = routesOf("routes: [{ name: b, timeouts: { idle: 2s }, match: { methods: [GET] } }]");
    expect(routes.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(routes[1]).toMatchObject({ to: "users", match: { paths: ["/b"], methods: ["GET"] }, timeouts: { idleMs: 2000 } });
    expect(routes[0]).toMatchObject({ match: { paths: ["/a"], methods: [] }, timeouts: { idleMs: 1000 } });
  });
  it("a route with a new name is added", () =>
    expect(routesOf("routes: [{ name: c, match: { path: /c }, to: users }]").map(({ name }) => name)).toEqual(["a", "b", "c"]));
  it("a route is taken away", () => expect(routesOf("routes: [{ name: a, remove: true }]").map(({ name }) => name)).toEqual(["b"]));
  it("null takes a key of one route away", () => expect(routesOf("routes: [{ name: a, timeouts: null }]")[0]?.timeouts).toBeUndefined());
  it("what is to be taken away must be there", () => {
    const result = parse([two, "routes: [{ name: z, remove: true }]"]);
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
      "over1.yaml:1:21: routes[0].remove: there is no z below to remove",
    ]);
  });
  it("a route that the overlay names twice is a mistake", () => {
    const result = parse([two, "routes: [{ name: a, accessLog: false }, { name: a, match: { path: /x }, to: users }]"]);
    expect(result.ok ? [] : result.problems.map(formatProblem)).toEqual([
      "over1.yaml:1:49: routes[2].name: the name a is taken by over1.yaml:1; give each route its own",
    ]);
  });
  it("a mistake in what is added stands in the overlay", () => {
    const result = parse([two, "routes: [{ name: b, timeouts: { idle: 2 } }]"]);
    expect(result.ok ? [] : result.problems.map(({ at, path }) => [at.file, path])).toEqual([["over1.yaml", "routes[1].timeouts.idle"]]);
  });

  const targets = BASE.replace("{ url: http://10.0.0.1 }", "{ url: http://a }, { url: http://b, weight: 3 }");
  const targetsOf = (over: string) => good([targets, `upstreams: { users: { targets: ${over} } }`]).config.upstreams[0]?.targets;
  it("one target is changed by its URL, however that is written", () =>
    expect(targetsOf("[{ url: HTTP://a:80/, weight: 0 }]")).toEqual([
      { url: "http://a:80", weight: 0 },
      { url: "http://b:80", weight: 3 },
    ]));
  it("a target is taken away", () => expect(targetsOf("[{ url: http://a, remove: true }]")).toEqual([{ url: "http://b:80", weight: 3 }]));
  it("targets of which one is new replace those below", () =>
    expect(targetsOf("[{ url: http://a }, { url: http://c }]")).toEqual([
      { url: "http://a:80", weight: 1 },
      { url: "http://c:80", weight: 1 },
    ]));

  it("named limits of a route are changed by name, others are replaced", () => {
    const limited = (limits: string) => `routes: [{ name: a, rateLimit: ${limits} }]`;
    const named = "[{ name: x, per: ip, rate: 1/s }, { name: y, per: ip, rate: 2/s }]";
    const sizes = (...over: readonly string[]) => {
      const limits = routesOf(...over.map(limited))[0]?.policies[0]?.config as readonly { rate: { count: number } }[] | undefined; // of rateLimit
      return limits?.map(({ rate }) => rate.count);
    };
    expect(sizes(named, "[{ name: y, rate: 9/s }]")).toEqual([1, 9]);
    expect(sizes("[{ per: ip, rate: 1/s }, { per: ip, rate: 2/s }]", "[{ per: ip, rate: 9/s }]")).toEqual([9]);
  });
  it("lists of what has no name are replaced", () =>
    expect(good([two, "listeners: [{ address: 127.0.0.1:7000 }]"]).config.listeners.map(({ address }) => address)).toEqual([
      "127.0.0.1:7000",
    ]));
});

// What a message tells to do leads to no further error: each remedy is applied as it is told, and the result loads.
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

/** What somebody writes who does what a remedy says. */
function applied(remedy: string, value: string): string {
  if (remedy === "write it in quotes") return JSON.stringify(value);
  if (remedy.endsWith("without quotes")) return value.slice(1, -1);
  if (remedy.startsWith("write it as [a, b]")) return `[${value.replaceAll(/^"|"$/g, "")}]`;
  const told = /`([^`]+)`/.exec(remedy)?.[1];
  if (told === undefined) throw new Error(`nothing to apply in: ${remedy}`);
  return told;
}

/** The place of the mistake stands between two marks. */
const tried = (marked: string, remedy: string) => {
  const [before = "", value = "", after = ""] = marked.split("‸");
  it(`${value} -> ${remedy}`, () => {
    const problems = problemsOf(before + value + after);
    expect(problems).toHaveLength(1);
    const told = problems[0]?.split("; ").at(-1) ?? "";
    expect(told).toBe(remedy);
    expect(problemsOf(before + applied(told, value) + after)).toEqual([]);
  });
};

const tiered = (limit: string) => `tiers: { gold: { ${limit} } }\n${BASE}`;
const routed = (body: string) => withRoutes(`- { name: a, to: users, ${body} }`);
const targets = (list: string) => BASE.replace("[{ url: http://10.0.0.1 }]", list);

describe("values without their unit", () => {
  tried(tiered("rate: ‸5‸"), "write `5/s` if a second is meant");
  tried(tiered('rate: ‸"5"‸'), "write `5/s` if a second is meant");
  tried(tiered("quota: ‸1000‸"), "write `1000/day` if a day is meant");
  tried(routed("rateLimit: [{ per: ip, rate: ‸7‸ }]"), "write `7/s` if a second is meant");
  tried(`${BASE}drainTimeout: ‸30‸`, "write `30s` if seconds are meant");
  tried(BASE.replace("10.0.0.1 }]", "10.0.0.1 }], retry: { budget: ‸20‸ }"), "write `20%`");
});

describe("units as other programs write them", () => {
  tried(`${BASE}drainTimeout: ‸30 s‸`, "write `30s`");
  tried(`${BASE}drainTimeout: ‸5min‸`, "write `5m`");
  tried(`${BASE}drainTimeout: ‸200 millis‸`, "write `200ms`");
  tried(routed("limits: { bodyBytes: ‸10 MB‸ }"), "write `10MiB`");
  tried(routed("limits: { bodyBytes: ‸10m‸ }"), "write `10MiB`");
  tried(routed("limits: { bodyBytes: ‸10mb‸ }"), "write `10MiB`");
  tried(tiered("rate: ‸5 per second‸"), "write `5/second`");
  tried(tiered("rate: ‸5r/s‸"), "write `5/s`");
  tried(tiered("rate: ‸5/1m‸"), "write `5/m`");
  tried(tiered("quota: ‸1000 a day‸"), "write `1000/day`");
});

describe("addresses of listeners", () => {
  const address = (text: string) => BASE.replace("127.0.0.1:0", text);
  const both = "write `127.0.0.1:8080` for this machine only, or `0.0.0.0:8080` for all of its addresses";
  tried(address("‸8080‸"), both);
  tried(address('‸"8080"‸'), both);
  tried(address('‸":8080"‸'), both);
  tried(address("‸127.0.0.1‸"), "add the port: `127.0.0.1:8080`");
  tried(address('‸"::1"‸'), 'write `"[::1]:8080"`');
  tried(BASE.replace("{ address: 127.0.0.1:0 }", "‸127.0.0.1:8080‸"), "write `{ address: 127.0.0.1:8080 }`");
});

describe("a text where a map is wanted", () => {
  tried(targets('[‸"http://10.0.0.1:9001"‸]'), "write `{ url: http://10.0.0.1:9001 }`");
  tried(routed("match: ‸/users‸"), "write `{ path: /users }`");
  tried(routed("redirect: ‸https://a.example/b‸"), "write `{ to: https://a.example/b }`");
  tried(routed("rewrite: ‸/v2‸"), "write `{ path: /v2 }`");
  tried(`${BASE}log: ‸stdout‸`, "write `{ file: stdout }`");
  tried(`${BASE}admin: ‸127.0.0.1:9902‸`, "write `{ address: 127.0.0.1:9902 }`");
  tried(`${BASE}redis: ‸redis://a:6379‸`, "write `{ url: redis://a:6379 }`");
  tried(`${BASE}consumers: [‸acme‸]`, "write `{ id: acme }`");
  tried(routed("compress: ‸true‸"), "write `{}` for its defaults");
});

describe("a text, number or list where something is meant around it", () => {
  tried(BASE.replace("[{ address: 127.0.0.1:0 }]", "‸8080‸"), "write `[{ address: 127.0.0.1:8080 }]`");
  tried(BASE.replace("[{ address: 127.0.0.1:0 }]", "[‸8080‸]"), "write `{ address: 127.0.0.1:8080 }`");
  tried(BASE.replace("{ targets: [{ url: http://10.0.0.1 }] }", "‸http://a:1‸"), "write `{ targets: [{ url: http://a:1 }] }`");
  tried(
    BASE.replace("{ targets: [{ url: http://10.0.0.1 }] }", '‸["http://a:1", "http://b:1"]‸'),
    "write `{ targets: [{ url: http://a:1 }, { url: http://b:1 }] }`",
  );
  tried(targets("‸http://a:1‸"), "write `[{ url: http://a:1 }]`");
  tried(BASE.replace("10.0.0.1 }]", "10.0.0.1 }], retry: ‸3‸"), "write `{ attempts: 3 }`");
  tried(BASE.replace("10.0.0.1 }]", "10.0.0.1 }], timeouts: ‸3s‸"), "write `{ attempt: 3s }`");
  tried(routed("rateLimit: ‸5/s‸"), "write `[{ per: ip, rate: 5/s }]`");
  tried(routed("rateLimit: [‸60/minute‸]"), "write `{ per: ip, rate: 60/minute }`");
  tried(routed('cors: ‸"*"‸'), 'write `{ origins: ["*"] }`');
  tried(withRoutes("- { name: a, respond: ‸204‸ }"), "write `{ status: 204 }`");
  tried(withRoutes("- { name: a, weighted: ‸{ users: 90 }‸ }"), "write `[{ upstream: users, weight: 90 }]`");
  tried(routed("match: { path: ‸users‸ }"), "did you mean `/users`?");
});

describe("collections of the other kind", () => {
  const told = (text: string, remedy: string, fixed: string) =>
    it(remedy, () => {
      expect(problemsOf(text).map((problem) => problem.split("; ").at(-1))).toEqual([remedy]);
      expect(problemsOf(fixed)).toEqual([]);
    });
  told(BASE.replace("[{ address: 127.0.0.1:0 }]", "{ address: 127.0.0.1:0 }"), "make it a list: begin it with `- `", BASE);
  told(
    BASE.replace("  users: { targets: [{ url: http://10.0.0.1 }] }", "  - { name: users, targets: [{ url: http://10.0.0.1 }] }"),
    "write each as `NAME: ...` without `- `, its name in front",
    BASE,
  );
  told(
    withRoutes("  a: { to: users }"),
    "make it a list: write each as `- name: NAME` and its keys below",
    withRoutes("  - name: a\n    to: users"),
  );
});

describe("keys that stand elsewhere", () => {
  const told = (text: string, remedy: string) =>
    it(remedy, () => expect(problemsOf(text).map((problem) => problem.slice(problem.indexOf("; ") + 2))).toContain(remedy));
  told(routed("path: /a"), "it stands under `match`: `match: { path: ... }`");
  told(routed("retry: { attempts: 3 }"), "it stands under `upstreams.NAME`");
  told(routed("headers: { set: { a: b } }"), "it stands under `request` or `response`: `request: { set: ... }`");
  told(BASE.replace("targets: [{ url: http://10.0.0.1 }]", "url: http://10.0.0.1"), "write `targets: [{ url: ... }]`");
  told(BASE.replace("address: 127.0.0.1:0", "port: 8080"), "write `address: HOST:PORT`");
  told(BASE.replace("127.0.0.1:0", "127.0.0.1:0, tls: { cert: a, key: b }"), "write `certificates: [{ cert: ..., key: ... }]`");
});

describe("other kinds", () => {
  tried(BASE.replace("127.0.0.1:0 }", "127.0.0.1:0, strict: ‸yes‸ }"), "write `true`");
  tried(BASE.replace("127.0.0.1:0 }", '127.0.0.1:0, strict: ‸"false"‸ }'), "write `false`, without quotes");
  tried(routed("accessLog: ‸off‸"), "write `false`");
  tried(`${BASE}limits: { connections: ‸"100"‸ }`, "write it without quotes");
  tried(routed("match: { headers: { x-a: ‸2‸ } }"), "write it in quotes");
  tried(routed("match: { methods: ‸GET‸ }"), "write it as [a, b] or as lines that start with `-`");
  tried(routed('match: { methods: ‸"GET, POST"‸ }'), "write it as [a, b] or as lines that start with `-`");
  tried(`${BASE}trustedProxies: ‸10.0.0.0/8‸`, "write it as [a, b] or as lines that start with `-`");
  tried(BASE.replace("url: http://10.0.0.1 }]", "url: http://10.0.0.1 }], balance: ‸roundrobin‸"), "did you mean `round-robin`?");
  tried(`${BASE}‸limts‸: {}`, "did you mean `limits`?");
});

describe("what is told about a value of the wrong kind is what is wrong with it", () => {
  const says = (text: string, ...messages: string[]) => it(text, () => expect(problemsOf(text)).toEqual(messages));
  says(
    routed("rewrite: { stripPrefix: true }"),
    "c.yaml:6:49: routes[0].rewrite.stripPrefix: expected a path such as /v2, without query, empty or encoded segments",
  );
  says(
    routed("match: { hosts: [1.5] }"),
    "c.yaml:6:42: routes[0].match.hosts[0]: expected a host name without port, such as api.example.com or *.example.com; names are exact, or have `*.` in front; there are no expressions: write each",
  );
});

describe("a tier without tiers", () => {
  const limit = (body: string) =>
    routed(`auth: keys, rateLimit: [{ per: consumer, ${body} }]`).replace(
      "routes:",
      "auth: { keys: { apiKey: { name: x-key } } }\nroutes:",
    );
  it("beside a rate: `tier: true` can be removed", () => {
    expect(problemsOf(limit("tier: true, rate: 1/s"))[0]).toMatch(/there are no tiers; add `tiers`, or remove `tier: true`$/);
    expect(problemsOf(limit("rate: 1/s"))).toEqual([]);
  });
  it("alone: a rate can be written instead", () => {
    expect(problemsOf(limit("tier: true"))[0]).toMatch(/there are no tiers; add `tiers`, or write a `rate` instead of `tier: true`$/);
    expect(problemsOf(limit("rate: 1/s"))).toEqual([]);
  });
  it("tiers can be added", () => expect(problemsOf(`${limit("tier: true, rate: 1/s")}\ntiers: { gold: { rate: 5/s } }`)).toEqual([]));
});

describe("a body limit of 0", () => {
  const told =
    "0 would refuse every request with a body; for a route without bodies write `match: { methods: [GET] }`; for bodies of any size write `none`";
  it("of the instance", () => expect(problemsOf(`${BASE}limits: { bodyBytes: 0 }`)).toEqual([`c.yaml:6:22: limits.bodyBytes: ${told}`]));
  it("of a route", () =>
    expect(problemsOf(routed("limits: { bodyBytes: 0B }"))).toEqual([`c.yaml:6:46: routes[0].limits.bodyBytes: ${told}`]));
  it("methods without bodies can be matched instead", () => expect(problemsOf(routed("match: { methods: [GET] }"))).toEqual([]));
});

describe("parameters as other programs write them are warned about", () => {
  const warnings = (body: string) => good([routed(body)]).warnings.map((problem) => formatProblem(problem).replace(/^\S+ /, ""));
  it(":id", () =>
    expect(warnings("match: { path: /users/:id }")).toEqual([
      "routes[0].match.path: `:id` is no parameter here: it matches only itself; did you mean `/users/{id}`?",
    ]));
  it("<id>", () =>
    expect(warnings("match: { path: '/users/<id>' }")).toEqual([
      "routes[0].match.path: `<id>` is no parameter here: it matches only itself; did you mean `/users/{id}`?",
    ]));
  it(":id in a rewrite of a route that has the parameter", () =>
    expect(warnings("match: { path: '/users/{id}' }, rewrite: { path: /v2/users/:id }")).toEqual([
      "routes[0].rewrite.path: the parameter id is not used: this stands as it is written; did you mean `/v2/users/{id}`?",
    ]));
  it("not a colon within a segment", () => expect(warnings("match: { path: '/users/me:activate' }")).toEqual([]));
});

describe("names of periods", () => {
  for (const name of [
    "s",
    "sec",
    "second",
    "m",
    "min",
    "minute",
    "h",
    "hour",
    "d",
    "day",
    "week",
    "month",
    "seconds",
    "minutes",
    "hours",
    "days",
    "weeks",
    "months",
  ])
    it(`5/${name} is a rate and a quota`, () => expect(problemsOf(tiered(`rate: 5/${name}, quota: 500/${name}`))).toEqual([]));
});

it("a route without match is for everything", () => {
  const { config } = good([withRoutes("- { name: a, to: users }")]);
  expect(config.routes[0]?.match).toEqual({
    hosts: [],
    paths: ["/**"],
    listeners: [],
    scheme: null,
    methods: [],
    headers: [],
    query: [],
    client: null,
    versions: [],
  });
});

it("names of targets may have underscores", () =>
  expect(good([targets("[{ url: http://my_api:9001 }, { url: http+srv://_http._tcp.my_api }]")]).config.upstreams[0]?.targets[0]?.url).toBe(
    "http://my_api:9001",
  ));
it("a target that is no name says so", () =>
  expect(problemsOf(targets('[{ url: "http://a..b:80" }]'))).toEqual([
    'c.yaml:4:29: upstreams.users.targets[0].url: "a..b:80" is neither a host name nor an IP address, with or without a port from 1 to 65535',
  ]));

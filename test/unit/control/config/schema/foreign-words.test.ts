// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a subject is ${VAR} in configuration files
// Whoever writes another gateway's word for a key is told ours; and what is told is a key that stands there.
import { describe, expect, it } from "vitest";
import schema from "../../../../../config/sluice.schema.json" with { type: "json" };
import { FOREIGN_WORDS } from "../../../../../src/control/config/schema/foreign-words.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { good, problemsOf } from "../../../../support/config-text.ts";
import { dottedKeysIn, isKeyPath, keyPairs } from "../../../../support/configuration-keys.ts";

const pairs = keyPairs(schema);

/** Place -> the rest of a configuration with a key there; HERE is where it stands. */
const ROUTE = (route: string): string => `upstreams: { u: { targets: [{ url: http://10.0.0.1 }] } }\nroutes: [{ name: a, ${route} }]`;
const UPSTREAM = (upstream: string): string =>
  `upstreams: { u: { targets: [{ url: https://10.0.0.1 }], ${upstream} } }\nroutes: [{ name: a, match: {}, to: u }]`;
const AUTH = (auth: string): string => `auth: { a: { ${auth} } }\n${ROUTE("match: {}, auth: a, to: u")}`;
const PLACES: Readonly<Record<string, string>> = {
  "": `HERE\n${ROUTE("match: {}, to: u")}`,
  "listeners.*": ROUTE("match: {}, to: u"),
  "routes.*": ROUTE("match: {}, to: u, HERE"),
  "routes.*.match": ROUTE("match: { HERE }, to: u"),
  "routes.*.rewrite": ROUTE("match: {}, to: u, rewrite: { HERE }"),
  "routes.*.cors": ROUTE("match: {}, to: u, cors: { HERE }"),
  "routes.*.rateLimit.*": ROUTE("match: {}, to: u, rateLimit: [{ HERE }]"),
  "routes.*.redirect": ROUTE("match: {}, redirect: { HERE }"),
  "routes.*.respond": ROUTE("match: {}, respond: { HERE }"),
  "routes.*.ip": ROUTE("match: {}, to: u, ip: { HERE }"),
  "upstreams.*": UPSTREAM("HERE"),
  "upstreams.*.timeouts": UPSTREAM("timeouts: { HERE }"),
  "upstreams.*.health": UPSTREAM("health: { HERE }"),
  "upstreams.*.tls": UPSTREAM("tls: { HERE }"),
  "auth.*.apiKey": AUTH("apiKey: { HERE }"),
  "auth.*.basic": AUTH("basic: { HERE }"),
  "auth.*.jwt": AUTH("jwt: { HERE }"),
  "consumers.*": `consumers: [{ HERE }]\n${ROUTE("match: {}, to: u")}`,
};

const told = (place: string, key: string): readonly string[] => {
  const listener = place === "listeners.*" ? `{ address: "127.0.0.1:1", ${key}: x }` : '{ address: "127.0.0.1:1" }';
  return problemsOf(`version: 1\nlisteners: [${listener}]\n${(PLACES[place] ?? "").replace("HERE", `${key}: x`)}`);
};

/** Keys in the remedy's code that begin a line of configuration: `write `methods: [...]``. */
const codes = (remedy: string): readonly string[] => [...remedy.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "");

describe("other gateways' words for keys", () => {
  it.each(Object.keys(FOREIGN_WORDS))("at %j are answered with ours", (place) => {
    for (const [key, remedy] of Object.entries(FOREIGN_WORDS[place] ?? {})) {
      const problems = told(place, key).filter((problem) => problem.includes("unknown key"));
      expect([key, problems.map((problem) => problem.slice(problem.indexOf("; ") + 2))]).toEqual([key, [remedy]]);
    }
  });

  it.each(Object.keys(FOREIGN_WORDS))("at %j lead to keys that stand there", (place) => {
    const owner = place.split(".").findLast((part) => part !== "*") ?? "";
    for (const remedy of Object.values(FOREIGN_WORDS[place] ?? {})) {
      for (const code of remedy.startsWith("write ") ? codes(remedy) : []) {
        const key = /^(\w+):/.exec(code)?.[1];
        if (key !== undefined) expect([remedy, pairs.has(`${owner}.${key}`)]).toEqual([remedy, true]);
      }
      expect(dottedKeysIn(remedy, pairs).filter((name) => !isKeyPath(pairs, name))).toEqual([]);
    }
  });

  it("hold under defaults, sets and the defaults of upstreams too", () => {
    const config = (rest: string): string => `version: 1\nlisteners: [{ address: "127.0.0.1:1" }]\n${rest}\n${ROUTE("match: {}, to: u")}`;
    expect(problemsOf(config("defaults: { strip_path: true }"))[0]).toMatch(/unknown key; write `rewrite: \{ stripPrefix: \.\.\. \}`$/);
    expect(problemsOf(config("policySets: { s: { cors: { allow_origins: x } } }")).join("\n")).toMatch(
      /unknown key; write `origins: \[\.\.\.\]`/,
    );
    expect(problemsOf(config("upstreamDefaults: { retries: 5 }"))[0]).toMatch(/unknown key; write `retry: \{ attempts: \.\.\. \}`$/);
  });
});

describe("other gateways' ways to write values", () => {
  const route = (rest: string): readonly string[] =>
    problemsOf(`version: 1\nlisteners: [{ address: "127.0.0.1:1" }]\n${ROUTE(`${rest}, to: u`)}`).map((problem) =>
      problem.replace(/^\S+ \S+ /, ""),
    );
  const upstream = (rest: string): readonly string[] =>
    problemsOf(`version: 1\nlisteners: [{ address: "127.0.0.1:1" }]\n${UPSTREAM(rest)}`).map((problem) => problem.replace(/^.*; /, ""));
  const HOST = "expected a host name without port, such as api.example.com or *.example.com; ";
  const EXPRESSION = "an expression stands for one segment, or a part of one: `/users/{id:[0-9]+}`";

  it.each([
    ["*", "for any host leave `hosts` out"],
    [".example.com", "did you mean `*.example.com`?"],
    ["api.example.com:8080", "did you mean `api.example.com`?"],
    ["https://api.example.com/", "did you mean `api.example.com`?"],
    ["www.example.*", "names are exact, or have `*.` in front; there are no expressions: write each"],
    ["~^(www|api)[.]example$", "names are exact, or have `*.` in front; there are no expressions: write each"],
  ])("the host %s: %s", (host, remedy) => {
    expect(route(`match: { hosts: ["${host}"] }`)).toEqual([HOST + remedy]);
  });

  it.each([
    ["~/users/\\d+$", EXPRESSION],
    ["~* ^/users/(.*)$", EXPRESSION],
    ["^/users/.*", EXPRESSION],
    ["= /login", "did you mean `/login`?"],
    ["^~ /static", "did you mean `/static`?"],
    ["/api*", "did you mean `/api/**`?"],
    ["users", "did you mean `/users`?"],
  ])("the path %s: %s", (path, remedy) => {
    expect(route(`match: { path: '${path}' }`)[0]?.endsWith(`; ${remedy}`)).toBe(true);
  });

  it("paths beside the match", () => {
    expect(route("paths: [/a]")).toEqual([
      "expected a map, got a list; the paths of a route stand under `match`: `match: { paths: [...] }`",
    ]);
  });

  it.each([
    ["60000", "write `60000ms` if milliseconds are meant"],
    ["60", "write `60s` if seconds are meant"],
    ["1m30s", "write `90s`"],
    ["1h0m1s500ms", "write `3601500ms`"],
  ])("the duration %s: %s", (duration, remedy) => {
    expect(upstream(`timeouts: { attempt: ${duration} }`)).toEqual([remedy]);
  });

  it.each([
    ["ip_hash", "write `balance: hash` and `hashOn: ip`"],
    ["leastconn", "write `balance: least-request`"],
    ["chash", "write `balance: hash` and say `hashOn`"],
  ])("the balance %s: %s", (balance, remedy) => {
    expect(upstream(`balance: ${balance}`)).toEqual([remedy]);
  });

  const warnings = (rest: string): readonly string[] => {
    const result = good([`version: 1\nlisteners: [{ address: "127.0.0.1:1" }]\n${ROUTE(`${rest}, to: u`)}`]);
    return result.warnings.map((problem) => formatProblem(problem).replace(/^\S+ /, ""));
  };

  it.each([
    ["$remote_addr", "{client.ip}"],
    ["$host", "{host}"],
    ["$http_x_tenant", "{header.x-tenant}"],
    ["$arg_page", "{query.page}"],
    ["$(headers.apikey)", "{header.apikey}"],
    ["%[src]", "{client.ip}"],
    ["%[req.hdr(X-Tenant)]", "{header.x-tenant}"],
    ["%REQ(X-TENANT)%", "{header.x-tenant}"],
    ["%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "{client.ip}"],
  ])("the variable %s in a template is a text, and the warning names %s", (theirs, ours) => {
    expect(warnings(`match: {}, headers: { request: { set: { x-a: "by ${theirs}" } } }`)).toEqual([
      `routes[0].headers.request.set.x-a: \`${theirs}\` is no variable here: it stands as it is written; did you mean \`${ours}\`?`,
    ]);
  });

  it("what only looks like one is left alone", () => {
    expect(warnings('match: {}, headers: { request: { set: { x-a: "$5, 100%, $x_y and %[x]" } } }')).toEqual([]);
    expect(warnings('match: { path: /a/** }, rewrite: { regex: "^/a/(.*)$", to: "/b/$1" }')).toEqual([]);
  });

  it("a path that ends in a slash matches itself alone, which a warning says unless something stands below or beside it", () => {
    const told = "routes[0].match.path: `/api/` matches that path alone, not what is below it; did you mean `/api/**`?";
    expect(warnings("match: { path: /api/ }")).toEqual([told]);
    expect(warnings("match: { paths: [/api, /api/] }")).toEqual([]);
    expect(warnings("match: { paths: [/api/, '/api/{id}'] }")).toEqual([]);
    expect(warnings("match: { paths: [/api/, /api/v1/**] }")).toEqual([]);
    expect(warnings("match: { path: / }")).toEqual([]);
  });

  it("a redirect to https that leads nowhere for https is told of the listener's", () => {
    expect(problemsOf(`version: 1\nlisteners: [{ address: "127.0.0.1:1" }]\n${ROUTE("match: {}, redirect: { https: true }")}`)[0]).toMatch(
      /the route leads nowhere; `redirect: \{ https: true \}` is for plain HTTP alone: add `to` for https, or have a listener redirect all by `redirectToHttps`$/,
    );
  });

  it("what the environment gave is not guessed at", () => {
    const text = `version: 1\nlisteners: [{ address: "127.0.0.1:1" }]\n${ROUTE('match: { hosts: ["${HOST}"], path: "${PATH_}" }, to: u')}`;
    const problems = problemsOf(text, { HOST: "hidden.example:443", PATH_: "= /hidden" });
    expect(problems).toHaveLength(2);
    expect(problems.join("\n")).not.toContain("hidden");
  });
});

// The named ways out: each is refused without its name, let in and warned of with it, shown by `routes`, and described in the docs as the table has it.
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { PLACES, WAY_OUT_NAMES, WAYS_OUT, type WayOut } from "../../../../../src/base/ways-out.ts";
import { routeTable } from "../../../../../src/cli/commands/routes.ts";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";
const SECRET = "secret: a secret of at least thirty-two bytes, algorithms: [HS256]";

/** What needs each, with a place for `insecure`; where it stands; and what is said without: null where it is not refused but held back. */
interface Needed {
  readonly text: (insecure: string) => string;
  readonly at: string;
  readonly refused: string | null;
}

const AUTHENTICATED =
  "- { name: all, match: {}, to: users, auth: { optional: who } }\n- { name: open, match: { path: /open }, to: users, auth: none }\n";
const configuration = (kind: string): string => `${withRoutes(AUTHENTICATED)}auth: { who: { ${kind} } }\n`;
const authenticator = (place: "jwt" | "basic" | "introspection", kind: (insecure: string) => string, refused: string): Needed => ({
  text: (insecure) => configuration(`${place}: { ${kind(insecure)} }`),
  at: `auth.who.${place}`,
  refused,
});

const ROUTES = "- { name: all, match: {}, to: users }\n- { name: open, match: { path: /open }, respond: { status: 204 } }\n";
const upstream = (): Needed => ({
  text: (insecure) => withRoutes(ROUTES).replace(/users: \{.*\}\n/, `users: { targets: [{ url: "https://10.0.0.1" }]${insecure} }\n`),
  at: "upstreams.users",
  refused: null,
});

const NEEDED: Readonly<Record<WayOut, Needed>> = {
  "any-issuer": authenticator(
    "jwt",
    (insecure) => `issuer: any, audience: api, ${SECRET}${insecure}`,
    "to take any, add `insecure: [any-issuer]`",
  ),
  "any-tenant": authenticator(
    "jwt",
    (insecure) =>
      `issuer: "https://id.example/{tid}", audience: api, jwks: "https://id.example/keys", algorithms: [RS256], consumerPrefix: "c:{tid}:"${insecure}`,
    "list your tenants, or write `insecure: [any-tenant]`",
  ),
  "http-jwks": authenticator(
    "jwt",
    (insecure) => `issuer: x, audience: api, jwks: "http://id.internal/keys", algorithms: [RS256]${insecure}`,
    "in a network that you trust, add `insecure: [http-jwks]`",
  ),
  "http-introspection": authenticator(
    "introspection",
    (insecure) => `endpoint: "http://id.internal/introspect", clientId: a, clientSecret: b${insecure}`,
    "in a network that you trust, add `insecure: [http-introspection]`",
  ),
  "weak-hashes": authenticator(
    "basic",
    (insecure) => `htpasswd: "ann:${APR1}"${insecure}`,
    "`insecure: [weak-hashes]` lets apr1 and {SHA} in",
  ),
  "tls-unverified": upstream(),
  "old-tls": upstream(),
  "method-override": {
    text: (insecure) => withRoutes(ROUTES.replace("to: users", `to: users${insecure}`)),
    at: "routes[0]",
    refused: null,
  },
};

const tableOf = (text: string): readonly string[] =>
  routeTable(compilePlan(good([text]).config, { version: 1, metricSlot: () => 0 }))
    .trimEnd()
    .split("\n");

const warningsOf = (text: string) => good([text]).warnings.map(({ path, message, remedy }) => [path, message, remedy]);
const warningAt = (at: string, name: WayOut) => [at, `${name}: ${WAYS_OUT[name].warning}`, WAYS_OUT[name].remedy];

describe.each(WAY_OUT_NAMES)("%s", (name) => {
  const { text, at, refused } = NEEDED[name];
  const opened = text(`, insecure: [${name}]`);

  it("is needed for what it opens, and the refusal names it", () => {
    if (refused === null) expect(warningsOf(text(""))).toEqual([]);
    else expect(problemsOf(text(""))).toEqual([expect.stringContaining(refused)]);
  });

  it("opens it, with its warning where it stands", () => expect(warningsOf(opened)).toEqual([warningAt(`${at}.insecure[0]`, name)]));

  it("stands in the plan, and beside the routes that it concerns", () => {
    const [head, ...rows] = tableOf(opened);
    expect(head).toMatch(/POLICIES +INSECURE$/);
    expect(rows.map((row) => [row.split(/ +/)[1], row.split(/ +/).at(-1)])).toEqual([
      ["open", "-"],
      ["all", name],
    ]);
  });
});

describe("what the names of upstreams open", () => {
  const tlsOf = (more: string) =>
    good([upstream().text(`, ${more}`)]).config.upstreams.map(({ tls, insecure }) => [tls?.verify, tls?.rules?.minVersion, insecure])[0];
  it.each([
    ["insecure: [tls-unverified]", [false, undefined, ["tls-unverified"]]],
    ["tls: { insecureSkipVerify: true }", [false, undefined, ["tls-unverified"]]],
    ["tls: { insecureSkipVerify: true }, insecure: [old-tls]", [false, "TLSv1", ["old-tls", "tls-unverified"]]],
    ["tls: { maxVersion: TLSv1.2 }, insecure: [old-tls]", [true, "TLSv1", ["old-tls"]]],
    ["tls: { minVersion: TLSv1.2 }, insecure: [old-tls]", [true, "TLSv1.2", ["old-tls"]]],
    ["tls: { minVersion: TLSv1.3 }, insecure: [tls-unverified]", [false, "TLSv1.3", ["tls-unverified"]]],
  ])("%s", (more, expected) => expect(tlsOf(more)).toEqual(expected));

  it("the former key is told as the name is", () =>
    expect(warningsOf(upstream().text(", tls: { insecureSkipVerify: true }"))).toEqual([
      warningAt("upstreams.users.tls.insecureSkipVerify", "tls-unverified"),
    ]));

  check(
    "the former key says the contrary",
    upstream().text(", tls: { insecureSkipVerify: ‸false }, insecure: [tls-unverified]"),
    "upstreams.users.tls.insecureSkipVerify: says the contrary of `insecure: [tls-unverified]`; remove one of them",
  );
  check(
    "no target uses https",
    upstream().text(", insecure: ‸[tls-unverified]").replace("https", "http"),
    "upstreams.users.insecure: tls-unverified: opens nothing, as no target uses https; remove it",
  );
  check(
    "only TLS 1.3 is spoken",
    upstream().text(", tls: { minVersion: TLSv1.3 }, insecure: ‸[old-tls]"),
    "upstreams.users.insecure: old-tls opens nothing: only TLSv1.3 is spoken; remove it, or `tls.minVersion`",
  );

  it("as defaults they reach the upstreams that use https, and are told once", () => {
    const text = `${upstream().text("").replace("users: {", 'others: { targets: [{ url: "https://10.0.0.2" }] }\n  plain: { targets: [{ url: "http://10.0.0.3" }] }\n  users: {')}
- { name: b, match: { path: /b }, to: others }
- { name: c, match: { path: /c }, to: plain }
upstreamDefaults: { insecure: [tls-unverified] }
`;
    expect(warningsOf(text)).toEqual([warningAt("upstreamDefaults.insecure[0]", "tls-unverified")]);
    expect(good([text]).config.upstreams.map(({ name, tls }) => [name, tls?.verify])).toEqual([
      ["others", false],
      ["plain", undefined],
      ["users", false],
    ]);
  });
});

describe("method-override", () => {
  const kept = (text: string) =>
    compilePlan(good([text]).config, { version: 1, metricSlot: () => 0 }).routes.map(({ name, settings }) => [
      name,
      settings.keepMethodOverride,
    ]);
  const routes = (more: string, own = ""): string => `${withRoutes(ROUTES.replace("to: users", `to: users${own}`))}${more}\n`;
  it.each([
    ["by name", routes("", ", insecure: [method-override]"), true],
    ["by the former key", routes("", ", methodOverride: keep"), true],
    ["by the defaults", routes("defaults: { insecure: [method-override] }"), true],
    ["by a set", routes("policySets: { old: { insecure: [method-override] } }", ", use: [old]"), true],
    ["not where the route says the contrary", routes("defaults: { insecure: [method-override] }", ", methodOverride: remove"), false],
    ["not by itself", routes(""), false],
  ])("lets the headers up: %s", (_, text, expected) => expect(Object.fromEntries(kept(text))["all"]).toBe(expected));

  it("is told once as a default, whatever routes have it", () =>
    expect(
      warningsOf(
        `${routes("defaults: { insecure: [method-override] }").replace("- { name: open", "- { name: b, match: { path: /b }, to: users }\n- { name: open")}`,
      ),
    ).toEqual([warningAt("defaults.insecure[0]", "method-override")]));

  it("opens nothing where nothing goes upstream, and that is told", () =>
    expect(warningsOf(withRoutes(ROUTES.replace("respond:", "insecure: [method-override], respond:")))).toEqual([
      ["routes[1].insecure", "method-override: opens nothing, as nothing goes upstream", "remove it"],
    ]));
});

describe("of Redis", () => {
  const redis = (more: string) => `${withRoutes(ROUTES)}redis: { url: "redis://:secret@10.0.0.7", ${more} }\n`;
  it("tls-unverified is told, and so is its former key", () => {
    const warned = warningAt("redis.insecure[0]", "tls-unverified");
    expect(warningsOf(redis("tls: true, insecure: [tls-unverified]"))).toEqual([warned]);
    expect(good([redis("tls: true, insecure: [tls-unverified]")]).config.redis?.tls?.verify).toBe(false);
    expect(warningsOf(redis("tls: { insecureSkipVerify: true }"))).toEqual([["redis.tls.insecureSkipVerify", ...warned.slice(1)]]);
  });
  check(
    "without TLS",
    redis("insecure: ‸[tls-unverified]"),
    "redis.insecure: tls-unverified opens nothing: Redis is reached without TLS; remove it, or write `tls: true`",
  );
});

describe("http-introspection", () => {
  const by = (more: string) => configuration(`introspection: { clientId: a, clientSecret: b, ${more} }`);
  it("lets an upstream be asked in the clear, or unverified", () => {
    expect(warningsOf(by("to: users, insecure: [http-introspection]"))).toEqual([
      warningAt("auth.who.introspection.insecure[0]", "http-introspection"),
    ]);
  });
  check(
    "that nobody needs: https",
    by("endpoint: https://id.example.com/, insecure: ‸[http-introspection]"),
    "auth.who.introspection.insecure: http-introspection opens nothing: the endpoint is asked by https, or is on this machine; remove it",
  );
  check(
    "that nobody needs: an upstream on this machine",
    by("to: users, insecure: ‸[http-introspection]").replace(/http:\/\/10[\d.]+/, "http://127.0.0.1"),
    "auth.who.introspection.insecure: http-introspection opens nothing: users has verified or local targets only; remove it",
  );
});

it("`routes` has no column for them where there are none", () =>
  expect(tableOf(configuration("apiKey: { name: x-key }"))[0]).not.toContain("INSECURE"));

describe("in a wrong place", () => {
  const jwt = (more: string) => configuration(`jwt: { issuer: x, audience: api, ${SECRET} }, ${more}`);
  check(
    "beside the kind",
    jwt("‸insecure: [any-issuer]"),
    "auth.who.insecure: unknown key; it stands under the kind, as in `auth.NAME.jwt.insecure`",
  );
  check(
    "on a route",
    withRoutes("- { name: a, match: {}, to: users, insecure: [‸http-jwks] }\n"),
    "routes[0].insecure[0]: `http-jwks` opens nothing here: it belongs under auth.NAME.jwt",
  );
  check(
    "on an upstream",
    `${withRoutes("- { name: a, match: {}, to: users }\n").replace("users: {", "users: { insecure: [‸method-override],")}`,
    "upstreams.users.insecure[0]: `method-override` opens nothing here: it belongs under routes[]",
  );
  check(
    "on a route, and nearly",
    withRoutes("- { name: a, match: {}, to: users, insecure: [‸method-overrides] }\n"),
    "routes[0].insecure[0]: expected method-override; did you mean `method-override`?",
  );
});

it("the table in the docs is the one that the code has", () => {
  const page = fs.readFileSync(path.join(import.meta.dirname, "../../../../../docs/ways-out.md"), "utf8");
  const section = page.split("\n## By name\n")[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => /^\| `/.test(line));
  expect(rows).toEqual(
    WAY_OUT_NAMES.map(
      (name) =>
        `| \`${name}\` | ${WAYS_OUT[name].places.map((place) => `\`${PLACES[place]}\``).join(", ")} | ${WAYS_OUT[name].opens} | ${WAYS_OUT[name].warning} | ${WAYS_OUT[name].remedy} |`,
    ),
  );
});

// What routes demand of callers and services are told of them must be something that a caller can have: an error where nothing can, a warning where a
// name looks like a slip.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { check, parse, problemsOf, unmark, withRoutes } from "../../../../support/config-text.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-grants-"));
afterAll(() => rmSync(folder, { recursive: true }));

const HASH = `sha256:${"0".repeat(64)}`;
const INTROSPECTION = 'endpoint: "http://127.0.0.1/", clientId: a, clientSecret: b';
const AUTH = `auth:
  keys: { apiKey: { name: x-key } }
  basic: { basic: {} }
  tokens: { introspection: { ${INTROSPECTION} } }
  rich: { introspection: { ${INTROSPECTION}, claims: { roles: r, groups: g, tier: t } } }
  known: { introspection: { ${INTROSPECTION}, onlyKnownConsumers: true } }
tiers: { gold: {}, iron: {} }
`;
const CONSUMERS = `consumers:
  - { id: acme, keys: ["${HASH}"], scopes: [orders], roles: [Partner], groups: [eu], tier: gold }
  - { id: pat, password: "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", roles: [staff] }
  - { id: nobody }
`;
/** Line 6 is the route. */
const route = (auth: string, authorize: string, more = CONSUMERS): string =>
  withRoutes(`- { name: a, match: {}, to: users, auth: ${auth}, authorize: ${authorize} }\n${AUTH}${more}`);

const warned = (name: string, marked: string, ...expected: string[]) =>
  it(name, () => {
    const { text, places } = unmark(marked);
    const result = parse([text]);
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
    const warnings = result.warnings.map(formatProblem).filter((line) => line.includes("authorize") || line.includes("identity"));
    expect(warnings).toEqual(expected.map((message, i) => `${places[i]}${message}`));
  });

const never = (what: string, key: string, claim = key): string =>
  `nothing gives a caller of this route ${what}, so nobody could ever use it; set \`claims.${claim}\` under an authenticator of the route, or give consumers ${what}`;

describe("a demand that nothing can fill is refused", () => {
  const NONE = "consumers: [{ id: nobody }]\n";
  check(
    "roles without a claim",
    route("tokens", "{ roles: ‸{ any: [admin] } }", NONE),
    `routes[0].authorize.roles: ${never("roles", "roles")}`,
  );
  check("groups by key", route("keys", "{ groups: ‸{ all: [eu] } }", NONE), `routes[0].authorize.groups: ${never("groups", "groups")}`);
  check("scopes by key", route("keys", "{ scopes: ‸{ any: [orders] } }", NONE), `routes[0].authorize.scopes: ${never("scopes", "scopes")}`);
  check("tiers by key", route("keys", "{ tiers: ‸[gold] }", NONE), `routes[0].authorize.tiers: ${never("a tier", "tiers", "tier")}`);
  check(
    "groups of consumers whose credentials the route does not take",
    route("basic", "{ groups: ‸{ any: [eu] } }"),
    `routes[0].authorize.groups: ${never("groups", "groups")}`,
  );
  check(
    "claims by key",
    route("{ any: [keys, basic] }", "{ claims: ‸{ tenant: t } }"),
    "routes[0].authorize.claims: no credential of the route a has claims, so nobody could ever use it; claims come with jwt, introspection and mtls",
  );
});

describe("a demand that something can fill passes", () => {
  warned("roles of a claim", route("rich", "{ roles: { any: [whatever] }, groups: { any: [x] }, tiers: [iron], claims: { a: 1 } }"));
  warned("scopes of a token", route("tokens", "{ scopes: { any: [whatever] } }"));
  warned("one of several authenticators", route("{ any: [keys, rich] }", "{ roles: { any: [whatever] } }"));
  warned(
    "what a consumer has",
    route("keys", "{ scopes: { all: [orders] }, roles: { all: [Partner] }, groups: { any: [eu] }, tiers: [gold] }"),
  );
  warned("consumers with such a credential", route("keys", "{ consumers: [acme] }"));
  warned("any consumer where tokens name them", route("tokens", "{ consumers: [whoever] }"));
});

describe("a name that nobody has is worth a warning", () => {
  warned(
    "a role",
    route("keys", "{ roles: { any: [‸partner] } }"),
    "routes[0].authorize.roles.any[0]: no caller of this route has partner; did you mean `Partner`?",
  );
  warned(
    "a role of those who come another way",
    route("keys", "{ roles: { all: [Partner, ‸staff] } }"),
    "routes[0].authorize.roles.all[1]: no caller of this route has staff; roles: Partner",
  );
  warned(
    "a tier",
    route("keys", "{ tiers: [gold, ‸iron] }"),
    "routes[0].authorize.tiers[1]: no caller of this route has iron; tiers: gold",
  );
  warned(
    "a consumer",
    route("keys", "{ consumers: [acme, ‸acne] }"),
    "routes[0].authorize.consumers[1]: no consumer acne has a credential that this route takes; did you mean `acme`?",
  );
  warned(
    "a consumer without such a credential",
    route("keys", "{ consumers: [‸pat, ‸nobody] }"),
    "routes[0].authorize.consumers[0]: no consumer pat has a credential that this route takes; give it such a credential, or name another",
    "routes[0].authorize.consumers[1]: no consumer nobody has a credential that this route takes; give it such a credential, or name another",
  );
  warned(
    "a consumer where only known ones may",
    route("{ any: [keys, known] }", "{ consumers: [nobody, ‸whoever] }"),
    "routes[0].authorize.consumers[1]: no consumer whoever has a credential that this route takes; consumers: acme, pat, nobody",
  );
});

describe("consumers from elsewhere", () => {
  warned(
    "in a directory may go: a warning, so that withdrawing the last one is not refused",
    route("keys", "{ roles: ‸{ any: [admin] } }", `consumersFrom: { directory: "${folder}" }\n`),
    `routes[0].authorize.roles: ${never("roles", "roles")}`,
  );
  warned(
    "in Redis nobody knows here",
    route("keys", "{ roles: { any: [admin] }, consumers: [acne] }", "redis: { url: redis://127.0.0.1 }\nconsumersFrom: { redis: true }\n"),
  );
});

describe("headers of identity that nothing fills", () => {
  const text = (identity: string, auth = "tokens", consumers = "") =>
    withRoutes(
      `- { name: a, match: {}, to: users, auth: ${auth} }\nauth: { ${auth}: ${AUTHS[auth]} }\n${consumers}identity: ${identity}\n`,
    );
  const AUTHS: Readonly<Record<string, string>> = {
    keys: "{ apiKey: { name: x-key } }",
    tokens: `{ introspection: { ${INTROSPECTION} } }`,
    rich: `{ introspection: { ${INTROSPECTION}, claims: { roles: r } } }`,
  };
  check(
    "roles",
    text("{ headers: { roles: ‸x-roles } }"),
    "identity.headers.roles: nothing fills this header: no caller has roles; set `claims.roles` under an authenticator, or remove it",
  );
  check(
    "a tier",
    text("{ headers: { tier: ‸x-tier } }", "keys"),
    "identity.headers.tier: nothing fills this header: no caller has a tier; set `claims.tier` under an authenticator, or remove it",
  );
  warned(
    "claims",
    text("{ claims: ‸{ x-tenant: tenant } }", "keys"),
    "identity.claims: nothing fills these headers: no credential has claims; claims come with jwt, introspection and mtls",
  );
  it.each([
    ["left to their defaults", text("{}", "keys")],
    ["switched off", text("{ headers: { roles: false } }")],
    ["filled by a claim", text("{ headers: { roles: x-roles } }", "rich")],
    ["filled by a consumer", text("{ headers: { roles: x-roles } }", "keys", `consumers: [{ id: a, roles: [r], keys: ["${HASH}"] }]\n`)],
    ["of claims that tokens have", text("{ claims: { x-tenant: tenant } }")],
  ])("%s", (_, config) => expect(problemsOf(config)).toEqual([]));
});

describe("names as providers send them", () => {
  check(
    "are taken alike by consumers and authorize",
    route(
      "keys",
      '{ roles: { any: ["Domain Users", Büro] }, groups: { all: ["CORP\\\\Staff", 42] }, consumers: ["Jürgen Müller", 7] }',
      `consumers: [{ id: "Jürgen Müller", roles: ["Domain Users", Büro], groups: ["CORP\\\\Staff", 42], keys: ["${HASH}"] }, { id: 7 }]\n`,
    ),
  );
  check(
    "with a control character are refused",
    route("keys", '{ consumers: [‸"a\\tb"] }'),
    "routes[0].authorize.consumers[0]: expected 1 to 256 characters without control characters, and no blanks at the ends",
  );
  check(
    "with a blank at the end are refused",
    route("keys", "{ ip: [10.0.0.0/8] }", 'consumers: [{ id: a, roles: [‸"x "] }]\n'),
    "consumers[0].roles[0]: expected 1 to 256 characters without control characters, and no blanks at the ends",
  );
  check(
    "scopes stay words of RFC 6749",
    route("keys", '{ scopes: { any: [‸"a b"] } }'),
    "routes[0].authorize.scopes.any[0]: expected visible ASCII characters without spaces, quotes and backslashes",
  );
});

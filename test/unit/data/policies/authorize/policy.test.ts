// The truth table of `authorize`: every condition must hold, nobody is asked for credentials, everybody else is denied.
import { describe, expect, it } from "vitest";
import type { Identity } from "../../../../../src/data/exchange/identity/identity.ts";
import { HeaderAuthenticator, identityOf } from "../../../../support/authenticator.ts";
import { ask, buildPolicy, policyRoute, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

const CORP = new HeaderAuthenticator("corp");
const KEYS = new HeaderAuthenticator("keys", { challenge: 'ApiKey realm="keys"' });

function answer(config: unknown, identity: Identity | null, sketch: RequestSketch = {}, challenges: string[] | null = null) {
  const { resources } = policyRoute();
  const policy = buildPolicy("authorize", config, {
    paramNames: Object.keys(sketch.params ?? {}),
    resources: { ...resources, authenticators: new Map([CORP, KEYS].map((each) => [each.name, each])) },
  });
  const x = new TestExchange(sketch);
  x.identity = identity;
  x.challenges = challenges === null ? null : { headers: challenges, detail: "the route takes a token" };
  return ask(policy, x);
}

function verdict(config: unknown, identity: Identity | null, sketch?: RequestSketch): string {
  const reply = answer(config, identity, sketch);
  if (reply === undefined) return "may";
  return reply.kind === "problem" ? reply.code : "answered";
}

const MISSING = "credentials_missing";
const DENIED = "access_denied";
const SCOPE = "insufficient_scope";

const ann = identityOf("ann", {
  authenticator: "corp",
  tier: "gold",
  scopes: ["a", "b"],
  roles: ["user"],
  groups: ["staff"],
  claims: {
    tenant: "t1",
    level: 3,
    zip: 10115,
    staff: true,
    flag: "true",
    orgs: ["t1", "t2"],
    empty: "",
    address: { city: "Ulm" },
    none: null,
    float: 1.5,
  },
});
const bare = identityOf("ben", { authenticator: "corp" });

it.each<[unknown, Identity | null, string]>([
  [{ scopes: { all: ["a", "b"] } }, ann, "may"],
  [{ scopes: { all: ["a", "c"] } }, ann, SCOPE],
  [{ scopes: { any: ["c", "b"] } }, ann, "may"],
  [{ scopes: { any: ["c", "d"] } }, ann, SCOPE],
  [{ scopes: { all: ["a"], any: ["c"] } }, ann, SCOPE],
  [{ scopes: { all: ["a"], any: ["c", "b"] } }, ann, "may"],
  [{ scopes: { all: ["A"] } }, ann, SCOPE],
  [{ scopes: { any: ["a"] } }, bare, SCOPE],
  [{ scopes: { any: ["a"] } }, null, MISSING],
  [{ roles: { any: ["user", "admin"] } }, ann, "may"],
  [{ roles: { all: ["user", "admin"] } }, ann, DENIED],
  [{ roles: { any: ["admin"] } }, ann, DENIED],
  [{ roles: { any: ["staff"] } }, ann, DENIED],
  [{ roles: { any: ["user"] } }, null, MISSING],
  [{ groups: { any: ["staff"] } }, ann, "may"],
  [{ groups: { all: ["staff", "x"] } }, ann, DENIED],
  [{ groups: { all: ["staff"] } }, null, MISSING],
  [{ consumers: ["ben", "ann"] }, ann, "may"],
  [{ consumers: ["ben", "an"] }, ann, DENIED],
  [{ consumers: ["ann"] }, null, MISSING],
  [{ tiers: ["gold"] }, ann, "may"],
  [{ tiers: ["silver"] }, ann, DENIED],
  [{ tiers: ["gold"] }, bare, DENIED],
  [{ tiers: ["gold"] }, null, MISSING],
  [{ roles: { any: ["user"] }, scopes: { any: ["z"] } }, ann, SCOPE],
  [{ roles: { any: ["admin"] }, scopes: { any: ["a"] } }, ann, DENIED],
  [{ ip: ["203.0.113.0/24"] }, null, "may"],
  [{ ip: ["10.0.0.0/8"] }, null, DENIED],
  [{ ip: ["10.0.0.0/8"], roles: { any: ["user"] } }, ann, DENIED],
  [{ ip: ["10.0.0.0/8"], roles: { any: ["user"] } }, null, DENIED],
  [{ ip: ["203.0.113.7"], roles: { any: ["user"] } }, ann, "may"],
  [{ ip: ["203.0.113.7"], roles: { any: ["user"] } }, null, MISSING],
  [{ when: "claims.level >= 3" }, ann, "may"],
  [{ when: "claims.level >= 4" }, ann, DENIED],
  [{ when: "claims.level >= 3" }, bare, DENIED],
  [{ when: "claims.level >= 3" }, null, MISSING],
  [{ when: "claims.tenant" }, ann, DENIED],
  [{ when: 'method == "GET"' }, null, "may"],
  [{ when: 'method == "PUT"' }, null, DENIED],
  [{ when: "true", roles: { any: ["admin"] } }, ann, DENIED],
])("%j for %j: %s", (config, identity, expected) => expect(verdict(config, identity)).toBe(expected));

it("an address that is unknown is in no block", () => expect(verdict({ ip: ["0.0.0.0/0", "::/0"] }, ann, { ip: "" })).toBe(DENIED));

describe("claims", () => {
  const request: RequestSketch = {
    query: "t=t1&two=t1&two=t1",
    headers: { "x-t": "t1", "x-two": ["t1", "t1"], "x-num": "3", "x-zero": "03", "x-empty": "" },
    params: { tenant: "t1", zip: "10115", zeros: "010115", enc: "%741", slash: "t1%2F", bad: "t1%ff", city: "Ulm" },
  };
  it.each<[Record<string, unknown>, string]>([
    [{ tenant: "t1" }, "may"],
    [{ tenant: "T1" }, DENIED],
    [{ tenant: ["t0", "t1"] }, "may"],
    [{ tenant: ["t0"] }, DENIED],
    [{ level: 3 }, "may"],
    [{ level: "3" }, DENIED],
    [{ level: [1, 2, 3] }, "may"],
    [{ level: true }, DENIED],
    [{ staff: true }, "may"],
    [{ staff: "true" }, DENIED],
    [{ flag: true }, DENIED],
    [{ flag: "true" }, "may"],
    [{ "address.city": "Ulm" }, "may"],
    [{ address: "Ulm" }, DENIED],
    [{ missing: "t1" }, DENIED],
    [{ missing: "" }, DENIED],
    [{ none: "null" }, DENIED],
    [{ constructor: "x" }, DENIED],
    [{ orgs: "t2" }, "may"],
    [{ orgs: "t3" }, DENIED],
    [{ orgs: ["t3", "t1"] }, "may"],
    [{ orgs: "t1,t2" }, DENIED],
    [{ tenant: "t1", level: 4 }, DENIED],
    [{ tenant: "t1", level: 3 }, "may"],

    [{ tenant: "{path.tenant}" }, "may"],
    [{ tenant: "{tenant}" }, "may"],
    [{ tenant: "{path.zip}" }, DENIED],
    [{ tenant: "{path.enc}" }, "may"],
    [{ tenant: "{path.slash}" }, DENIED],
    [{ tenant: "{path.bad}" }, DENIED],
    [{ orgs: "{path.tenant}" }, "may"],
    [{ zip: "{path.zip}" }, "may"],
    [{ zip: "{path.zeros}" }, DENIED],
    [{ float: "{path.zip}" }, DENIED],
    [{ staff: "{path.tenant}" }, DENIED],
    [{ "address.city": "{path.city}" }, "may"],
    [{ tenant: "{header.x-t}" }, "may"],
    [{ tenant: "{header.X-T}" }, "may"],
    [{ tenant: "{header.x-other ?? header.x-t}" }, "may"],
    [{ tenant: "{header.x-other ?? query.none}" }, DENIED],
    [{ empty: "{header.x-other ?? query.none}" }, DENIED],
    [{ tenant: "{header.x-two ?? path.tenant}" }, "may"],
    [{ level: "{header.x-num}" }, "may"],
    [{ level: "{header.x-zero}" }, DENIED],
    [{ tenant: "{header.x-other}" }, DENIED],
    [{ empty: "{header.x-other}" }, DENIED],
    [{ empty: "{header.x-empty}" }, DENIED],
    [{ empty: "" }, "may"],
    [{ tenant: "{header.x-two}" }, DENIED],
    [{ tenant: "{query.t}" }, "may"],
    [{ tenant: "{query.two}" }, DENIED],
    [{ missing: "{path.tenant}" }, DENIED],
    [{ tenant: ["{header.x-other}", "{path.tenant}"] }, "may"],
  ])("%j: %s", (claims, expected) => expect(verdict({ claims }, ann, request)).toBe(expected));

  it("a caller without claims has none of them; nobody is asked for credentials", () => {
    expect(verdict({ claims: { tenant: "t1" } }, bare)).toBe(DENIED);
    expect(verdict({ claims: { tenant: "t1" } }, null)).toBe(MISSING);
  });
});

describe("what the client is told", () => {
  it("RFC 6750: which scopes would do, to those who came with a Bearer token", () => {
    expect(answer({ scopes: { all: ["a", "x:y"], any: ["z"] } }, ann)).toEqual({
      kind: "problem",
      code: SCOPE,
      detail: "the caller lacks a scope that the route demands",
      headers: [
        "www-authenticate",
        'Bearer realm="corp", error="insufficient_scope", error_description="the caller lacks a scope that the route demands", scope="a x:y z"',
      ],
    });
    expect(answer({ scopes: { all: ["x"] } }, { ...ann, authenticator: "keys" })).not.toHaveProperty("headers");
    expect(answer({ scopes: { all: ["x"] } }, { ...ann, authenticator: "keys+corp" })).toHaveProperty("headers");
    expect(answer({ scopes: { all: ["x"] } }, { ...ann, authenticator: "gone" })).not.toHaveProperty("headers");
  });

  it("nobody gets the challenges that the auth policy left", () => {
    const challenges = ["www-authenticate", 'Bearer realm="corp"'];
    expect(answer({ roles: { any: ["user"] } }, null, {}, challenges)).toEqual({
      kind: "problem",
      code: MISSING,
      detail: "the route takes a token",
      headers: challenges,
    });
    expect(answer({ roles: { any: ["user"] } }, null)).toEqual({ kind: "problem", code: MISSING, detail: "", headers: [] });
  });
});

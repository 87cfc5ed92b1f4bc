// Whoever writes another gateway's word for a key is told ours; and what is told is a key that stands there.
import { describe, expect, it } from "vitest";
import schema from "../../../../../config/sluice.schema.json" with { type: "json" };
import { FOREIGN_WORDS } from "../../../../../src/control/config/schema/foreign-words.ts";
import { problemsOf } from "../../../../support/config-text.ts";
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

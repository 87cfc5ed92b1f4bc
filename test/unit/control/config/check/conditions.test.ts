// Conditions of any feature are compiled when the file is loaded: what is wrong with one is told with its place, and how layers of routes bring them together.
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const AUTH =
  'auth: { keys: { apiKey: { in: header, name: x-api-key } } }\nconsumers: [{ id: acme, keys: ["sha256:2b37ca70dbc4ee2ab4f6b9e4a3a1b1f4a4f0ad1b5f9e0a7b7bd2d0d7f4b7c9f1"] }]\n';
const route = (rest: string, auth = "none"): string =>
  withRoutes(
    `- { name: a, match: { path: "/a/{id}" }, auth: ${auth}, ${rest}, to: users }\n- { name: b, match: { path: /b }, auth: keys, to: users }\n${AUTH}`,
  );

const COMPILES = 'write a condition in CEL, such as `method == "GET" && header["x-tier"] == "gold"`';

describe("conditions", () => {
  check(
    "one map",
    route("headers: { request: { when: ‸1 +, set: { x-a: b } } }"),
    `routes[0].headers.request.when: at character 4: Unexpected token: EOF; ${COMPILES}`,
  );
  check(
    "in a list",
    route("headers: { response: [{ set: { x-a: b } }, { when: ‸respons.status == 200, set: { x-a: c } }] }"),
    "routes[0].headers.response[1].when: at character 1: Unknown variable: respons; known: consumer, claims, path, query, header, host, method, scheme, client.ip, request.path, request.time, route, response.status, response.header",
  );
  check(
    "of a query",
    route('query: [{ when: ‸"header[\'X-A\'] == host", set: { a: b } }, { when: ‸path.idd == "1", remove: [c] }]'),
    "routes[0].query[0].when: at character 1: write the header's name in lower case: x-a",
    "routes[0].query[1].when: the route's path has no parameter idd; did you mean `id`?",
  );
  check(
    "a response that is not there yet",
    route(
      "headers: { request: { when: ‸response.status == 200, set: { x-a: b } } }, query: { when: ‸response.status == 200, set: { a: b } }",
    ),
    "routes[0].headers.request.when: at character 1: there is no response yet when this is decided: only conditions on changes of responses may read one",
    "routes[0].query.when: at character 1: there is no response yet when this is decided: only conditions on changes of responses may read one",
  );
  check(
    "templates and names of identity in a list",
    route(
      'headers: { request: [{ set: { x-a: b } }, { when: "true", set: { x-a: ‸"{path.nope}", X-Consumer-Id: ‸"1" }, setIfAbsent: { x-consumer-tier: ‸gold } }] }',
    ),
    "routes[0].headers.request[1].set.x-a: {path.nope}: the route's path has no such parameter (known: id, query.NAME, header.NAME, claims.NAME, host, method, scheme, route, request.id, request.path, consumer.id, consumer.tier, client.ip)",
    "routes[0].headers.request[1].set.X-Consumer-Id: services take this header for who is calling: only the gateway writes it; `identity.headers` and `identity.claims` say what it holds",
    "routes[0].headers.request[1].setIfAbsent.x-consumer-tier: services take this header for who is calling: only the gateway writes it; `identity.headers` and `identity.claims` say what it holds",
  );
  check(
    "misspelt keys",
    route('headers: { request: [{ ‸wen: "true", set: { x-a: b } }] }, query: [{ ‸wen: "true", set: { a: b } }]'),
    "routes[0].headers.request[0].wen: unknown key; did you mean `when`?",
    "routes[0].query[0].wen: unknown key; did you mean `when`?",
  );
  check(
    "what goes through on a condition",
    route('headers: { request: { when: "true", allow: ‸[x-a] } }'),
    "routes[0].headers.request.allow: `allow` has no condition; write it in a map without `when`, or give those requests a route of their own",
  );
  check(
    "nothing to change",
    route('headers: { request: [{ when: ‸"true" }] }, query: ‸[]'),
    "routes[0].headers.request[0].when: changes nothing; say what is to be set, added or removed, or take the map away",
    "routes[0].query: expected at least 1 entry",
  );
  check(
    "a broken one in the defaults is told once",
    `${route("timeouts: {}")}defaults: { headers: { request: { when: ‸1 +, remove: [x-a] } } }\n`,
    `defaults.headers.request.when: at character 4: Unexpected token: EOF; ${COMPILES}`,
  );

  const warnings = (text: string): readonly string[] => good([text]).warnings.map(formatProblem);
  it("one that asks about the caller of a public route never holds, which is worth a warning", () => {
    const when = 'headers: { request: { when: consumer.id == "acme", set: { x-a: b } } }';
    expect(warnings(route(when))).toEqual([
      "c.yaml:6:82: routes[0].headers.request.when: nobody proves who is calling the route a, so this never holds; name an authenticator under `auth`, or remove it",
    ]);
    expect(warnings(route(when, "keys"))).toEqual([]);
    expect(warnings(route(when, "{ optional: keys }"))).toEqual([]);
    expect(warnings(`${route("timeouts: {}")}defaults: { ${when} }\n`)).toEqual([]);
  });
  it("one that nobody could meet keeps a route from being used at all, which is refused", () => {
    expect(problemsOf(route('authorize: { when: consumer.id == "acme" }'))).toEqual([
      expect.stringContaining("so nobody could ever use it; name an authenticator"),
    ]);
  });
});

describe("layers of a route", () => {
  const headersOf = (layers: { readonly defaults: string; readonly set: string; readonly own: string }): unknown => {
    const { config } = good([
      withRoutes(
        `- { name: a, match: {}, use: [s], to: users, ${layers.own} }\ndefaults: { ${layers.defaults} }\npolicySets: { s: { ${layers.set} } }\n`,
      ),
    ]);
    const headers = config.routes[0]?.policies.find(({ name }) => name === "headers");
    const { request } = (headers?.config ?? {}) as { readonly request?: object | readonly object[] }; // output of its schema
    return [request ?? []]
      .flat()
      .map((each) => Object.fromEntries(Object.entries(each).filter(([, value]) => Object.keys(value).length > 0)));
  };
  const MAP = (name: string) => `headers: { request: { set: { ${name}: "1" } } }`;
  const LIST = (name: string) => `headers: { request: [{ when: "true", set: { ${name}: "1" } }] }`;
  const IN_LIST = (name: string) => [{ when: "true", set: { [name]: "1" } }];

  it("maps are merged key by key", () => {
    expect(headersOf({ defaults: MAP("x-d"), set: MAP("x-s"), own: MAP("x-o") })).toEqual([
      { set: { "x-d": "1", "x-s": "1", "x-o": "1" } },
    ]);
  });
  it("a list replaces the list, and the map, below it", () => {
    expect(headersOf({ defaults: LIST("x-d"), set: LIST("x-s"), own: LIST("x-o") })).toEqual(IN_LIST("x-o"));
    expect(headersOf({ defaults: MAP("x-d"), set: MAP("x-s"), own: LIST("x-o") })).toEqual(IN_LIST("x-o"));
    expect(headersOf({ defaults: MAP("x-d"), set: LIST("x-s"), own: "timeouts: {}" })).toEqual(IN_LIST("x-s"));
  });
  it("a map replaces the list below it", () => {
    expect(headersOf({ defaults: LIST("x-d"), set: "timeouts: {}", own: MAP("x-o") })).toEqual([{ set: { "x-o": "1" } }]);
    expect(headersOf({ defaults: LIST("x-d"), set: MAP("x-s"), own: MAP("x-o") })).toEqual([{ set: { "x-s": "1", "x-o": "1" } }]);
  });
});

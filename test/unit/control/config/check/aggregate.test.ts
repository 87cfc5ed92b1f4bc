// What an aggregated route must be to be loaded: each mistake is told at its place, with what to do about it.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import type { AggregateConfig } from "../../../../../src/data/handlers/aggregate/config-plan.ts";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const UPSTREAMS = `  orders: { targets: [{ url: "http://10.0.0.2:9001" }] }\n`;
const withLegs = (aggregate: string): string =>
  `${withRoutes(`  - { name: page, match: { path: "/users/{id}" }, aggregate: ${aggregate} }\n`).replace(/upstreams:\n/, `upstreams:\n${UPSTREAMS}`)}`;
const warnings = (aggregate: string): readonly string[] => good([withLegs(aggregate)]).warnings.map(formatProblem);
const aggregateOf = (text: string): AggregateConfig =>
  compilePlan(good([text]).config, { version: 1, metricSlot: () => 0 }).routes[0]?.handler.config as AggregateConfig; // compiled by its own schema

const USER = 'user: { to: users, path: "/users/{id}" }';

describe("a right one", () => {
  it("is compiled to plain data, with upstreams by index, in the declared order", () => {
    const plan = compilePlan(
      good([withLegs(`{ ${USER}, orders: { to: orders, path: /o, required: false, timeout: 1s, forEach: legs.user.json.ids } }`)]).config,
      {
        version: 1,
        metricSlot: () => 0,
        legSlot: (name) => name.length,
      },
    );
    expect(plan.routes[0]?.handler.name).toBe("aggregate");
    expect(plan.routes[0]?.upstreams.map((index) => plan.upstreams[index]?.name)).toEqual(["users", "orders"]);
    expect(plan.legSlots).toEqual({ "page user": 9, "page orders": 11 });
    const { legs, ...rest } = (plan.routes[0]?.handler ?? expect.fail("no route")).config as AggregateConfig; // compiled by its own schema
    expect(rest).toEqual({ legsAt: [], wins: [], incomplete: null, stream: false, requestBytes: 1_048_576 });
    expect(legs.map((leg) => [leg.name, plan.upstreams[leg.upstream]?.name, leg.required, leg.timeoutMs])).toEqual([
      ["user", "users", true, null],
      ["orders", "orders", false, 1000],
    ]);
    expect(legs[1]?.forEach).toEqual({ list: "legs.user.json.ids", concurrency: 8, itemsMax: 100, keepsGaps: false });
    expect(legs[0]).toMatchObject({ method: "GET", expect: [{ min: 200, max: 299 }], as: "user", maxBytes: 1_048_576 });
  });

  it("says the same in its short form and in full", () => {
    const { legsAt: _short, ...short } = aggregateOf(withLegs(`{ ${USER} }`));
    const { legsAt, ...full } = aggregateOf(withLegs(`{ legs: { ${USER} }, merge: nest, incomplete: header, maxBytes: 1MiB }`));
    expect(legsAt).toEqual(["legs"]);
    expect(full).toEqual(short);
  });

  it("names failed legs in a member when asked to, and always when it streams", () => {
    const incomplete = (more: string): string | null => aggregateOf(withLegs(`{ legs: { ${USER} }${more} }`)).incomplete;
    expect([
      incomplete(""),
      incomplete(", incomplete: member"),
      incomplete(", incomplete: { member: _missing }"),
      incomplete(", stream: true"),
    ]).toEqual([null, "incomplete", "_missing", "incomplete"]);
  });
});

describe("the legs' keys", () => {
  check(
    "an upstream must exist, in the short form",
    withLegs("{ user: { to: ‸user, path: / } }"),
    "routes[0].aggregate.user.to: there is no upstream named user; did you mean `users`?",
  );
  check(
    "and in full",
    withLegs("{ legs: { user: { to: ‸user, path: / } } }"),
    "routes[0].aggregate.legs.user.to: there is no upstream named user; did you mean `users`?",
  );
  check("a leg needs a path", withLegs("{ user: ‸{ to: users } }"), "routes[0].aggregate.user.path: is required; add it");
  check(
    "an unknown key is named",
    withLegs("{ user: { to: users, path: /, ‸timeouts: 1s } }"),
    "routes[0].aggregate.user.timeouts: unknown key; did you mean `timeout`?",
  );
  check(
    "GET has no body",
    withLegs("{ user: { to: users, path: /, body: ‸client } }"),
    "routes[0].aggregate.user.body: a GET request has no body; write `method: POST`",
  );
  check(
    "optional legs relay nothing",
    withLegs("{ user: { to: users, path: /, required: false, relay: ‸[404] } }"),
    "routes[0].aggregate.user.relay: an optional leg never decides the status; remove `relay`, or `required: false`",
  );
  check(
    "only refusals are relayed",
    withLegs("{ user: { to: users, path: /, relay: [‸503] } }"),
    "routes[0].aggregate.user.relay[0]: expected a status from 400 to 499, or a range such as 400-499",
  );
  check(
    "what frames a message is the gateway's",
    withLegs("{ user: { to: users, path: /, headers: { ‸host: a } } }"),
    "routes[0].aggregate.user.headers.host: this header frames the message or belongs to one connection: the gateway writes it",
  );
  check(
    "what describes the body of the answer is, too",
    withLegs("{ user: { to: users, path: /, responseHeaders: [‸content-length] } }"),
    "routes[0].aggregate.user.responseHeaders[0]: the gateway makes this header itself",
  );
  check(
    "items need a list",
    withLegs("{ user: { to: users, path: /, maxItems: ‸5 } }"),
    "routes[0].aggregate.user.maxItems: `maxItems` needs `forEach`",
  );
  check(
    "a required leg has no gaps",
    withLegs(`{ ${USER}, each: { to: users, path: /, forEach: legs.user.json, onItemFailure: ‸gap } }`),
    "routes[0].aggregate.each.onItemFailure: a required leg has no gaps: a failed item fails it; write `required: false`, or `onItemFailure: fail`",
  );
  check(
    "a pointer is one of RFC 6901",
    withLegs('{ user: { to: users, path: /, select: ‸"/a~2" } }'),
    "routes[0].aggregate.user.select: in a JSON Pointer '~' stands as '~0' (RFC 6901)",
  );
  check(
    "two members cannot be renamed to one",
    withLegs("{ user: { to: users, path: /, rename: { a: ‸c, b: ‸c } } }"),
    "routes[0].aggregate.user.rename.a: two members are renamed to c",
    "routes[0].aggregate.user.rename.b: two members are renamed to c",
  );
});

describe("templates", () => {
  check(
    "a leg must exist",
    withLegs(`{ ${USER}, orders: { to: orders, path: ‸"/o/{legs.usr.json.id}" } }`),
    "routes[0].aggregate.orders.path: {legs.usr.json.id}: there is no leg usr (legs: user, orders)",
  );
  check(
    "parameters are the route's",
    withLegs(`{ user: { to: users, path: "/users", query: { id: ‸"{path.ids}" } } }`),
    "routes[0].aggregate.user.query.id: {path.ids}: the route's path has no such parameter (known: id, query.NAME, header.NAME, claims.NAME, host, method, scheme, route, request.id, request.path, consumer.id, consumer.tier, client.ip)",
  );
  check(
    "a header is told as it is written",
    withLegs(`{ user: { to: users, path: "/users", headers: { X-Id: ‸"{item}" } } }`),
    "routes[0].aggregate.user.headers.X-Id: {item}: only a leg with `forEach` has items",
  );
  check(
    "bodies are looked into",
    withLegs(`{ ${USER}, orders: { to: orders, path: /o, method: POST, body: { json: { ids: [1, ‸"{legs.usr.json}"] } } } }`),
    "routes[0].aggregate.orders.body.json.ids[1]: {legs.usr.json}: there is no leg usr (legs: user, orders)",
  );
  check(
    "a list is another leg's",
    withLegs(`{ ${USER}, each: { to: orders, path: /o, forEach: ‸"{id}" } }`),
    "routes[0].aggregate.each.forEach: expected the list of another leg, such as {legs.orders.json.items}",
  );
  for (const path of ["/../x", "/a/../../x", "/a//b", "/a b", "/x?a b", "/a/{id}/.."])
    check(
      `${path} is unsafe`,
      withLegs(`{ user: { to: users, path: ‸"${path}" } }`),
      "routes[0].aggregate.user.path: this path is unsafe: dot segments, empty segments, or characters that must be encoded",
    );
});

check(
  "no leg names another caller, however it spells that",
  withLegs('{ user: { to: users, path: /, headers: { X_Consumer_Id: ‸"{query.id}" } } }'),
  "routes[0].aggregate.user.headers.X_Consumer_Id: services take this header for who is calling: only the gateway writes it; `identity.headers` and `identity.claims` say what it holds",
);

describe("legs that wait for legs", () => {
  check(
    "not for themselves",
    withLegs('{ user: { to: users, path: ‸"/{legs.user.json.id}" } }'),
    "routes[0].aggregate.user.path: the leg waits for its own answer; take one of these values from elsewhere",
  );
  check(
    "not in a circle, which is told once, at the first of its legs",
    withLegs(
      '{ d: { to: users, path: "/{legs.a.json.id}" }, a: { to: users, path: /, query: { x: ‸"{legs.b.json.x}" } }, b: { to: users, path: /, headers: { x: "{legs.c.header.x}" } }, c: { to: users, path: "/{legs.a.json.id}" } }',
    ),
    "routes[0].aggregate.a.query.x: legs wait for each other: a waits for b waits for c waits for a; take one of these values from elsewhere",
  );
  it("may form a net without circles", () => {
    expect(
      problemsOf(
        withLegs(
          '{ a: { to: users, path: /a }, b: { to: users, path: "/{legs.a.json.x}" }, c: { to: users, path: "/{legs.a.json.x}/{legs.b.json.x}" } }',
        ),
      ),
    ).toEqual([]);
  });
  it("are warned of when a required one needs an optional one", () => {
    expect(warnings('{ a: { to: users, path: /a, required: false }, b: { to: orders, path: "/{legs.a.json.x}" } }')).toEqual([
      expect.stringMatching(
        /aggregate\.b\.path: b is required and needs a, which is optional: both fail together; make a required, or b optional, or name a stand-in: \{legs\.a\.\.\. \?\? "\.\.\."\}$/,
      ),
    ]);
  });
  it("are not warned of where something stands in for what is wanted of the optional one", () => {
    const legs = (path: string): string => `{ a: { to: users, path: /a, required: false }, b: { to: orders, path: '${path}' } }`;
    expect(warnings(legs('/{legs.a.json.x ?? "none"}'))).toEqual([]);
    expect(warnings(legs('/{legs.a.json.x ?? "none"}/{legs.a.json.y}'))).toHaveLength(1);
  });
  check(
    "legs that are named in a choice are there, and wait for each other in no circle",
    withLegs(`{ a: { to: users, path: ‸'/{legs.c.json.x ?? "1"}' }, b: { to: orders, path: ‸'/{header.x ?? legs.b.json.x}' } }`),
    "routes[0].aggregate.a.path: {legs.c.json.x}: there is no leg c (legs: a, b)",
    "routes[0].aggregate.b.path: the leg waits for its own answer; take one of these values from elsewhere",
  );
});

describe("members", () => {
  const flat = (legs: string, more = ""): string => withLegs(`{ merge: flat${more}, legs: { ${legs} } }`);
  const A = "a: { to: users, path: /a }";

  check(
    "two legs that could give the same one are refused",
    flat(`${A}, b: ‸{ to: orders, path: /b }`),
    "routes[0].aggregate.legs.b: a and b can give the same member; write `wins: [a]` or `wins: [b]`, or use `pick`, `rename` or `merge: nest`",
  );
  check(
    "and that do",
    flat("a: { to: users, path: /a, pick: [id, x] }, b: ‸{ to: orders, path: /b, pick: [y, z], rename: { z: x } }"),
    "routes[0].aggregate.legs.b: a and b can both give the member x; write `wins: [a]` or `wins: [b]`, or use `pick`, `rename` or `merge: nest`",
  );
  check(
    "a nested leg's name is a member, too",
    flat(`${A}, b: ‸{ to: orders, path: /b, merge: nest }`),
    "routes[0].aggregate.legs.b: a and b can both give the member b; write `wins: [a]` or `wins: [b]`, or use `pick`, `rename` or `merge: nest`",
  );
  check(
    "two nested legs have two names",
    withLegs("{ a: { to: users, path: /a, as: x }, b: ‸{ to: orders, path: /b, as: x } }"),
    "routes[0].aggregate.b: a and b can both give the member x; write `wins: [a]` or `wins: [b]`, or use `pick`, `rename` or `merge: nest`",
  );
  it("unless one is said to win, or they pick different ones", () => {
    expect(problemsOf(flat(`${A}, b: { to: orders, path: /b }`, ", wins: [b]"))).toEqual([]);
    expect(
      problemsOf(flat("a: { to: users, path: /a, pick: [id] }, b: { to: orders, path: /b, pick: [id], rename: { id: order } }")),
    ).toEqual([]);
  });
  check("winners exist", flat(A, ", wins: [‸b]"), "routes[0].aggregate.wins[0]: there is no leg b; did you mean `a`?");
  check(
    "the member that names failed legs is the gateway's",
    withLegs("{ incomplete: { member: a }, legs: { a: ‸{ to: users, path: /a } } }"),
    "routes[0].aggregate.legs.a: the member a names failed legs; name the one or the other otherwise: `as`, `rename`, `incomplete: { member: NAME }`",
  );
  check(
    "a list has none",
    flat(`${A}, each: ‸{ to: users, path: /, forEach: legs.a.json.items }`, ", wins: [a]"),
    "routes[0].aggregate.legs.each: a leg with `forEach` gives a list, which has no members to merge; write `merge: nest` for it",
  );
  check(
    "with `stream` nobody wins over what is out already",
    flat(`${A}, b: ‸{ to: orders, path: /b, required: false }`, ", wins: [b], stream: true"),
    "routes[0].aggregate.legs.b: a and b can give the same member, and with `stream` one may come when the other is out already; use `pick`, `rename` or `merge: nest`, or make both required",
  );
});

describe("headers for the client", () => {
  check(
    "two legs that give the same one are refused, cookies excepted",
    withLegs(
      "{ a: { to: users, path: /, responseHeaders: [set-cookie, x-total] }, b: { to: users, path: /, responseHeaders: [set-cookie, ‸X-Total] } }",
    ),
    "routes[0].aggregate.b.responseHeaders[1]: a and b both give the header x-total; write `wins: [a]` or `wins: [b]`, or name it in one leg",
  );
  check(
    "with `stream` they come from required legs only",
    withLegs("{ stream: true, legs: { a: { to: users, path: /, required: false, responseHeaders: [‸x-a] } } }"),
    "routes[0].aggregate.legs.a.responseHeaders[0]: with `stream` the head may be out before an optional leg has ended; make the leg required, or remove `stream`",
  );
});

it("a stream of required legs only is warned of", () => {
  expect(warnings("{ stream: true, legs: { a: { to: users, path: / }, b: { to: orders, path: / } } }")).toEqual([
    expect.stringMatching(/aggregate\.stream: every leg is required: nothing can follow later; remove it, or make a leg optional$/),
  ]);
});

check(
  "a route has one handler",
  withRoutes(`  - { name: page, match: {}, aggregate: { a: { to: users, path: / } }, ‸respond: { status: 200 } }\n`).replace(
    "‸respond: {",
    "respond: ‸{",
  ),
  "routes[0].respond: `respond` and `aggregate` both answer every request; keep one of them",
);

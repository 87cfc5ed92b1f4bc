// Owns tests of what limits must fit: callers, tiers, Redis, limits of other routes.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const route = (limits: string, more = ""): string =>
  withRoutes(`  - { name: all, match: { path: "/a/{id}" }, to: users, ${more}rateLimit: [${limits}] }\n`);
const withAuth = (limits: string, rest = ""): string =>
  `${withRoutes(`  - { name: all, match: {}, to: users, auth: keys, rateLimit: [${limits}] }\n`)}auth: { keys: { apiKey: { in: header, name: x-key } } }\n${rest}`;

describe("who calls", () => {
  check(
    "must be known for limits per consumer",
    route("{ per: ‸consumer, rate: 1/s }"),
    "routes[0].rateLimit[0].per: nobody is known by name on the public route all; give the route `auth`, or limit `per: ip`",
  );
  check(
    "also for sizes from claims, and keys made of them",
    route("{ per: ‸ip, rate: { claim: rps, max: 9/s, default: 1/s } }"),
    "routes[0].rateLimit[0].per: nobody is known by name on the public route all; give the route `auth`, or limit `per: ip`",
  );
  it("is known where there is auth", () => {
    expect(
      problemsOf(withAuth("{ per: consumer, rate: 1/s }, { per: { claim: org }, rate: { claim: rps, max: 9/s, default: 1/s } }")),
    ).toEqual([]);
  });
});

describe("what a limit names", () => {
  check(
    "tiers must exist",
    withAuth("{ per: consumer, tier: ‸true, rate: 1/s }"),
    "routes[0].rateLimit[0].tier: there are no tiers; add `tiers`, or remove `tier: true`",
  );
  it("callers without a tier are warned about", () => {
    const { warnings } = good([withAuth("{ per: consumer, tier: true }", "tiers: { gold: { rate: 9/s } }\n")]);
    expect(warnings.map(formatProblem)).toEqual([
      "c.yaml:6:87: routes[0].rateLimit[0].tier: callers without a tier are not limited by this; add `rate`, `quota` or `concurrency` beside it: what callers without a tier may use",
    ]);
  });
  check(
    "a fleet needs Redis",
    route("{ per: ip, rate: 1/s, mode: ‸fleet }"),
    "routes[0].rateLimit[0].mode: `mode: fleet` needs Redis; add `redis`, or use `mode: local`",
  );
  check(
    "templates are compiled",
    route('{ per: ‸{ key: "{path.nam}" }, rate: 1/s }'),
    "routes[0].rateLimit[0].per: {path.nam}: the route's path has no such parameter (known: id, query.NAME, header.NAME, claims.NAME, host, method, scheme, route, request.id, request.path, consumer.id, consumer.tier, client.ip)",
  );
});

describe("limits that routes share", () => {
  const two = (first: string, second: string): string =>
    withRoutes(
      `  - { name: a, match: { path: /a }, to: users, rateLimit: [${first}] }\n  - { name: b, match: { path: /b }, to: users, rateLimit: [${second}] }\n`,
    );
  check(
    "must be of one size",
    two("{ per: ip, name: site, rate: 1/s }", "‸{ per: ip, name: site, rate: 2/s }"),
    "routes[1].rateLimit[0]: this limit shares its buckets with routes[0].rateLimit[0], but its size is another; make them equal, or give one of them another name",
  );
  check(
    "the gateway's too",
    two("{ per: gateway, rate: 1/s }", "‸{ per: gateway, rate: 2/s }"),
    "routes[1].rateLimit[0]: this limit shares its buckets with routes[0].rateLimit[0], but its size is another; make them equal, or give one of them another name",
  );
  it("may cost differently, and limits of each route by itself may differ", () => {
    expect(problemsOf(two("{ per: gateway, rate: 9/s, cost: 2 }", "{ per: gateway, rate: 9/s, shadow: true }"))).toEqual([]);
    expect(problemsOf(two("{ per: ip, rate: 9/s }", "{ per: ip, rate: 1/s }"))).toEqual([]);
    expect(problemsOf(two("{ per: [ip, route], name: n, rate: 9/s }", "{ per: [ip, route], name: n, rate: 1/s }"))).toEqual([]);
  });
});

describe("the schema", () => {
  check(
    "a limit limits something",
    route("‸{ per: ip }"),
    "routes[0].rateLimit[0]: expected at least one of rate, quota, concurrency and tier",
  );
  check(
    "a burst belongs to a rate",
    route("{ per: ip, quota: 9/day, burst: ‸4 }"),
    "routes[0].rateLimit[0].burst: a burst needs a rate beside it",
  );
  check(
    "the gateway stands alone",
    route("{ per: ‸[gateway, ip], rate: 1/s }"),
    "routes[0].rateLimit[0].per: `gateway` stands alone: it counts everything together",
  );
  check(
    "a burst comes back in reasonable time",
    route("{ per: ip, rate: ‸1/day, burst: 100 }"),
    "routes[0].rateLimit[0].rate: the burst would take more than 720h to come back: use a quota",
  );
  check(
    "units",
    route("{ per: ip, rate: ‸5/fortnight }"),
    'routes[0].rateLimit[0].rate: expected a rate such as 100/s, 5000/min, 10/hour or 1000000/day, got "5/fortnight"',
  );
  check(
    "kinds",
    route("{ per: ‸user, rate: 1/s }"),
    "routes[0].rateLimit[0].per: expected consumer, ip, route, gateway, {header: NAME}, {claim: NAME} or {key: TEMPLATE}",
  );
});

it("no two parts of a route's limits have the same label", () => {
  const limits =
    "{ name: a, per: ip, rate: 1/s, quota: 9/day }, { name: a-quota, per: ip, quota: 5/day }, { name: b, per: ip, quota: 5/day }";
  const { config } = good([withAuth(limits)]);
  const plan = compilePlan(config, { version: 1, metricSlot: () => 0 });
  expect(Object.keys(plan.limitSlots)).toEqual(["all a", "all a-quota", "all a-quota-2", "all b"]);
});

it("every part of a limit has a metric slot", () => {
  const limits = "{ per: consumer, tier: true, rate: 1/s }, { per: ip, rate: 1/s, concurrency: 2 }, { per: ip, rate: 9/s }";
  const { config } = good([withAuth(limits, "tiers: { gold: { rate: 9/s } }\n")]);
  expect(config.routes[0]?.policies.map((policy) => policy.name)).toEqual(["rateLimit", "auth"]);
  let slot = 1;
  const plan = compilePlan(config, { version: 1, metricSlot: () => 0, limitSlot: () => ++slot });
  expect(plan.limitSlots).toEqual({
    "all consumer": 2,
    "all consumer-quota": 3,
    "all consumer-concurrency": 4,
    "all ip": 5,
    "all ip-concurrency": 6,
    "all ip-2": 7,
  });
});

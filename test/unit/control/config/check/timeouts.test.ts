// What follows from the timeouts that somebody wrote, and totals that leave no room for an attempt.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { BASE, check, good, withRoutes } from "../../../../support/config-text.ts";

const upstream = (body: string): string => BASE.replace("http://10.0.0.1 }]", `http://10.0.0.1 }], ${body}`);
const planOf = (text: string) => compilePlan(good([text]).config, { version: 1, metricSlot: () => 0, breakerSlot: () => 0 });

describe("the timeouts of an upstream", () => {
  const resolved = (body: string, expected: object) =>
    it(body, () => expect(planOf(upstream(body)).upstreams[0]?.timeouts).toMatchObject(expected));
  resolved("timeouts: {}", { connectMs: 1000, attemptMs: 5000, idleMs: 30_000, totalMs: 15_000 });
  resolved("timeouts: { attempt: 60s }", { attemptMs: 60_000, totalMs: 180_000 });
  resolved("timeouts: { response: 60s }", { attemptMs: 60_000, totalMs: 180_000 });
  resolved("timeouts: { attempt: 60s }, retry: { attempts: 0 }", { attemptMs: 60_000, totalMs: 61_000 });
  resolved("timeouts: { attempt: 60s, connect: 5s }, retry: { attempts: 0 }", { totalMs: 65_000 });
  resolved("retry: { attempts: 5 }", { totalMs: 30_000 });
  resolved("timeouts: { attempt: 60s, total: 70s }", { attemptMs: 60_000, totalMs: 70_000 });
  resolved("timeouts: { attempt: 60s, total: 0 }", { totalMs: 0 });
  resolved("timeouts: { total: 2s }", { attemptMs: 5000, totalMs: 2000 });
  resolved("timeouts: { attempt: 20d }, retry: { attempts: 10 }", { totalMs: 2 ** 31 - 1 });
});

describe("the timeouts of a route", () => {
  const resolved = (name: string, body: string, expected: object | null) =>
    it(name, () => expect(planOf(body).routes.find((route) => route.name === "a")?.settings.timeouts).toEqual(expected));
  const routed = (timeouts: string) => withRoutes(`- { name: a, match: {}, to: users, timeouts: ${timeouts} }`);
  resolved("a longer attempt makes the total longer", routed("{ attempt: 60s }"), { attemptMs: 60_000, totalMs: 180_000 });
  resolved("under its former name too", routed("{ response: 60s }"), { attemptMs: 60_000, totalMs: 180_000 });
  resolved("a shorter attempt leaves the total alone", routed("{ attempt: 1s }"), { attemptMs: 1000 });
  resolved("a total of its own stays", routed("{ attempt: 60s, total: 60s }"), { attemptMs: 60_000, totalMs: 60_000 });
  resolved("by defaults", `${withRoutes("- { name: a, match: {}, to: users }")}\ndefaults: { timeouts: { attempt: 1m } }\n`, {
    attemptMs: 60_000,
    totalMs: 180_000,
  });
  const weighted = (total: string) => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  users: { targets: [{ url: http://a }], retry: { attempts: 0 } }
  more: { targets: [{ url: http://b }], timeouts: { total: ${total} } }
routes: [{ name: a, weighted: [{ upstream: users }, { upstream: more }], timeouts: { attempt: 60s } }]
`;
  resolved("the longest of the totals, where they differ", weighted("2m"), { attemptMs: 60_000, totalMs: 120_000 });
  resolved("none, where an upstream has none", weighted("0"), { attemptMs: 60_000, totalMs: 0 });
});

describe("a total below an attempt", () => {
  check(
    "of an upstream",
    upstream("timeouts: { attempt: 60s, total: ‸15s }"),
    "upstreams.users.timeouts.total: `total: 15s` ends before `attempt: 1m` (upstreams.users.timeouts.attempt at c.yaml:4:61) does; lower `attempt`, or raise `total` (left out, it follows from the others)",
  );
  check(
    "written under the former name of attempt",
    upstream("timeouts: { response: 60s, total: ‸15s }"),
    "upstreams.users.timeouts.total: `total: 15s` ends before `attempt: 1m` (upstreams.users.timeouts.attempt at c.yaml:4:61) does; lower `attempt`, or raise `total` (left out, it follows from the others)",
  );
  check(
    "that connecting could outlast",
    upstream("timeouts: { connect: 10s, total: ‸5s }"),
    "upstreams.users.timeouts.total: `total: 5s` ends before `connect: 10s` (upstreams.users.timeouts.connect at c.yaml:4:61) does; lower `connect`, or raise `total` (left out, it follows from the others)",
  );
  const both = (upstreamTimeouts: string, routeTimeouts: string) =>
    upstream(`timeouts: ${upstreamTimeouts}`).replace("match: {}", `match: {}, timeouts: ${routeTimeouts}`);
  check(
    "of a route, whose upstream attempts longer",
    both("{ attempt: 10s }", "{ total: ‸2s }"),
    "routes[0].timeouts.total: `total: 2s` ends before `attempt: 10s` (upstreams.users.timeouts.attempt at c.yaml:4:61) does; lower `attempt`, or raise `total` (left out, it follows from the others)",
  );
  check(
    "of an upstream, on a route that attempts longer",
    both("{ total: 15s }", "{ attempt: ‸60s }"),
    "routes[0].timeouts.attempt: `attempt: 1m` could never be waited for: `total: 15s` (upstreams.users.timeouts.total at c.yaml:4:61) ends before; lower `attempt`, or raise `total` (left out, it follows from the others)",
  );
  check("is none where the route has both", both("{ attempt: 1m, total: 1m }", "{ attempt: 1s, total: 2s }"));
  check("is none where nobody wrote the attempt", both("{}", "{ total: 2s }"));
  check("is none for 0", both("{ attempt: 10s }", "{ total: 0 }"));
});

describe("the former name of attempt", () => {
  check(
    "cannot stand beside it",
    upstream("timeouts: { attempt: 1s, ‸response: 2s }"),
    "upstreams.users.timeouts.response: `response` is the former name of `attempt`, which stands beside it; remove it",
  );
  it("means the same in every layer", () => {
    const over = "upstreams: { users: { timeouts: { attempt: 2s } } }";
    const { config } = good([upstream("timeouts: { response: 9s }"), over]);
    expect(config.upstreams[0]?.timeouts.attemptMs).toBe(2000);
  });
});

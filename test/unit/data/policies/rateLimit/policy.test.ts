import { describe, expect, it, vi } from "vitest";
import { LimitTable } from "../../../../../src/shared/limit-table.ts";
import { LimitTablePrimary } from "../../../../../src/shared/limit-table-primary.ts";
import { parsePolicy, TestExchange } from "../../../../support/exchange.ts";
import { caller, routeWithLimits } from "../../../../support/limit-route.ts";

const codes = (count: number, one: () => { readonly code: string }): string[] => Array.from({ length: count }, () => one().code);
const passed = (count: number): string[] => Array.from({ length: count }, () => "passed");

describe("what is counted by itself", () => {
  const two = { rate: "1/min", burst: 2 };
  it.each([
    ["ip", [{ per: "ip", ...two }], [{ ip: "192.0.2.1" }, { ip: "192.0.2.2" }], [{ ip: "192.0.2.1", path: "/b" }]],
    ["IPv4 prefix", [{ per: "ip", ipv4Prefix: 24, ...two }], [{ ip: "192.0.2.1" }, { ip: "192.0.3.1" }], [{ ip: "192.0.2.77" }]],
    [
      "IPv6 /64 by default",
      [{ per: "ip", ...two }],
      [{ ip: "2001:db8:0:1::1" }, { ip: "2001:db8:0:2::1" }],
      [{ ip: "2001:db8:0:1:ffff::9" }],
    ],
    [
      "IPv6 prefix",
      [{ per: "ip", ipv6Prefix: 56, ...two }],
      [{ ip: "2001:db8:0:100::1" }, { ip: "2001:db8:0:200::1" }],
      [{ ip: "2001:db8:0:1ff::1" }],
    ],
    [
      "header",
      [{ per: { header: "X-Tenant" }, ...two }],
      [{ headers: { "x-tenant": "a" } }, { headers: { "x-tenant": "b" } }, {}],
      [{ headers: { "x-tenant": "a" }, ip: "192.0.2.9" }],
    ],
    [
      "header that is there twice, which is not there",
      [{ per: { header: "X-Key" }, ...two }],
      [{}, { headers: { "x-key": "a" } }],
      [{ headers: { "x-key": ["a", "b"] } }],
    ],
    [
      "parameter that is there twice, which is not there",
      [{ per: { key: "{query.key}" }, ...two }],
      [{}, { query: "key=a" }],
      [{ query: "key=a&key=b" }],
    ],
    [
      "parameter that readers of `;` see twice",
      [{ per: { key: "{query.key}" }, ...two }],
      [{}, { query: "key=a" }],
      [{ query: "x=1;key=b&key=a" }],
    ],
    [
      "key",
      [{ per: { key: "{path.tenant}-{method}" }, ...two }],
      [{ params: { tenant: "a" } }, { params: { tenant: "b" } }, { params: { tenant: "a" }, method: "PUT" }],
      [{ params: { tenant: "a" }, query: "x" }],
    ],
    [
      "consumer",
      [{ per: "consumer", ...two }],
      [{ identity: caller("a") }, { identity: caller("b") }, {}, { ip: "192.0.2.8" }],
      [{ identity: caller("a"), ip: "192.0.2.8" }],
    ],
    [
      "claim",
      [{ per: { claim: "org.id" }, ...two }],
      [{ identity: caller("a", { claims: { org: { id: 7 } } }) }, { identity: caller("a", { claims: { org: { id: 8 } } }) }],
      [{ identity: caller("z", { claims: { org: { id: "7" } } }) }],
    ],
    [
      "combination",
      [{ per: ["ip", { header: "x-tenant" }], ...two }],
      [
        { ip: "192.0.2.1", headers: { "x-tenant": "a" } },
        { ip: "192.0.2.1", headers: { "x-tenant": "b" } },
        { ip: "192.0.2.2", headers: { "x-tenant": "a" } },
      ],
      [{ ip: "192.0.2.1", headers: { "x-tenant": "a" }, path: "/x" }],
    ],
    ["gateway", [{ per: "gateway", ...two }], [{}], [{ ip: "192.0.2.1", path: "/other" }]],
  ])("%s", (_, limits, different, same) => {
    const route = routeWithLimits(limits, { paramNames: ["tenant"] });
    for (const sketch of different) expect(route.request(sketch).code).toBe("passed");
    // The first of them has one unit left, which goes to whoever counts as the same.
    for (const sketch of same) expect(codes(2, () => route.request(sketch))).toEqual(["passed", "rate_limited"]);
    expect(route.request(different[0]).code).toBe("rate_limited");
    for (const sketch of different.slice(1)) expect(route.request(sketch).code).toBe("passed");
  });

  it("never takes a caller who is nobody for a consumer called like an address", () => {
    const route = routeWithLimits([{ per: "consumer", rate: "1/min" }]);
    expect(route.request({ ip: "192.0.2.1" }).code).toBe("passed");
    expect(route.request({ identity: caller("192.0.2.1") }).code).toBe("passed");
  });
});

describe("which routes share", () => {
  const table = () => new LimitTable(LimitTable.allocate(4096, 2, 0), 0);
  it.each([
    ["a limit of its own each, by default", { per: "ip" }, "passed"],
    ["a limit that both name", { per: "ip", name: "site" }, "rate_limited"],
    ["a name, but each route by itself", { per: ["ip", "route"], name: "site" }, "passed"],
    ["the whole gateway", { per: "gateway" }, "rate_limited"],
  ])("%s", (_, limit, second) => {
    const shared = table();
    const of = (name: string) => routeWithLimits([{ rate: "1/min", ...limit }], { table: shared, name });
    expect(of("a").request().code).toBe("passed");
    expect(of("b").request().code).toBe(second);
  });

  it("a plan with other limits in front keeps the buckets of a limit", () => {
    const shared = table();
    const one = { per: "ip", rate: "1/min" };
    expect(routeWithLimits([one], { table: shared }).request().code).toBe("passed");
    expect(routeWithLimits([{ per: "route", rate: "9/s" }, one], { table: shared }).request().code).toBe("rate_limited");
  });
});

describe("names", () => {
  it.each(["quota: 1/day", "rate: 1/hour", "concurrency: 1"])("a limit of one part (%s) is called by its name everywhere", (size) => {
    const [part = "", value = ""] = size.split(": ");
    const limit = { name: "partner-daily", per: "route", [part]: part === "concurrency" ? Number(value) : value };
    const route = routeWithLimits([limit], { labels: ["partner-daily"] });
    route.begin();
    const refused = route.request();
    expect(route.outcomes).toEqual(["partner-daily passed", "partner-daily refused"]);
    expect(refused.reply).toMatchObject({ detail: expect.stringMatching(/^the limit partner-daily: /) });
    if (part === "concurrency") return;
    expect(refused.header("ratelimit")).toMatch(/^"partner-daily";r=0;t=\d+$/);
    expect(refused.header("ratelimit-policy")).toMatch(/^"partner-daily";q=1;w=\d+$/);
  });

  it("of several parts each has its own in header fields and metrics, and messages call all by the limit's name", () => {
    const route = routeWithLimits([{ name: "partner", per: "route", rate: "9/s", quota: "1/day" }], {
      labels: ["partner", "partner-quota"],
    });
    route.request();
    const refused = route.request();
    expect(route.outcomes).toEqual(["partner passed", "partner-quota passed", "partner-quota refused"]);
    expect(refused.reply).toMatchObject({ code: "quota_exceeded", detail: expect.stringMatching(/^the limit partner: /) });
    expect(refused.header("ratelimit-policy")).toMatch(/^"partner";.*, "partner-quota";/);
  });
});

describe("sizes", () => {
  const tiers = [
    { name: "gold", rate: { count: 60, periodMs: 60_000 }, burst: 3, quota: null, concurrency: null, weight: 1, priority: null },
    {
      name: "free",
      rate: { count: 60, periodMs: 60_000 },
      burst: 1,
      quota: { count: 2, periodMs: 3_600_000, month: false },
      concurrency: 1,
      weight: 1,
      priority: null,
    },
  ];

  it("come from the caller's tier, with all its parts; without one from beside it", () => {
    const labels = ["consumer", "consumer-quota", "consumer-concurrency"];
    const route = routeWithLimits([{ per: "consumer", tier: true, rate: "1/min", burst: 2 }], { tiers, labels });
    expect(codes(4, () => route.request({ identity: caller("g", { tier: "gold" }) }))).toEqual([...passed(3), "rate_limited"]);
    expect(codes(3, () => route.request({ identity: caller("n") }))).toEqual([...passed(2), "rate_limited"]);
    const free = { identity: caller("f", { tier: "free" }) };
    const under = route.begin(free);
    route.table.setNow(0, 0);
    expect(route.request(free).code).toBe("rate_limited");
    under.finish();
    expect(route.outcomes.slice(-4)).toEqual([
      "consumer passed",
      "consumer-quota passed",
      "consumer-concurrency passed",
      "consumer refused",
    ]);
  });

  it("come from a claim, within bounds", () => {
    const limit = { per: "consumer", rate: { claim: "rps", max: "4/s", default: "1/s" } };
    const route = routeWithLimits([limit]);
    const burst = (consumer: string, rps: unknown): number =>
      codes(9, () => route.request({ identity: caller(consumer, { claims: { rps } }) })).filter((code) => code === "passed").length;
    expect([burst("a", 3), burst("b", 1000), burst("c", "2/s"), burst("d", "x"), burst("e", -1), burst("f", "90000/min")]).toEqual([
      3, 4, 2, 1, 1, 4,
    ]);
  });
});

describe("costs", () => {
  it.each([
    ["fixed", 2, {}, 2],
    ["by header", { header: "x-cost", max: 3 }, { headers: { "x-cost": "3" } }, 1],
    ["by header, bounded above", { header: "x-cost", max: 2 }, { headers: { "x-cost": "400" } }, 2],
    ["by header, never nothing", { header: "x-cost", max: 2 }, { headers: { "x-cost": "0" } }, 4],
    ["by header that is absent", { header: "x-cost", default: 2, max: 4 }, {}, 2],
    ["by header that is there twice", { header: "x-cost", default: 2, max: 4 }, { headers: { "x-cost": ["1", "4"] } }, 2],
    ["by header that is no number", { header: "x-cost", default: 2, max: 4 }, { headers: { "x-cost": "1e9" } }, 2],
  ])("%s", (_, cost, sketch, times) => {
    const route = routeWithLimits([{ per: "ip", rate: "1/min", burst: 4, cost }]);
    expect(codes(5, () => route.request(sketch)).filter((code) => code === "passed").length).toBe(times);
  });

  it("by response header: afterwards, and not told to the client", () => {
    const route = routeWithLimits([{ per: "ip", rate: "60/min", burst: 4, cost: { responseHeader: "x-units", max: 100 } }]);
    const answer = route.request({}, { fields: { "x-units": "6" } });
    expect([answer.code, answer.header("x-units")]).toEqual(["passed", undefined]);
    const refused = route.request();
    expect([refused.code, refused.header("retry-after")]).toEqual(["rate_limited", "3"]);
    const free = routeWithLimits([{ per: "ip", rate: "1/min", cost: { responseHeader: "x-units", max: 100 } }]);
    expect(codes(3, () => free.request({}, { fields: { "x-units": "0" } }))).toEqual(passed(3));
  });

  it("are refused at load when they could never pass", () => {
    expect(parsePolicy("rateLimit", [{ per: "ip", rate: "10/s", burst: 5, cost: 6 }])).toMatchObject({
      problems: ["0.cost: a request may cost 6, more than the burst of 5: it could never pass"],
    });
  });
});

describe("a refusal", () => {
  it("gives back what all others took, those of the first stage too", () => {
    const labels = ["gateway", "consumer", "ip-concurrency"];
    const route = routeWithLimits(
      [
        { per: "consumer", rate: "1/min" },
        { per: "gateway", rate: "1/min", burst: 5 },
        { per: "ip", concurrency: 1 },
      ],
      { labels },
    );
    const a = { identity: caller("a") };
    expect(codes(6, () => route.request(a))).toEqual([
      "passed",
      "rate_limited",
      "rate_limited",
      "rate_limited",
      "rate_limited",
      "rate_limited",
    ]);
    expect(route.outcomes.filter((each) => each.endsWith("refused"))).toEqual(Array.from({ length: 5 }, () => "consumer refused"));
    expect(codes(5, () => route.request({ identity: caller(String(Math.random())) }))).toEqual([...passed(4), "rate_limited"]);
  });

  it("says what and until when", () => {
    const route = routeWithLimits([
      { per: "ip", rate: "30/min", burst: 2, name: "steady" },
      { per: "route", rate: "100/s", burst: 200 },
      { per: "ip", quota: "1000/day", headers: false },
      { per: "ip", concurrency: 9 },
    ]);
    const first = route.request();
    expect(first.header("ratelimit-policy")).toBe('"steady";q=2;w=4, "route";q=200;w=2');
    expect(first.header("ratelimit")).toBe('"steady";r=1;t=2, "route";r=199;t=1');
    route.request();
    const refused = route.request();
    expect(refused.reply).toMatchObject({
      code: "rate_limited",
      detail: "the limit steady: try again in 2 s",
      headers: ["retry-after", "2"],
    });
    expect(refused.header("ratelimit-policy")).toBe('"steady";q=2;w=4, "route";q=200;w=2');
    expect(refused.header("ratelimit")).toBe('"steady";r=0;t=2');
  });

  it("takes the place of what the upstream says about limits", () => {
    const route = routeWithLimits([{ per: "ip", rate: "1/s" }]);
    const { head } = route.request(
      {},
      { fields: { ratelimit: '"other";r=1', "ratelimit-policy": '"other";q=1', "x-ratelimit-limit": "5" } },
    );
    expect(head.headers).toEqual(["x-ratelimit-limit", "5", "ratelimit-policy", '"ip";q=1;w=1', "ratelimit", '"ip";r=0;t=1']);
  });
});

describe("quotas", () => {
  const at = (iso: string, run: () => void): void => {
    vi.useFakeTimers({ now: Date.parse(iso), toFake: ["Date"] });
    try {
      run();
    } finally {
      vi.useRealTimers();
    }
  };

  it.each([
    ["hour", "2/hour", "2026-03-01T10:59:30Z", "30", "2026-03-01T11:00:00Z"],
    ["day", "2/day", "2026-02-28T23:59:00Z", "60", "2026-03-01T00:00:01Z"],
    ["month", "2/month", "2026-02-28T23:00:00Z", "3600", "2026-03-01T00:00:00Z"],
  ])("of a calendar %s end with it", (_, quota, before, retry, after) => {
    const route = routeWithLimits([{ per: "ip", quota }]);
    at(before, () => {
      expect(codes(2, () => route.request())).toEqual(passed(2));
      const refused = route.request();
      expect([refused.code, refused.header("retry-after")]).toEqual(["quota_exceeded", retry]);
      expect(refused.header("ratelimit")).toBe(`"ip-quota";r=0;t=${retry}`);
    });
    at(after, () => expect(codes(3, () => route.request())).toEqual([...passed(2), "quota_exceeded"]));
  });

  it("that roll carry over what came in the period before, less and less", () => {
    const route = routeWithLimits([{ per: "ip", quota: "100/hour", window: "rolling" }]);
    const count = (): number => codes(200, () => route.request()).filter((code) => code === "passed").length;
    at("2026-03-01T10:30:00Z", () => expect(count()).toBe(100));
    at("2026-03-01T11:00:00Z", () => expect(count()).toBe(0));
    at("2026-03-01T11:15:00Z", () => expect(count()).toBe(25));
    at("2026-03-01T11:45:00Z", () => {
      expect(count()).toBe(50);
      expect(route.request().header("retry-after")).toBe("36");
    });
    at("2026-03-01T13:00:00Z", () => expect(count()).toBe(100));
  });
});

describe("shadow", () => {
  it("counts and notes what it would refuse, and lets it pass", () => {
    const route = routeWithLimits([{ per: "ip", rate: "1/min", shadow: true }], { labels: ["ip"] });
    const [first, second] = [route.request(), route.request()];
    expect([first.code, second.code]).toEqual(["passed", "passed"]);
    expect(route.outcomes).toEqual(["ip passed", "ip shadowed"]);
    expect([first.x.errorDetail, second.x.errorDetail]).toEqual(["", "shadow: the limit ip would have refused this"]);
    expect(second.header("ratelimit")).toBeUndefined();
  });

  it("does not count what another limit refused", () => {
    const route = routeWithLimits(
      [
        { per: "ip", rate: "1/min", shadow: true, burst: 5 },
        { per: { header: "x-a" }, rate: "1/min" },
      ],
      { labels: ["ip", "header-x-a"] },
    );
    codes(3, () => route.request());
    expect(route.outcomes.filter((each) => each.startsWith("ip"))).toEqual(["ip passed"]);
  });
});

describe("concurrency", () => {
  it("counts what is under way, each once", () => {
    const route = routeWithLimits([{ per: "ip", concurrency: 2 }]);
    const first = route.begin();
    const second = route.begin();
    const refused = route.request();
    expect([refused.code, refused.header("retry-after")]).toEqual(["concurrency_limited", "1"]);
    expect(route.request({ ip: "192.0.2.1" }).code).toBe("passed");
    first.finish();
    first.finish();
    expect(codes(3, () => route.request())).toEqual(passed(3));
    second.finish();
    const three = [route.begin(), route.begin(), route.begin()];
    expect(three.map((each) => each.reply?.kind)).toEqual([undefined, undefined, "problem"]);
    for (const each of three) each.finish();
  });
});

describe("strict", () => {
  it("waits for its grant, and refuses when none comes", async () => {
    const table = new LimitTable(LimitTable.allocate(4096, 2, 0), 0);
    const ledger = new LimitTablePrimary(table.buffer);
    const { policy } = routeWithLimits([{ per: "ip", rate: "1/s", burst: 4, mode: "strict", wait: "5s" }], { table });
    const x = new TestExchange();
    const reply = policy.onRequest?.(x);
    expect(reply).toBeInstanceOf(Promise);
    let granted = 0;
    while (granted === 0)
      ledger.take(10, (entry) => ledger.grant(entry.slot, entry.tagHigh, entry.tagLow, (granted = entry.wanted), 60_000));
    expect(await reply).toBeUndefined();
    policy.onFinish?.(x);

    const impatient = routeWithLimits([{ per: { header: "x" }, rate: "1/s", mode: "strict", wait: "10ms" }], { table });
    expect(await impatient.policy.onRequest?.(new TestExchange())).toMatchObject({ code: "limits_unavailable" });
  });
});

describe("a full table", () => {
  it("that has nothing left to share refuses with 503", () => {
    const table = new LimitTable(LimitTable.allocate(4096, 2, 0), 0);
    let full = "";
    for (let i = 0; i < 3000 && full === ""; i++) {
      const route = routeWithLimits([{ per: { header: "x" }, rate: "1/day", name: `limit${i}` }], { table });
      for (let k = 0; k < 40; k++) {
        const { code } = route.request({ headers: { x: String(k) } });
        if (code !== "passed" && code !== "rate_limited") full = code;
      }
    }
    expect(full).toBe("limits_unavailable");
  });
});

// Owns tests of session affinity: which target a cookie names, when it is set, what it tells, and what the configuration makes of it.
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { sticky } from "../../../../src/control/config/schema/sticky.ts";
import type { StickyPlan } from "../../../../src/plan/plan.ts";
import { type RequestSketch, TestExchange } from "../../../support/exchange.ts";
import { endpoint, endpoints, Rig, upstreamPlan } from "../../../support/upstreams.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const parse = (settings: object = {}) => sticky().safeParse({ cookie: "node", secret: SECRET, ...settings });
const stickyPlan = (settings: object = {}): StickyPlan => sticky().parse({ cookie: "node", secret: SECRET, ...settings });
const list = endpoints([1, 1, 1, 1]);
const rigOf = (settings: object = {}, seed = 1, of = list): Rig =>
  new Rig(upstreamPlan({ balance: "random", sticky: stickyPlan(settings) }), of, seed);

/** The Set-Cookie of an answer from a target, or null. */
function cookieOf(rig: Rig, target: string, request: RequestSketch = {}): string | null {
  const x = new TestExchange(request);
  const fields: string[] = [];
  rig.upstream.sticky?.remember(x, rig.named(target), fields);
  expect(fields.length).toBeLessThanOrEqual(2);
  return fields.length === 0 ? null : (fields[1] ?? "");
}
const pairOf = (rig: Rig, target: string): string => String(cookieOf(rig, target)).split(";")[0] ?? "";
/** Where a request with this cookie goes, tried often. */
const goesTo = (rig: Rig, cookie: string, tried: readonly string[] = []): string[] => {
  const seen = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const x = new TestExchange({ headers: { cookie } });
    seen.add(
      rig.upstream.select(
        x,
        tried.map((name) => rig.named(name)),
      )?.plan.key ?? "none",
    );
  }
  return [...seen].sort();
};

describe("a client with the cookie", () => {
  test("goes to the target that it names, in every worker, after every restart, whatever the order and length of the list", () => {
    const pair = pairOf(rigOf(), "c");
    expect(goesTo(rigOf({}, 2), `a=b; ${pair}; c=d`)).toEqual(["c"]);
    expect(goesTo(rigOf({}, 3, [endpoint("new", 9), ...[...list].reverse()]), pair)).toEqual(["c"]);
    expect(goesTo(rigOf({ lifetime: "1h", sameSite: "strict" }), pair)).toEqual(["c"]);
  });

  test("goes elsewhere while the target is down, ejected, tried or gone, and back when it is there", () => {
    const rig = rigOf();
    const pair = pairOf(rig, "a");
    rig.health.setDown(0, true, rig.nowMs);
    expect(goesTo(rig, pair)).toEqual(["b", "c", "d"]);
    rig.health.setDown(0, false, rig.nowMs);
    expect(goesTo(rig, pair)).toEqual(["a"]);
    expect(goesTo(rig, pair, ["a"])).toEqual(["b", "c", "d"]);
    rig.upstream.setEndpoints(list.slice(1));
    expect(goesTo(rig, pair)).toEqual(["b", "c", "d"]);
    rig.upstream.setEndpoints(list);
    expect(goesTo(rig, pair)).toEqual(["a"]);
  });

  test.each(["node=", "node=a", "node=AAAAAAAAAAAAAAAA", "other=1", "node=__proto__", `node=${"x".repeat(4000)}`])(
    "that this secret did not make goes anywhere: %s",
    (cookie) => {
      expect(goesTo(rigOf(), cookie)).toEqual(["a", "b", "c", "d"]);
    },
  );

  test("that another secret made goes anywhere", () => {
    expect(goesTo(rigOf(), pairOf(rigOf({ secret: `${SECRET}2` }), "a"))).toEqual(["a", "b", "c", "d"]);
  });
});

describe("the cookie", () => {
  test("is set by the target that answers, once, and anew when another one answers", () => {
    const rig = rigOf();
    const pair = pairOf(rig, "a");
    expect(cookieOf(rig, "a", { headers: { cookie: pair } })).toBe(null);
    expect(cookieOf(rig, "b", { headers: { cookie: pair } })).toBe(`${pairOf(rig, "b")}; Path=/; HttpOnly; SameSite=Lax`);
    expect(cookieOf(rig, "a", { headers: { cookie: "node=forged" } })).toBe(`${pair}; Path=/; HttpOnly; SameSite=Lax`);
  });

  test("is another one for each target, and says nothing of where it is", () => {
    const at = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address, slot) => endpoint(`http://${address}:9001`, slot, { address }));
    const rig = rigOf({}, 1, at);
    const values = at.map(({ key }) => pairOf(rig, key));
    expect(new Set(values).size).toBe(3);
    for (const value of values) expect(value).toMatch(/^node=[A-Za-z0-9_-]{16}$/);
  });

  test.each<[object, "http" | "https", string]>([
    [{}, "http", "; Path=/; HttpOnly; SameSite=Lax"],
    [{}, "https", "; Path=/; HttpOnly; SameSite=Lax; Secure"],
    [{ secure: false }, "https", "; Path=/; HttpOnly; SameSite=Lax"],
    [{ secure: true }, "http", "; Path=/; HttpOnly; SameSite=Lax; Secure"],
    [{ secure: true, sameSite: "none", httpOnly: false }, "https", "; Path=/; SameSite=None; Secure"],
    [{ lifetime: "8h", sameSite: "strict", path: "/shop" }, "https", "; Path=/shop; Max-Age=28800; HttpOnly; SameSite=Strict; Secure"],
  ])("has the attributes that %j says, over %s", (settings, scheme, attributes) => {
    expect(cookieOf(rigOf(settings), "a", { scheme })).toMatch(new RegExp(`^node=[A-Za-z0-9_-]{16}${attributes}$`));
  });
});

test.each<[object, string]>([
  [{ secret: "short" }, "secret"],
  [{ cookie: "a b" }, "cookie"],
  [{ cookie: "a=b" }, "cookie"],
  [{ cookie: "" }, "cookie"],
  [{ path: "shop" }, "path"],
  [{ path: "/a;b" }, "path"],
  [{ lifetime: "0s" }, "lifetime"],
  [{ lifetime: "500d" }, "lifetime"],
  [{ sameSite: "none" }, "sameSite"],
  [{ sameSite: "none", secure: false }, "sameSite"],
  [{ cookie: "__Host-node" }, "cookie"],
  [{ cookie: "__Secure-node", secure: false }, "cookie"],
  [{ cookie: "__Host-node", secure: true, path: "/shop" }, "path"],
])("%j is refused", (settings, at) => {
  const { error } = parse(settings);
  expect(error instanceof z.ZodError && error.issues.map(({ path }) => path[0])).toEqual([at]);
});

// The list of cases holds together, and a whole run fits into its time.
import { describe, expect, it } from "vitest";
import { METRICS } from "../../../native-bench/cases/case.ts";
import { CASES } from "../../../native-bench/cases/catalog.ts";
import { estimatedSeconds } from "../../../native-bench/cases/duration.ts";
import { pairOf } from "../../../native-bench/compare/verdict.ts";
import { parseOptions } from "../../../native-bench/options.ts";
import { PEERS } from "../../../native-bench/peers/catalog.ts";
import { type PeerKind, PLAIN } from "../../../native-bench/peers/peer.ts";

/** Whole, on a quiet machine. */
const MINUTES_MAX = 20;

describe.each(CASES)("$name", (each) => {
  const labels = each.contenders.map(({ label }) => label);
  it("names contenders once, each with a peer and a baseline that exist", () => {
    expect(new Set(labels).size).toBe(labels.length);
    for (const { peer, baseline } of each.contenders) {
      expect(PEERS.map(({ name }) => name)).toContain(peer);
      expect(labels).toContain(baseline);
    }
  });
  it("shows what it judges", () => {
    expect(each.columns).toContain(each.primary);
    for (const { metric, label, against } of each.aims) {
      expect(Object.keys(METRICS)).toContain(metric);
      expect(labels).toEqual(expect.arrayContaining([label, against]));
    }
  });
  it("gives a reason wherever a server cannot take part", () => {
    for (const { peer, setup } of each.contenders) {
      const refused = PEERS.find(({ name }) => name === peer)?.refuses(setup);
      expect(refused === null || (typeof refused === "string" && refused.length > 5)).toBe(true);
    }
  });
  it("can be run with ours alone, old twice beside new", () => {
    const pair = pairOf(each);
    expect(pair.contenders.filter(({ peer }) => peer === "old")).toHaveLength((pair.contenders.length / 3) * 2);
    expect(new Set(pair.contenders.map(({ label }) => label)).size).toBe(pair.contenders.length);
    for (const { baseline } of pair.contenders) expect(pair.contenders.map(({ label }) => label)).toContain(baseline);
  });
});

describe("the catalog", () => {
  it("names cases once, and ours takes part in each", () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
    for (const { contenders } of CASES) expect(contenders.map(({ peer }) => peer)).toContain("sluice");
  });
  it(`fits a default run into ${MINUTES_MAX} minutes, also when every policy is built`, () => {
    const { seconds } = parseOptions([], { cases: [], peers: [] });
    const peers: readonly PeerKind[] = PEERS.map((kind) => (kind.name === "sluice" ? { ...kind, refuses: () => null } : kind));
    const total = CASES.reduce((sum, each) => sum + estimatedSeconds(each, { rounds: each.rounds, seconds, peers }), 0);
    expect(total / 60).toBeLessThan(MINUTES_MAX);
    expect(total / 60).toBeGreaterThan(3); // an estimate that forgets the rounds would pass the bound
  });
});

describe("the guarded cases", () => {
  it("compare with a script in Lua only where it can check the signature", () => {
    const inLua = PEERS.find(({ name }) => name === "nginx-lua");
    const named = (name: string) => CASES.find((each) => each.name === name);
    for (const [name, guarded, takesPart] of [
      ["guarded-hs256", "HS256", true],
      ["guarded-rs256", "RS256", false],
    ] as const) {
      expect(named(name)?.contenders.some(({ peer }) => peer === "nginx-lua")).toBe(takesPart);
      expect(named(name)?.aims.some(({ against }) => against === "nginx-lua")).toBe(takesPart);
      expect(inLua?.refuses({ ...PLAIN, guarded }) === null).toBe(takesPart);
    }
  });
});

describe("peers", () => {
  it("can all do the plain case, or the one that they are written for, and are named once", () => {
    const [plain, aggregate] = [PLAIN, { ...PLAIN, aggregate: true }];
    expect(PEERS.filter((kind) => kind.refuses(plain) !== null && kind.refuses(aggregate) !== null)).toEqual([]);
    expect(PEERS.filter((kind) => kind.refuses(aggregate) === null).map(({ name }) => name)).toEqual([
      "sluice",
      "sluice-pipelining",
      "sluice-net",
      "sluice-net-pipelining",
      "fastify-aggregate",
    ]);
    expect(new Set(PEERS.map(({ name }) => name)).size).toBe(PEERS.length);
  });
});

import { beforeEach, describe, expect, it } from "vitest";
import { type NotedOrder, type PurgeVerdict, TierPurges } from "../../../../src/shared/cache/tier-purges.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const ERA = "1.2.a";
const order = (changes: Partial<NotedOrder>): NotedOrder => ({ soft: false, everything: false, names: [], prefixes: [], ...changes });

let buffer: SharedArrayBuffer;
let primary: TierPurges;
let worker: TierPurges;
beforeEach(() => {
  buffer = TierPurges.allocate();
  primary = new TierPurges(buffer);
  worker = new TierPurges(buffer);
});

/** All orders up to the last one are known. */
function known(orders: readonly NotedOrder[], floor = 0): void {
  primary.begin(ERA, floor);
  for (const [i, each] of orders.entries()) primary.note(floor + 1 + i, each);
  primary.reached(floor + orders.length);
}

const judge = (sequence: number, log: number, { names = [7], url = "https://a/x", era = ERA } = {}): PurgeVerdict =>
  worker.judge({ place: { era: ERA, sequence }, url, names }, { era, sequence: log });

describe("a record", () => {
  it("is void while nothing is known of the log", () => {
    expect(judge(0, 0)).toBe("void");
    expect(worker.placeIn(ERA)).toBeNull();
    primary.begin(ERA, 0);
    expect(judge(0, 0)).toBe("void");
  });

  it("is valid when nothing was purged since it was asked for, and void or soft when its name was", () => {
    known([order({ names: [7] }), order({ names: [8], soft: true }), order({ names: [9] })]);
    expect([0, 1, 2, 3].map((at) => judge(at, 3))).toEqual(["void", "valid", "valid", "valid"]);
    expect([0, 1, 2, 3].map((at) => judge(at, 3, { names: [8] }))).toEqual(["soft", "soft", "valid", "valid"]);
    expect([0, 2, 3].map((at) => judge(at, 3, { names: [1, 8, 9] }))).toEqual(["void", "void", "valid"]);
  });

  it("is void when Redis has orders that are not known here, or of another log", () => {
    known([order({ names: [1] })]);
    expect([judge(1, 1), judge(1, 2), judge(1, 0), judge(1, 1, { era: "another" })]).toEqual(["valid", "void", "void", "void"]);
    expect(worker.judge({ place: { era: "another", sequence: 1 }, url: "", names: [] }, { era: ERA, sequence: 1 })).toBe("void");
    expect(judge(2, 1)).toBe("void");
  });

  it("from before what is known one by one is void", () => {
    known([order({ names: [1] })], 100);
    expect([judge(99, 101), judge(100, 101), judge(101, 101)]).toEqual(["void", "valid", "valid"]);
  });

  it("goes with everything, softly too", () => {
    known([order({ everything: true, soft: true }), order({ everything: true })]);
    expect([judge(0, 2), judge(1, 2), judge(2, 2)]).toEqual(["void", "void", "valid"]);
    known([order({ everything: true, soft: true })]);
    expect([judge(0, 1), judge(1, 1)]).toEqual(["soft", "valid"]);
  });

  it("goes by prefix, character by character", () => {
    known([order({ prefixes: ["https://a/dir/"] }), order({ prefixes: ["https://a/soft"], soft: true })]);
    const urls = ["https://a/dir/", "https://a/dir/x?y", "https://a/dir", "https://a/softly", "https://b/dir/"];
    expect(urls.map((url) => judge(0, 2, { url }))).toEqual(["void", "void", "valid", "soft", "valid"]);
    expect(urls.map((url) => judge(2, 2, { url }))).toEqual(Array(5).fill("valid"));
  });

  it("that is older than the prefixes that are remembered is void, as it is by one that is too long", () => {
    known(Array.from({ length: 130 }, (_, i) => order({ prefixes: [`https://p/${i}/`] })));
    expect([judge(0, 130), judge(1, 130), judge(2, 130), judge(130, 130)]).toEqual(["void", "void", "valid", "valid"]);
    known([order({ prefixes: [`https://${"p".repeat(2000)}`] })]);
    expect([judge(0, 1), judge(1, 1)]).toEqual(["void", "valid"]);
  });

  it("is void while an order of this instance that names it is not in the log", () => {
    known([]);
    for (const held of [order({ names: [7] }), order({ everything: true }), order({ prefixes: ["https://z/"] })]) {
      primary.hold(held);
      primary.hold(held);
      primary.release(held);
      expect(judge(0, 0)).toBe("void");
      primary.release(held);
      expect(judge(0, 0)).toBe("valid");
    }
    worker.holdUrl(7 + 2 ** 20);
    worker.holdUrl(7 + 2 ** 20);
    primary.releaseUrl(7, 1);
    expect([judge(0, 0), judge(0, 0, { names: [8] })]).toEqual(["void", "valid"]);
    primary.releaseUrl(7, 1);
    expect(judge(0, 0)).toBe("valid");
  });

  it("of another log is void once the log is begun anew, and what is asked for now stands in the new one", () => {
    known([order({ names: [7] })]);
    expect(worker.placeIn(ERA)).toEqual({ era: ERA, sequence: 1 });
    primary.begin("another", 0);
    expect([judge(1, 1), worker.placeIn(ERA), worker.placeIn("another")]).toEqual(["void", null, null]);
    primary.reached(1);
    expect([judge(1, 1), worker.placeIn("another")?.sequence]).toEqual(["void", 1]);
  });

  it("keeps its order when numbers are beyond 2^31, and nothing is known beyond 2^32", () => {
    const high = 2 ** 31 + 5;
    primary.begin(ERA, high);
    primary.note(high + 1, order({ names: [7] }));
    primary.reached(high + 2);
    expect([judge(high, high + 2), judge(high + 1, high + 2)]).toEqual(["void", "valid"]);
    primary.reached(2 ** 32);
    expect(worker.placeIn(ERA)).toBeNull();
  });
});

it("whatever is purged, in whatever order, nothing that was purged since is valid", () => {
  const random = seededRandom(26);
  const any = (end: number): number => Math.floor(random() * end);
  const urls = Array.from({ length: 20 }, (_, i) => `https://h${i % 3}/d${i % 4}/${i}`);
  let valid = 0;
  for (let round = 0; round < 60; round++) {
    const orders = Array.from({ length: any(200) }, () => {
      const kind = random();
      const soft = random() < 0.3;
      if (kind < 0.02) return order({ everything: true, soft });
      if (kind < 0.3) return order({ prefixes: [(urls[any(20)] ?? "").slice(0, 9 + any(8))], soft });
      return order({ names: [any(40), any(40)], soft });
    });
    const floor = any(3) * 1000;
    known(orders, floor);
    for (let look = 0; look < 50; look++) {
      const [sequence, url, names] = [floor + any(orders.length + 1), urls[any(20)] ?? "", [any(40), any(40)]];
      const since = orders.slice(sequence - floor);
      const hit = since.filter(
        (each) => each.everything || each.names.some((n) => names.includes(n)) || each.prefixes.some((p) => url.startsWith(p)),
      );
      const least: PurgeVerdict = hit.some(({ soft }) => !soft) ? "void" : hit.length > 0 ? "soft" : "valid";
      const verdict = judge(sequence, floor + orders.length, { url, names });
      const rank = ["valid", "soft", "void"];
      expect(rank.indexOf(verdict)).toBeGreaterThanOrEqual(rank.indexOf(least));
      if (verdict === "valid") valid++;
    }
  }
  expect(valid).toBeGreaterThan(100);
});

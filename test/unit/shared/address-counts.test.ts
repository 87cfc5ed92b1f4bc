// Owns tests of counting by address: buckets, and how many each has over all workers.
import { describe, expect, it } from "vitest";
import { ADDRESS_BUCKETS, AddressBucket } from "../../../src/shared/address-bucket.ts";
import { AddressCounts, addressCountsBytes } from "../../../src/shared/address-counts.ts";

describe("the bucket of an address", () => {
  const buckets = new AddressBucket(new Uint8Array(16).fill(7));
  it.each([
    ["203.0.113.7", "203.0.113.7", true],
    ["203.0.113.7", "203.0.113.8", false],
    ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true],
    ["2001:db8:0:1::1", "2001:db8:0:2::1", false],
  ])("%s and %s: the same is %s", (a, b, same) => {
    expect(buckets.of(a) === buckets.of(b)).toBe(same);
  });

  it("is within the table, and another with another key", () => {
    const other = new AddressBucket(new Uint8Array(16).fill(8));
    const addresses = Array.from({ length: 1000 }, (_, n) => `198.51.${n >> 8}.${n & 255}`);
    for (const address of addresses) {
      expect(buckets.of(address)).toBeGreaterThanOrEqual(0);
      expect(buckets.of(address)).toBeLessThan(ADDRESS_BUCKETS);
    }
    expect(addresses.filter((address) => buckets.of(address) === other.of(address)).length).toBeLessThan(10);
  });
});

describe("counts by address", () => {
  it("are over all workers, and never pass the limit", () => {
    const buffer = new SharedArrayBuffer(addressCountsBytes(3));
    const workers = [0, 1, 2].map((index) => new AddressCounts(buffer, index)) as [AddressCounts, AddressCounts, AddressCounts];
    expect(workers.map((worker) => worker.enter(5, 2))).toEqual([true, true, false]);
    expect(workers[0].enter(6, 2)).toBe(true);
    workers[1].leave(5);
    expect([workers[2].enter(5, 2), workers[2].count(5)]).toEqual([true, 2]);
  });

  it("forget a worker that is gone", () => {
    const buffer = new SharedArrayBuffer(addressCountsBytes(2));
    const [dead, alive] = [new AddressCounts(buffer, 0), new AddressCounts(buffer, 1)];
    dead.enter(5, 10);
    alive.enter(5, 10);
    new AddressCounts(buffer).clearWorker(0);
    expect(alive.count(5)).toBe(1);
  });
});

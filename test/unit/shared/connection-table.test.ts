// Owns tests of the table of connections by address: never too little, whatever a census does meanwhile.
import { beforeEach, describe, expect, it } from "vitest";
import { ADDRESS_BUCKETS } from "../../../src/shared/address-bucket.ts";
import { CONNECTION_TABLE_BYTES, ConnectionTable } from "../../../src/shared/connection-table.ts";

const LIMIT = 10;
const BUCKET = 4711;

let table: ConnectionTable;
beforeEach(() => {
  table = new ConnectionTable(new SharedArrayBuffer(CONNECTION_TABLE_BYTES));
  table.works = true;
});

/** @returns how many of so many may stay */
function open(times: number, bucket = BUCKET): number {
  let stayed = 0;
  for (let i = 0; i < times; i++) if (table.opened(bucket, LIMIT)) stayed++;
  return stayed;
}

function listed(connections: number): Int32Array {
  const list = new Int32Array(ADDRESS_BUCKETS);
  list[BUCKET] = connections;
  return list;
}

describe("the table of connections", () => {
  it("takes as many as the limit, for each bucket", () => {
    expect([open(LIMIT + 5), open(LIMIT + 5, BUCKET + 1)]).toEqual([LIMIT, LIMIT]);
  });

  it("wants a census when somebody has half of the limit", () => {
    open(LIMIT / 2 - 1);
    expect(table.wanted).toBe(false);
    open(1);
    expect(table.wanted).toBe(true);
    table.beginCensus();
    expect(table.wanted).toBe(false);
  });

  it("what a census does not list any more is free again", () => {
    open(LIMIT);
    table.beginCensus();
    expect(open(5)).toBe(0);
    table.endCensus(listed(3));
    expect(open(LIMIT)).toBe(LIMIT - 3);
  });

  it("what is opened while a census lists counts on after it", () => {
    open(4);
    table.beginCensus();
    expect(open(LIMIT)).toBe(LIMIT - 4);
    table.endCensus(listed(4));
    expect(open(1)).toBe(0);
    // Those that were opened meanwhile are in the next one.
    table.beginCensus();
    table.endCensus(listed(LIMIT));
    expect(open(1)).toBe(0);
  });

  it("turns nobody away without a census to rely on", () => {
    table.works = false;
    expect(open(5 * LIMIT)).toBe(5 * LIMIT);
  });
});

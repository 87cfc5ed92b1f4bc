// How much a connection reads at once.
import { expect, it } from "vitest";
import { LONG_READ_BYTES, LONG_READERS_MAX, READ_BYTES, ReadSize } from "../../../../../../src/data/upstream/transport/http1/read-size.ts";

class Reader extends ReadSize {
  constructor() {
    super();
    this.begins(true);
  }

  /** @returns what the next read may bring */
  reads(bytes: number): number {
    this.read(bytes);
    return this.next().length;
  }
}

function longReader(): Reader {
  const reader = new Reader();
  expect(reader.reads(READ_BYTES)).toBe(LONG_READ_BYTES);
  return reader;
}

it("reads little until a read was full, much from then on, and little again in the next response", () => {
  const reader = new Reader();
  expect(reader.next()).toHaveLength(READ_BYTES);
  expect(reader.reads(READ_BYTES - 1)).toBe(READ_BYTES);
  expect(reader.reads(READ_BYTES)).toBe(LONG_READ_BYTES);
  expect(reader.reads(1000)).toBe(LONG_READ_BYTES);
  reader.reset();
  reader.begins(true);
  expect(reader.reads(100)).toBe(READ_BYTES);
});

it("reads little of a body whose length is not known", () => {
  const reader = new Reader();
  reader.begins(false);
  expect(reader.reads(READ_BYTES)).toBe(READ_BYTES);
});

it("reads little when the client has been too slow, until the next response", () => {
  const reader = longReader();
  reader.clientPaused();
  reader.clientResumed();
  expect(reader.reads(READ_BYTES)).toBe(READ_BYTES);
  reader.reset();
  reader.begins(true);
  expect(reader.reads(READ_BYTES)).toBe(LONG_READ_BYTES);
  reader.reset();
});

it("lets a bounded number read much; who holds unread data counts, who is done does not", () => {
  const readers = Array.from({ length: LONG_READERS_MAX }, longReader);
  const late = new Reader();
  expect(late.reads(READ_BYTES)).toBe(READ_BYTES);
  readers[0]?.clientPaused();
  expect(late.reads(READ_BYTES)).toBe(READ_BYTES);
  readers[0]?.clientResumed();
  expect(late.reads(READ_BYTES)).toBe(LONG_READ_BYTES);
  expect(new Reader().reads(READ_BYTES)).toBe(READ_BYTES);
  for (const reader of [...readers, late]) reader.reset();
  for (const reader of readers) reader.reset(); // counted once
  const again = Array.from({ length: LONG_READERS_MAX }, longReader);
  expect(new Reader().reads(READ_BYTES)).toBe(READ_BYTES);
  for (const reader of again) reader.reset();
});

it("a response that is over counts until its client has taken the last read", () => {
  const readers = Array.from({ length: LONG_READERS_MAX }, longReader);
  const untaken = readers.map((reader, i) => {
    if (i > 0) reader.clientPaused();
    return reader.ended();
  });
  expect(untaken[0]).toBeNull(); // its client keeps up
  const late = longReader();
  expect(new Reader().reads(READ_BYTES)).toBe(READ_BYTES);
  untaken[1]?.release();
  untaken[1]?.release(); // counted once
  const later = longReader();
  expect(new Reader().reads(READ_BYTES)).toBe(READ_BYTES);
  for (const each of untaken) each?.release();
  late.reset();
  later.reset();
  const again = Array.from({ length: LONG_READERS_MAX }, longReader);
  expect(new Reader().reads(READ_BYTES)).toBe(READ_BYTES);
  for (const reader of again) reader.reset();
});

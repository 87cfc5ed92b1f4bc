// A stored form on its way to a client, at the client's speed.
import { expect, test } from "vitest";
import { KeptFilter } from "../../../../../src/data/filters/compress/kept-filter.ts";

const BYTES = Buffer.from(Array.from({ length: 600 * 1024 }, (_, i) => i % 251));

function open({ takes }: { readonly takes: () => boolean }) {
  const got: Buffer[] = [];
  const seen = { ends: 0, released: 0, drained: 0 };
  const filter = new KeptFilter({ bytes: BYTES, release: () => void seen.released++ });
  filter.attach(
    {
      head: () => {},
      data: (chunk) => {
        got.push(Buffer.from(chunk));
        return takes();
      },
      end: () => void seen.ends++,
      abort: () => {},
    },
    { drained: () => void seen.drained++, failed: (error) => expect.fail(String(error)) },
  );
  return { filter, seen, got: () => Buffer.concat(got) };
}

test("a slow client gets it piece by piece, whole and once, and then it is let go", () => {
  const { filter, seen, got } = open({ takes: () => false });
  expect(filter.data()).toBe(true);
  expect(got()).toHaveLength(0);
  filter.end();
  for (let piece = 1; piece <= 3; piece++) {
    expect([got().length, seen.ends, seen.released]).toEqual([Math.min(piece * 256 * 1024, BYTES.length), 0, 0]);
    filter.drained();
  }
  expect([got().equals(BYTES), seen]).toEqual([true, { ends: 1, released: 1, drained: 0 }]);
  filter.close();
  expect(seen.released).toBe(1);
});

test("a client that leaves meanwhile lets it go, and the body's own room is the source's", () => {
  for (const leave of ["abort", "close"] as const) {
    const { filter, seen, got } = open({ takes: () => false });
    filter.drained();
    expect(seen.drained).toBe(1);
    filter.end();
    filter[leave]();
    filter.drained();
    expect([got().length, seen.ends, seen.released]).toEqual([256 * 1024, 0, 1]);
  }
});

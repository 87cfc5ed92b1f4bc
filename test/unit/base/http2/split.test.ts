// What a connection does must not depend on how its bytes are cut: the same bytes, whole, byte by byte, and cut anywhere, give the same frames and the same streams.
// And damaged bytes never make it throw, hang or go on after its end. Seeded; a failure prints its seed.
import { describe, expect, it } from "vitest";
import { FRAME, PREFACE } from "../../../../src/base/http2/protocol.ts";
import {
  Bench,
  block,
  data,
  frame,
  goAway,
  headers,
  ping,
  type RawFrame,
  REQUEST,
  rst,
  settings,
  windowUpdate,
} from "../../../support/raw-http2.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? 20_261_129);
const CASES = Number(process.env["FUZZ_CASES"] ?? 400);

const POST = REQUEST.map(([name, value]) => [name, name === ":method" ? "POST" : value] as const);
const long = block([...POST, ["x-long", "v".repeat(2000)]]);

/** All that a client may do in a few turns. */
const SESSION: readonly Buffer[] = [
  PREFACE,
  settings([4, 70_000], [3, 100]),
  headers(1, [...REQUEST, ["cookie", "a=1"], ["cookie", "b=2"]]),
  headers(3, POST, { end: false }),
  ping("abcdefgh"),
  data(3, "some"),
  frame(FRAME.data, 8, 3, Buffer.concat([Buffer.from([5]), Buffer.from("padded"), Buffer.alloc(5)])),
  frame(FRAME.data, 8, 3, Buffer.from([0])),
  frame(FRAME.headers, 0, 5, long.subarray(0, 700)),
  frame(FRAME.continuation, 0, 5, long.subarray(700, 701)),
  frame(FRAME.continuation, 4, 5, long.subarray(701)),
  data(5, Buffer.alloc(5000, "d")),
  windowUpdate(0, 100),
  frame(0x60, 3, 0, "unknown"),
  headers(3, [["x-trailer", "1"]]),
  data(5, "", true),
  headers(7, POST, { end: false }),
  rst(7, 8),
  frame(FRAME.headers, 0x2d, 9, Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 1]), block(REQUEST), Buffer.alloc(3)])),
  goAway(0, 0, "bye"),
];

interface Seen {
  readonly frames: readonly RawFrame[];
  readonly streams: readonly unknown[];
  readonly error: number | null;
}

/** @param cuts ascending */
function play(bytes: Buffer, cuts: readonly number[]): Seen {
  const bench = Bench.server({}, false);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    bench.feed(Buffer.from(bytes.subarray(from, to))); // a buffer of its own: what is kept of it would show
    from = to;
  }
  const streams = bench.streams.map(({ head, body, trailers, remoteEnded, closed }) => ({
    path: head?.path,
    fields: head?.fields,
    body: body.toString("latin1"),
    trailers: trailers?.fields,
    remoteEnded,
    closed,
  }));
  return { frames: bench.frames(), streams, error: bench.error };
}

const all = Buffer.concat(SESSION);

describe(`seed ${SEED}`, () => {
  it("bytes that come one by one say what they say as a whole", () => {
    const whole = play(all, []);
    expect(whole.streams.length).toBe(5);
    expect(whole.error).toBeNull();
    expect(
      play(
        all,
        Array.from({ length: all.length - 1 }, (_, i) => i + 1),
      ),
    ).toEqual(whole);
  });

  it("and so do bytes that are cut in two anywhere", () => {
    const whole = play(all, []);
    for (let at = 1; at < all.length; at++) expect(play(all, [at]), `cut at ${at}`).toEqual(whole);
  });

  it("and damaged bytes that are cut anywhere, which never throw", () => {
    const random = seededRandom(SEED);
    const below = (n: number): number => Math.floor(random() * n);
    for (let i = 0; i < CASES; i++) {
      let bytes = Buffer.from(all);
      for (let damage = 1 + below(4); damage > 0; damage--) {
        const at = PREFACE.length + below(bytes.length - PREFACE.length);
        const kind = below(4);
        if (kind === 0) bytes[at] = below(256);
        else if (kind === 1) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([below(256)]), bytes.subarray(at)]);
        else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
        else bytes = Buffer.concat([bytes.subarray(0, at), SESSION[below(SESSION.length)] as Buffer, bytes.subarray(at)]);
      }
      const cuts = Array.from({ length: below(12) }, () => below(bytes.length)).sort((a, b) => a - b);
      const whole = play(bytes, []);
      expect(play(bytes, cuts), `case ${i}`).toEqual(whole);
      if (whole.error !== null) expect(whole.frames.at(-1)?.type).toBe(FRAME.goAway);
    }
  });
});

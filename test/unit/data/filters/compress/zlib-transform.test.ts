import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import type { Encoding } from "../../../../../src/data/filters/compress/config.ts";
import {
  AT_ONCE_BYTES_MAX,
  AT_ONCE_LEVEL_MAX,
  type Slots,
  ZlibTransform,
} from "../../../../../src/data/filters/compress/zlib-transform.ts";

const DECODE: Readonly<Record<Encoding, (data: Buffer) => Buffer>> = {
  gzip: gunzipSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};
const ENCODINGS = ["gzip", "br", "zstd"] as const;

/** The client's and the upstream's side of a transform. */
class Bench {
  readonly slots: Slots = { used: 0, max: 10 };
  readonly out: Buffer[] = [];
  outBytes = 0;
  drains = 0;
  readonly transform: ZlibTransform;
  readonly done: Promise<string>;
  #wake: (() => void)[] = [];

  constructor(encoding: Encoding, level = 3) {
    this.transform = new ZlibTransform(encoding, level, this.slots);
    this.done = new Promise((resolve) => {
      this.transform.attach({
        transformed: (chunk) => {
          this.out.push(chunk);
          this.outBytes += chunk.length;
          this.#woken();
        },
        transformDrained: () => {
          this.drains++;
          this.#woken();
        },
        transformEnded: () => resolve("ended"),
        transformFailed: (error) => resolve(error.message),
      });
    });
  }

  /** Waits for a condition, looked at after every event; the test's time limit is the bound. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  #woken(): void {
    for (const resolve of this.#wake.splice(0)) resolve();
  }

  /** Writes as a well-behaved producer does. */
  async feed(data: Buffer, chunkBytes: number): Promise<void> {
    for (let at = 0; at < data.length; at += chunkBytes) {
      const drainsBefore = this.drains;
      if (!this.transform.write(data.subarray(at, at + chunkBytes))) await this.until(() => this.drains > drainsBefore);
    }
  }
}

/** Half repetitive, half noise (xorshift), so that both compressing and passing through are exercised. */
function sample(bytes: number): Buffer {
  const data = Buffer.alloc(bytes);
  let state = 0x9e3779b9;
  for (let i = 0; i < bytes; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = (i >> 12) & 1 ? state & 0xff : 97 + (i % 23);
  }
  return data;
}

for (const encoding of ENCODINGS) {
  test.each([
    [0, 1],
    [1, 1],
    [1000, 1],
    [5000, 7],
    [100_000, 999],
    [300_000, 16_384],
    [1_000_000, 65_536],
    [1_000_000, 1_000_000],
  ])(`${encoding}: %i bytes in chunks of %i come out the same`, async (bytes, chunkBytes) => {
    const bench = new Bench(encoding);
    const data = sample(bytes);
    await bench.feed(data, chunkBytes);
    bench.transform.end();
    expect(await bench.done).toBe("ended");
    expect(DECODE[encoding](Buffer.concat(bench.out)).equals(data)).toBe(true);
    expect(bench.slots.used).toBe(0);
  });

  test(`${encoding}: a small body that has come whole is compressed at once`, async () => {
    const bench = new Bench(encoding, AT_ONCE_LEVEL_MAX[encoding]);
    const data = sample(AT_ONCE_BYTES_MAX);
    for (const at of [0, 10_000, 20_000])
      expect(bench.transform.write(data.subarray(at, at === 20_000 ? undefined : at + 10_000))).toBe(true);
    expect(bench.out).toEqual([]);
    bench.transform.end();
    expect(bench.out).toHaveLength(1); // no other thread has had the time
    expect(bench.slots.used).toBe(0);
    expect(await bench.done).toBe("ended");
    expect(DECODE[encoding](Buffer.concat(bench.out)).equals(data)).toBe(true);
  });

  test.each([
    ["a larger one", AT_ONCE_BYTES_MAX + 1, 0],
    ["one at a higher level", 1000, 1],
  ])(`${encoding}: ${"%s"} is left to another thread`, async (_what, bytes, higher) => {
    const bench = new Bench(encoding, AT_ONCE_LEVEL_MAX[encoding] + higher);
    const data = sample(bytes);
    bench.transform.write(data);
    bench.transform.end();
    expect(bench.out).toEqual([]);
    expect(await bench.done).toBe("ended");
    expect(DECODE[encoding](Buffer.concat(bench.out)).equals(data)).toBe(true);
  });

  test(`${encoding}: a slow stream is not held`, async () => {
    const bench = new Bench(encoding);
    for (let i = 1; i <= 3; i++) {
      const before = bench.outBytes;
      bench.transform.write(Buffer.from(`{"line":${i}}\n`));
      // No end, no more input: only a flush can bring it out.
      await bench.until(() => bench.outBytes > before);
    }
    bench.transform.end();
    await bench.done;
    expect(DECODE[encoding](Buffer.concat(bench.out)).toString()).toBe('{"line":1}\n{"line":2}\n{"line":3}\n');
  });

  test(`${encoding}: a slow client stops the producer, and nothing is lost`, async () => {
    const bench = new Bench(encoding);
    const data = sample(4_000_000);
    bench.transform.pause();
    const chunkBytes = 50_000;
    let fed = 0;
    const feeding = (async () => {
      for (let at = 0; at < data.length; at += chunkBytes) {
        const drainsBefore = bench.drains;
        const room = bench.transform.write(data.subarray(at, at + chunkBytes));
        fed = at + chunkBytes;
        if (!room) await bench.until(() => bench.drains > drainsBefore);
      }
      bench.transform.end();
    })();
    // Work that is queued behind what the paused transform still does on the thread pool.
    for (let i = 0; i < 5; i++) await squeeze();
    expect(bench.outBytes).toBe(0);
    expect(fed).toBeLessThan(1_500_000);
    for (let resumes = 0; resumes < 20; resumes++) {
      const before = bench.outBytes;
      bench.transform.resume();
      await Promise.race([bench.until(() => bench.outBytes > before), bench.done]);
      bench.transform.pause();
      const paused = bench.outBytes;
      await squeeze();
      expect(bench.outBytes).toBe(paused);
    }
    bench.transform.resume();
    await feeding;
    expect(await bench.done).toBe("ended");
    expect(DECODE[encoding](Buffer.concat(bench.out)).equals(data)).toBe(true);
  });

  test(`${encoding}: destroy in the middle frees the slot and silences the transform`, async () => {
    const bench = new Bench(encoding);
    bench.transform.write(sample(500_000));
    bench.transform.destroy();
    bench.transform.destroy();
    expect(bench.slots.used).toBe(0);
    const before = bench.outBytes;
    bench.transform.write(Buffer.from("late"));
    bench.transform.end();
    bench.transform.resume();
    for (let i = 0; i < 5; i++) await squeeze();
    expect(bench.outBytes).toBe(before);
    expect(bench.drains).toBe(0);
  });
}

test("destroy frees the native memory at once, not when the collector comes round", async () => {
  // 2,000 compressors of some 200 KiB each stay referenced: only destroy can free them.
  const all: Bench[] = [];
  const before = process.memoryUsage.rss();
  for (let batch = 0; batch < 20; batch++) {
    const benches = Array.from({ length: 100 }, () => new Bench("gzip"));
    for (const bench of benches) bench.transform.write(Buffer.from("x"));
    for (const bench of benches) await bench.until(() => bench.outBytes > 0);
    for (const bench of benches) bench.transform.destroy();
    all.push(...benches);
  }
  expect(process.memoryUsage.rss() - before).toBeLessThan(150_000_000);
  expect(all.every((bench) => bench.slots.used === 0)).toBe(true);
});

test("destroyed before the first byte", () => {
  const bench = new Bench("gzip");
  expect(bench.slots.used).toBe(1);
  bench.transform.destroy();
  expect(bench.slots.used).toBe(0);
});

test("a client can decode each flush as it comes", async () => {
  const bench = new Bench("gzip");
  const gunzip = createGunzip();
  const line = new Promise<string>((resolve) => gunzip.once("data", (chunk: Buffer) => resolve(chunk.toString())));
  bench.transform.write(Buffer.from("first\n"));
  await bench.until(() => bench.outBytes > 10);
  gunzip.write(Buffer.concat(bench.out));
  // The gzip header may come alone before the flushed block.
  const seen = bench.out.length;
  void bench.until(() => bench.out.length > seen).then(() => gunzip.write(Buffer.concat(bench.out.slice(seen))));
  expect(await line).toBe("first\n");
  gunzip.destroy();
  bench.transform.destroy();
});

/** One round through the thread pool and the event loop. */
function squeeze(): Promise<void> {
  return new Promise((resolve, reject) => {
    const gunzip = createGunzip();
    gunzip.on("error", reject).on("close", resolve).resume();
    gunzip.end(Buffer.from("H4sIAAAAAAAAAwMAAAAAAAAAAAA=", "base64"));
  });
}

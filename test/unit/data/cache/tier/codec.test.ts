// What is packed, what is not, and that nothing unpacks to more than it says.
import { randomBytes } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { RecordCodec } from "../../../../../src/data/cache/tier/codec.ts";
import type { TierRecord } from "../../../../../src/data/cache/tier/record.ts";

const codec = new RecordCodec(Buffer.alloc(32, 1));
const NAME = codec.name("https://a/x\nroute");
const MAX = 1024 * 1024;

const record = (...headers: string[]): Omit<TierRecord, "coding" | "bodyBytes"> => ({
  kind: "response",
  status: 200,
  vary: [],
  tags: [],
  headers,
  freshness: {
    receivedMs: 1,
    initialAge: 0,
    lifetime: 60,
    staleWhileRevalidate: 0,
    staleIfError: 0,
    noCache: false,
    neverStale: false,
    immutable: false,
  },
  place: { era: "e", sequence: 1 },
});

const encoded = async (body: Buffer, ...headers: string[]): Promise<Buffer> =>
  (await codec.encode(record(...headers), body, NAME)) ?? Buffer.alloc(0);

describe("a body", () => {
  it.each([0, 1, 2047, 2048, 30_000, 33_000, 500_000])("of %i bytes comes back as it was", async (bytes) => {
    for (const body of [Buffer.alloc(bytes, "compressible "), randomBytes(bytes)]) {
      const found = await codec.decode(await encoded(body), NAME, MAX);
      expect(found?.body.equals(body)).toBe(true);
    }
  });

  const text = Buffer.alloc(20_000, "compressible ");

  it("that is text is packed", async () => {
    expect((await encoded(text, "content-type", "text/html")).length).toBeLessThan(1000);
  });

  it.each([
    [["content-encoding", "gzip"]],
    [["content-type", "image/png"]],
    [["content-type", "video/mp4"]],
    [["content-type", "application/zip"]],
  ])("with %j is left as it is", async (headers) => {
    expect((await encoded(text, ...headers)).length).toBeGreaterThan(text.length);
  });

  it("that is small, or does not get smaller, is left as it is", async () => {
    expect((await encoded(text.subarray(0, 2000))).length).toBeGreaterThan(2000);
    expect((await encoded(randomBytes(5000))).length).toBeGreaterThan(5000);
  });

  it.each([10_000, 100_000])("that was changed is none, %i bytes long", async (bytes) => {
    const harmed = await encoded(randomBytes(bytes));
    harmed[harmed.length - 1] = (harmed.at(-1) ?? 0) ^ 1;
    expect(await codec.decode(harmed, NAME, MAX)).toBeNull();
  });
});

/** Puts another packed body behind the head of a record, with all codes right: what only who knows the secret can do. */
async function forged(stored: Buffer, bodyBytes: number): Promise<Buffer> {
  const { createHash, createHmac } = await import("node:crypto");
  const bytes = Buffer.concat([(await encoded(Buffer.alloc(4000, "x"))).subarray(0, 132 + 1), stored]);
  bytes[2] = 1; // zstd
  bytes.writeUInt32BE(bodyBytes, 20);
  bytes.writeUInt32BE(stored.length, 24);
  bytes.set(createHash("sha256").update(stored).digest(), 68);
  const code = createHmac("sha256", createHmac("sha256", Buffer.alloc(32, 1)).update("code").digest());
  bytes.set(code.update(NAME).update(bytes.subarray(0, 100)).update(bytes.subarray(132, 133)).digest(), 100);
  return bytes;
}

it.each([5000, 200_000])("what unpacks to another length than it says is none (%i)", async (bytes) => {
  const bomb = zstdCompressSync(Buffer.alloc(10 * 1024 * 1024));
  expect(await codec.decode(await forged(bomb, bytes), NAME, MAX)).toBeNull();
  expect(await codec.decode(await forged(zstdCompressSync(Buffer.alloc(bytes - 1)), bytes), NAME, MAX)).toBeNull();
  expect(await codec.decode(await forged(Buffer.from("no zstd at all"), bytes), NAME, MAX)).toBeNull();
  expect((await codec.decode(await forged(zstdCompressSync(Buffer.alloc(bytes)), bytes), NAME, MAX))?.body).toHaveLength(bytes);
});

it("names show nothing of what they name, and differ by secret", () => {
  const other = new RecordCodec(Buffer.alloc(32, 2));
  const name = codec.name("https://shop/secret\nann");
  expect(name).toHaveLength(32);
  expect(name.equals(codec.name("https://shop/secret\nbob"))).toBe(false);
  expect(name.equals(other.name("https://shop/secret\nann"))).toBe(false);
  expect(name.equals(codec.name("https://shop/secret\nann"))).toBe(true);
});

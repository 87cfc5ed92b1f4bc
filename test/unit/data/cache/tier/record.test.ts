// What lies in Redis may have been written by anybody: only a record of ours, whole and under its own name, is read, and whoever knows the secret still splits no response.
import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isFieldValue, isHopByHop, isToken } from "../../../../../src/base/http.ts";
import {
  decodeRecord,
  encodeRecord,
  type PackedRecord,
  RECORD_HEAD_BYTES_MAX,
  type Sign,
} from "../../../../../src/data/cache/tier/record.ts";
import { seededRandom } from "../../../../support/upstreams.ts";

const ROUNDS = 4000;
const random = seededRandom(26);
const signer =
  (key: string): Sign =>
  (parts) => {
    const hmac = createHmac("sha256", key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  };
const sign = signer("secret");
const NAME = Buffer.alloc(32, 7);
const read = (bytes: Buffer, name = NAME, by = sign): PackedRecord | null => decodeRecord(bytes, name, { sign: by, bodyBytesMax: 1000 });

const FRESH = {
  receivedMs: 1_700_000_000_123,
  initialAge: 1.5,
  lifetime: 60,
  staleWhileRevalidate: 0,
  staleIfError: 3600,
  noCache: false,
  neverStale: true,
  immutable: false,
};

function packed(changes: Partial<PackedRecord["record"]> = {}, body = Buffer.from("hello")): PackedRecord {
  const record = {
    kind: "response" as const,
    status: 200,
    vary: ["accept-language"],
    tags: [1, 0xffff_ffff],
    headers: ["content-type", "text/plain", "x-latin", "\u00e9\u0080"],
    freshness: FRESH,
    place: { era: "1.2.a", sequence: 4_000_000_000 },
    bodyBytes: body.length,
    coding: "plain" as const,
    ...changes,
  };
  return { record, body, digest: Buffer.alloc(32, 1) };
}

const written = (each: PackedRecord, name = NAME): Buffer => {
  const bytes = encodeRecord(each, name, sign);
  if (bytes === null) throw new Error("it is too large");
  return bytes;
};

describe("a record", () => {
  it.each([
    ["of a response", packed()],
    ["of an empty one without anything", packed({ headers: [], vary: [], tags: [] }, Buffer.alloc(0))],
    ["of variants", packed({ kind: "variants", status: 0, headers: [], tags: [], bodyBytes: 0 }, Buffer.alloc(0))],
    ["packed", packed({ coding: "zstd", bodyBytes: 900 })],
  ])("%s is read as it was written", (_, each) => {
    const found = read(written(each));
    expect(found?.record).toEqual(each.record);
    expect(found?.body.equals(each.body)).toBe(true);
    expect(found?.digest.equals(each.digest)).toBe(true);
  });

  it("is none under another name, or of another secret", () => {
    const bytes = written(packed());
    expect(read(bytes, Buffer.alloc(32, 8))).toBeNull();
    expect(read(bytes, NAME, signer("another"))).toBeNull();
  });

  it("of another version is none", () => {
    const bytes = written(packed());
    bytes[0] = 2;
    expect(read(bytes)).toBeNull();
  });

  it("is none with any of its bytes but the body's changed, cut short, or with more behind", () => {
    const bytes = written(packed());
    const bodyAt = bytes.length - 5;
    for (let i = 0; i < bodyAt; i++) {
      const harmed = Buffer.from(bytes);
      harmed[i] = (harmed[i] ?? 0) ^ (1 << (i % 8));
      expect(read(harmed)).toBeNull();
    }
    for (let length = 0; length < bytes.length; length++) expect(read(bytes.subarray(0, length))).toBeNull();
    expect(read(Buffer.concat([bytes, Buffer.from("x")]))).toBeNull();
  });

  it("with a larger body than the instance stores is none", () => {
    expect(read(written(packed({ bodyBytes: 1001, coding: "zstd" })))).toBeNull();
  });

  it("that is too large is not written", () => {
    const many = Array.from({ length: 600 }, (_, i) => [`x-${i}`, "1"]).flat();
    expect(encodeRecord(packed({ headers: many }), NAME, sign)).toBeNull();
    expect(encodeRecord(packed({ headers: ["x", "v".repeat(70_000)] }), NAME, sign)).toBeNull();
    expect(encodeRecord(packed({ tags: Array<number>(300).fill(1) }), NAME, sign)).toBeNull();
    expect(encodeRecord(packed({ place: { era: "e".repeat(200), sequence: 1 } }), NAME, sign)).toBeNull();
  });
});

describe("whoever knows the secret", () => {
  it.each([
    ["a line break in a value", ["x", "a\r\nset-cookie: b"]],
    ["a line break in a name", ["x\r", "a"]],
    ["an empty name", ["", "a"]],
    ["a name that is no token", ["x y", "a"]],
    ["a name in upper case", ["X-Upper", "a"]],
    ["a NUL", ["x", "\u0000"]],
    ["a name without a value", ["x"]],
    ["a length", ["content-length", "3"]],
    ["a framing", ["transfer-encoding", "chunked"]],
    ["a connection's field", ["connection", "close"]],
    ["an age", ["age", "0"]],
  ])("cannot have a response with %s", (_, headers) => {
    expect(read(written(packed({ headers })))).toBeNull();
  });

  it.each([0, 99, 100, 101, 199, 206, 304, 600, 999, 65_535])("cannot have one of status %i", (status) => {
    expect(read(written(packed({ status })))).toBeNull();
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300])("cannot have a time of %d", (number) => {
    for (const name of ["receivedMs", "initialAge", "lifetime", "staleWhileRevalidate", "staleIfError"])
      expect(read(written(packed({ freshness: { ...FRESH, [name]: number } })))).toBeNull();
  });

  it("cannot have variants of nothing, or with a body", () => {
    const body = Buffer.alloc(0);
    expect(read(written(packed({ kind: "variants", status: 0, vary: [], headers: [], tags: [], bodyBytes: 0 }, body)))).toBeNull();
    expect(read(written(packed({ kind: "variants", status: 0, headers: [], tags: [] })))).toBeNull();
    expect(read(written(packed({ kind: "variants", status: 0, tags: [], bodyBytes: 0 }, body)))).toBeNull();
  });

  it("gets nothing out of bytes by chance but what the grammar of HTTP allows", () => {
    let accepted = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = written(packed());
      // Lengths and contents by chance, then a code that is right.
      for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
        const at = 1 + Math.floor(random() * (bytes.length - 1));
        bytes[at] = random() < 0.5 ? ([0, 10, 13, 58, 255][Math.floor(random() * 5)] ?? 0) : Math.floor(random() * 256);
      }
      const bodyAt = bytes.length - bytes.readUInt32BE(24);
      if (bodyAt >= 132) bytes.set(sign([NAME, bytes.subarray(0, 100), bytes.subarray(132, bodyAt)]), 100);
      const found = read(bytes);
      if (found === null) continue;
      accepted++;
      const { headers, status, vary, bodyBytes, freshness } = found.record;
      expect(status >= 200 && status <= 599 && bodyBytes <= 1000).toBe(true);
      for (const [i, text] of headers.entries())
        expect(i % 2 === 0 ? isToken(text) && !isHopByHop(text) && text === text.toLowerCase() : isFieldValue(text)).toBe(true);
      expect(vary.every(isToken)).toBe(true);
      expect(Object.values(freshness).every((each) => typeof each === "boolean" || (Number.isFinite(each) && each >= 0))).toBe(true);
    }
    expect(accepted).toBeGreaterThan(10);
  });

  it("and bytes by chance alone are never a record, and never throw", () => {
    for (let round = 0; round < ROUNDS; round++) {
      const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 400) }, () => Math.floor(random() * 256)));
      if (bytes.length > 0) bytes[0] = 1;
      expect(read(bytes)).toBeNull();
    }
  });
});

it("no record is longer than what is read of one", () => {
  const headers = ["x", "v".repeat(64 * 1024 - 2)];
  const vary = ["v".repeat(4096)];
  const bytes = written(packed({ headers, vary, tags: Array<number>(256).fill(1), place: { era: "e".repeat(128), sequence: 1 } }));
  expect(bytes.length - 5).toBe(RECORD_HEAD_BYTES_MAX);
});

// Owns the form in which a stored response lies in Redis. What is read there may have been written by anybody: nothing of it counts before its code is right,
// and nothing leaves here that the grammar of HTTP does not allow, whoever wrote it. Must never throw.
//
// Numbers are big-endian. 0 version, 1 kind, 2 coding, 3 flags (8 bits each), 4 status, 6 tags (16), 8 number in the log of purges (32), 12 bytes of era, 14 of Vary (16), 16 of
// head, 20 of body, 24 of body as it lies here (32), 28 five float64 of freshness, 68 SHA-256 of the body as it lies here, 100 HMAC-SHA-256 over the name of the record and
// all that stands before and behind but the body; 132 era, Vary, tags (32 each), head, body.
import type { HeaderList } from "../../../base/header-list.ts";
import { isFieldValue, isHopByHop, isToken } from "../../../base/http.ts";
import type { LogPlace } from "../../../shared/cache/tier-purges.ts";

/** Records of other versions are misses. */
const VERSION = 1;
const FIXED_BYTES = 132;
const DIGEST_AT = 68;
const CODE_AT = 100;
const DIGEST_BYTES = 32;
const ERA_BYTES_MAX = 128;
const VARY_BYTES_MAX = 4096;
const TAGS_MAX = 256;
const HEAD_BYTES_MAX = 64 * 1024;
const FIELDS_MAX = 512;
/** Of all of a record but its body. */
export const RECORD_HEAD_BYTES_MAX = FIXED_BYTES + ERA_BYTES_MAX + VARY_BYTES_MAX + TAGS_MAX * 4 + HEAD_BYTES_MAX;
/** Longest time in a record, seconds. */
const SECONDS_MAX = 2 ** 31;

/** `variants`: no response, but the fields by which the URL's responses are told apart. */
const KINDS = ["response", "variants"] as const;
/** How a body lies in Redis. */
export const CODINGS = ["plain", "zstd"] as const;
export type Coding = (typeof CODINGS)[number];
const NO_CACHE = 1;
const NEVER_STALE = 2;
const IMMUTABLE = 4;

/** As rules/freshness.ts has it: wall clock in ms, else seconds. */
export interface RecordFreshness {
  readonly receivedMs: number;
  readonly initialAge: number;
  readonly lifetime: number;
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  readonly noCache: boolean;
  readonly neverStale: boolean;
  readonly immutable: boolean;
}

export interface TierRecord {
  readonly kind: (typeof KINDS)[number];
  readonly status: number;
  /** Lowercase, sorted. */
  readonly vary: readonly string[];
  /** Numbers of the tags. */
  readonly tags: readonly number[];
  readonly headers: HeaderList;
  readonly freshness: RecordFreshness;
  /** Where the log of purges was when the response was asked for. */
  readonly place: LogPlace;
  readonly bodyBytes: number;
  readonly coding: Coding;
}

/** A record as it is written and read. @property body as it lies in Redis @property digest SHA-256 of that */
export interface PackedRecord {
  readonly record: TierRecord;
  readonly body: Buffer;
  readonly digest: Buffer;
}

/** HMAC-SHA-256 under the fleet's secret. */
export type Sign = (parts: readonly Uint8Array[]) => Buffer;

/** @param name of the record: a record is none under another name. @returns null for what is too large to be one */
export function encodeRecord({ record, body, digest }: PackedRecord, name: Buffer, sign: Sign): Buffer | null {
  const { kind, status, vary, tags, headers, freshness, place, bodyBytes, coding } = record;
  const head = Buffer.from(headers.join("\n"), "latin1");
  const [era, names] = [Buffer.from(place.era, "latin1"), Buffer.from(vary.join(","), "latin1")];
  if (era.length > ERA_BYTES_MAX || names.length > VARY_BYTES_MAX || tags.length > TAGS_MAX) return null;
  if (head.length > HEAD_BYTES_MAX || headers.length / 2 > FIELDS_MAX) return null;
  const bodyAt = FIXED_BYTES + era.length + names.length + tags.length * 4 + head.length;
  const bytes = Buffer.allocUnsafe(bodyAt + body.length);
  const flags = (freshness.noCache ? NO_CACHE : 0) | (freshness.neverStale ? NEVER_STALE : 0) | (freshness.immutable ? IMMUTABLE : 0);
  bytes.set([VERSION, KINDS.indexOf(kind), CODINGS.indexOf(coding), flags]);
  bytes.writeUInt16BE(status, 4);
  bytes.writeUInt16BE(tags.length, 6);
  bytes.writeUInt32BE(place.sequence, 8);
  bytes.writeUInt16BE(era.length, 12);
  bytes.writeUInt16BE(names.length, 14);
  bytes.writeUInt32BE(head.length, 16);
  bytes.writeUInt32BE(bodyBytes, 20);
  bytes.writeUInt32BE(body.length, 24);
  const { receivedMs, initialAge, lifetime, staleWhileRevalidate, staleIfError } = freshness;
  for (const [i, number] of [receivedMs, initialAge, lifetime, staleWhileRevalidate, staleIfError].entries())
    bytes.writeDoubleBE(number, 28 + i * 8);
  bytes.set(digest, DIGEST_AT);
  let at = FIXED_BYTES;
  for (const part of [era, names]) {
    bytes.set(part, at);
    at += part.length;
  }
  for (const tag of tags) at = bytes.writeUInt32BE(tag >>> 0, at);
  bytes.set(head, at);
  bytes.set(body, bodyAt);
  bytes.set(sign([name, bytes.subarray(0, CODE_AT), bytes.subarray(FIXED_BYTES, bodyAt)]), CODE_AT);
  return bytes;
}

/**
 * Reads what lies under a name. The body is still to be held against its digest, which the code vouches for.
 * @param bodyBytesMax of the body, unpacked
 * @returns null for what is no record of this release, of this fleet's secret and of this name
 */
export function decodeRecord(
  bytes: Buffer,
  name: Buffer,
  { sign, bodyBytesMax }: { readonly sign: Sign; readonly bodyBytesMax: number },
): PackedRecord | null {
  if (bytes.length < FIXED_BYTES || bytes[0] !== VERSION) return null;
  const [tagCount, eraBytes, varyBytes, headBytes] = [6, 12, 14].map((at) => bytes.readUInt16BE(at)).concat(bytes.readUInt32BE(16)) as [
    number,
    number,
    number,
    number,
  ]; // four
  const [bodyBytes, storedBytes] = [bytes.readUInt32BE(20), bytes.readUInt32BE(24)];
  if (tagCount > TAGS_MAX || eraBytes > ERA_BYTES_MAX || varyBytes > VARY_BYTES_MAX || headBytes > HEAD_BYTES_MAX) return null;
  if (bodyBytes > bodyBytesMax || storedBytes > bodyBytes) return null;
  const bodyAt = FIXED_BYTES + eraBytes + varyBytes + tagCount * 4 + headBytes;
  if (bytes.length !== bodyAt + storedBytes) return null;
  const code = sign([name, bytes.subarray(0, CODE_AT), bytes.subarray(FIXED_BYTES, bodyAt)]);
  if (!isSame(code, bytes.subarray(CODE_AT, FIXED_BYTES))) return null;
  const varyAt = FIXED_BYTES + eraBytes;
  const tagsAt = varyAt + varyBytes;
  const text = (from: number, length: number): string => bytes.toString("latin1", from, from + length);
  const kind = KINDS[bytes[1] ?? -1];
  const coding = CODINGS[bytes[2] ?? -1];
  const vary = namesIn(text(varyAt, varyBytes));
  const headers = fieldsIn(text(tagsAt + tagCount * 4, headBytes));
  const freshness = freshnessIn(bytes);
  const status = bytes.readUInt16BE(4);
  if (kind === undefined || coding === undefined || vary === null || headers === null || freshness === null) return null;
  if (kind === "variants" ? vary.length === 0 || bodyBytes > 0 || headers.length > 0 : !isStoredStatus(status)) return null;
  if (coding === "plain" && storedBytes !== bodyBytes) return null;
  const tags = Array.from({ length: tagCount }, (_, i) => bytes.readUInt32BE(tagsAt + i * 4));
  const place = { era: text(FIXED_BYTES, eraBytes), sequence: bytes.readUInt32BE(8) };
  const record: TierRecord = { kind, status, vary, tags, headers, freshness, place, bodyBytes, coding };
  return { record, body: bytes.subarray(bodyAt), digest: bytes.subarray(DIGEST_AT, DIGEST_AT + DIGEST_BYTES) };
}

/** In constant time, as a code is guessed byte by byte otherwise. */
function isSame(a: Buffer, b: Buffer): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** What assess.ts may let in: final, whole. */
const isStoredStatus = (status: number): boolean => status >= 200 && status <= 599 && status !== 206 && status !== 304;

function namesIn(text: string): readonly string[] | null {
  const names = text === "" ? [] : text.split(",");
  return names.every(isName) ? names : null;
}

const isName = (name: string): boolean => isToken(name) && name === name.toLowerCase();

/** Names and values in turn, a line each. */
function fieldsIn(text: string): HeaderList | null {
  const fields = text === "" ? [] : text.split("\n");
  if (fields.length % 2 !== 0 || fields.length / 2 > FIELDS_MAX) return null;
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i] as string, fields[i + 1] as string]; // pairs
    // What frames a message, or belongs to one connection, is never stored.
    if (!isName(name) || !isFieldValue(value) || isHopByHop(name) || name === "content-length" || name === "age") return null;
  }
  return fields;
}

function freshnessIn(bytes: Buffer): RecordFreshness | null {
  const [receivedMs = -1, ...seconds] = [0, 1, 2, 3, 4].map((i) => bytes.readDoubleBE(28 + i * 8));
  if (!(receivedMs >= 0 && receivedMs < Number.MAX_SAFE_INTEGER) || !seconds.every((each) => each >= 0 && each <= SECONDS_MAX)) return null;
  const [initialAge, lifetime, staleWhileRevalidate, staleIfError] = seconds as [number, number, number, number]; // five in all
  const flags = bytes[3] ?? 0;
  return {
    receivedMs,
    initialAge,
    lifetime,
    staleWhileRevalidate,
    staleIfError,
    noCache: (flags & NO_CACHE) !== 0,
    neverStale: (flags & NEVER_STALE) !== 0,
    immutable: (flags & IMMUTABLE) !== 0,
  };
}

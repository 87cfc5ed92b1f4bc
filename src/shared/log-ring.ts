// Owns the access-log records on their way from a worker to the primary: binary frames in a ring on shared memory.
// Must never block or throw in the worker: a record that does not fit is counted as dropped and forgotten.
//
// Ring: ringbuf.js (wait-free SPSC) over 32-bit words. One producer (the worker of that index, later its replacement), one
// consumer (the primary). A frame is pushed whole, so its words become visible together when the ring's write index is
// stored (Atomics, sequentially consistent): a worker that dies in the middle of a write leaves no half frame.
//
// Frame, little-endian, lengths in words of 4 bytes:
//   word 0       frame length in words | record version << 24
//   word 1       status | errorNumber << 16
//   word 2       attempts | protocol << 16 | scheme << 24 | index in CACHE_RESULTS << 25
//   word 3       plan version
//   word 4, 5    Float32 connect ms, Float32 first byte ms
//   word 6..13   Float64 time (epoch ms), total ms, bytes in, bytes out
//   word 14..20  lengths of the strings in FIELDS order, one Uint16 each: 14 of them
//   word 21      1 + index in OVERLOAD_REASONS | (1 + index in PRIORITIES) << 8; 0 for none
//   word 22      Float32 ms in line
//   then         the strings, one byte a character (latin1), padded to a whole word
// Cost, typical GET: 0.35-0.45 us a write; in the primary 0.35 us to decode, 1.7 us more to format (bench/micro/log-ring.ts).
import { RingBuffer } from "ringbuf.js";
import { type ErrorCode, errorNumber, errorOfNumber } from "../base/errors.ts";
import { isForWantOfRoom, OVERLOAD_REASONS, type OverloadReason, PRIORITIES, type Priority } from "../base/priorities.ts";
import { CACHE_RESULTS, type CacheResult } from "./cache/outcomes.ts";
import type { MetricCells } from "./metric-cells.ts";
import { CELL } from "./metric-layout.ts";

const RECORD_VERSION = 6;

/** The string fields of a record with the most characters kept of each; what is longer is cut. */
const FIELDS = {
  requestId: 128,
  client: 64,
  method: 32,
  host: 255,
  path: 1024,
  query: 1024,
  route: 128,
  upstream: 128,
  target: 256,
  detail: 256,
  userAgent: 256,
  consumer: 768, // bytes of CALLER_NAME_CHARS_MAX characters
  legs: 256,
  tier: 128,
} as const satisfies Record<string, number>;
type Field = keyof typeof FIELDS;
const FIELD_NAMES = Object.keys(FIELDS) as readonly Field[]; // Object.keys loses the literal type

const LENGTHS_BYTE = 56;
const OVERLOAD_WORD = 21;
const LINE_WORD = 22;
const STRINGS_BYTE = 4 * (LINE_WORD + 1);
/** Largest frame, in words: all strings at their bounds. Even, since numbers of 8 bytes lie in the same buffer. */
const FRAME_WORDS_MAX = 2 * Math.ceil((STRINGS_BYTE + FIELD_NAMES.reduce((sum, name) => sum + FIELDS[name], 0)) / 8);
const FRAME_WORDS_MIN = STRINGS_BYTE / 4;

/** From this length on a native write (some 50 ns whatever the length) beats a loop (2 ns a character). */
const NATIVE_WRITE_CHARS_MIN = 20;
/** What a byte string cannot carry: replaced by `?`. */
const NOT_LATIN1 = /[^\x00-\xff]/g;

/** Text as the byte string of its UTF-8. */
const asBytes = (text: string): string => (NEEDS_UTF8.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text);
const NEEDS_UTF8 = /[^\x00-\x7f]/;

/** Bytes of a ring by default: some 7000 records of a usual size, a third of a second at 20000 requests a second. */
export const LOG_RING_BYTES = 2 * 1024 * 1024;

/** How the client spoke. */
export const PROTOCOLS = ["http/1.0", "http/1.1", "http/2", "websocket"] as const;
export type Protocol = (typeof PROTOCOLS)[number];
/** Of a request. */
export type ClientProtocol = Exclude<Protocol, "websocket">;
const HTTP_1_0 = PROTOCOLS.indexOf("http/1.0");
const HTTP_1_1 = PROTOCOLS.indexOf("http/1.1");
const HTTP_2 = PROTOCOLS.indexOf("http/2");
const WEBSOCKET = PROTOCOLS.indexOf("websocket");

const numberOf = (protocol: ClientProtocol): number => (protocol === "http/1.1" ? HTTP_1_1 : protocol === "http/2" ? HTTP_2 : HTTP_1_0);

/** The target of a request line (RFC 9112 section 3.2) as the client sent it: for the log alone. */
export interface SentTarget {
  readonly path: string;
  /** Without `?`. */
  readonly query: string;
}

/** What a worker records of a finished exchange, which is one. */
export interface LogRecord {
  readonly requestId: string;
  readonly method: string;
  readonly host: string;
  /** Normalised; says nothing, as the query, while {@link unadmitted} stands. */
  readonly path: string;
  /** Without `?`. */
  readonly query: string;
  /** What was sent, of a request that was not admitted. */
  readonly unadmitted: SentTarget | null;
  readonly wantsWebSocket: boolean;
  readonly protocol: ClientProtocol;
  readonly route: { readonly name: string; readonly accessLog: boolean } | null;
  readonly identity: { readonly consumer: string; readonly tier: string | null } | null;
  readonly status: number;
  readonly errorCode: ErrorCode | null;
  readonly errorDetail: string;
  readonly upstream: string;
  readonly target: string;
  readonly attempts: number;
  /** Index in CACHE_RESULTS. */
  readonly cacheResult: number;
  /** Of an aggregated answer: how many legs it has and, after a blank, the names of those that failed, joined by commas. '' for others. */
  readonly legs: string;
  readonly upstreamConnectMs: number;
  readonly upstreamFirstByteMs: number;
  /** What there was no room in, of a request that was refused for it. */
  readonly overloadReason: OverloadReason | null;
  /** In line for a place at an upstream, ms; 0: there was no need. */
  readonly lineMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly runtime: {
    readonly plan: { readonly version: number };
    /** The query without anybody's credentials; null when the log gets none. */
    readonly logQuery: ((query: string) => string) | null;
  };
  clientInfo(): { readonly ip: string; readonly scheme: "http" | "https" };
  /** @param name lowercase. @returns the first value */
  header(name: string): string | undefined;
  /** Name of the route that came nearest to a request that none serves; '' for none. */
  nearestRoute(): string;
}

/** One finished exchange, as the primary sees it. Strings are byte strings (latin1), cut at their bounds. */
export interface AccessRecord extends Readonly<Record<Field, string>> {
  /** Arrival, epoch ms. */
  readonly timeMs: number;
  /** 0 when nothing could be sent. */
  readonly status: number;
  readonly code: ErrorCode | null;
  readonly scheme: "http" | "https";
  /** '' of a route without a cache. */
  readonly cache: CacheResult;
  /** Of a request that waited in line, or was refused for want of room; '' else, and reason also where it was not refused. */
  readonly priority: Priority | "";
  readonly reason: OverloadReason | "";
  readonly lineMs: number;
  readonly protocol: Protocol;
  readonly planVersion: number;
  readonly attempts: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly totalMs: number;
  /** -1 unknown. */
  readonly upstreamConnectMs: number;
  /** -1 unknown. */
  readonly upstreamFirstByteMs: number;
}

/** Allocates a ring. @param bytes capacity, rounded down to whole words */
export function createLogRing(bytes = LOG_RING_BYTES): SharedArrayBuffer {
  return RingBuffer.getStorageForCapacity(Math.floor(bytes / 4), Uint32Array);
}

/** The worker's end. */
export class LogRingWriter {
  private readonly ring: RingBuffer;
  private readonly cells: MetricCells;
  private readonly words = new Uint32Array(FRAME_WORDS_MAX);
  private readonly bytes = Buffer.from(this.words.buffer);
  private readonly floats = new Float32Array(this.words.buffer);
  private readonly doubles = new Float64Array(this.words.buffer);
  private readonly lengths = new Uint16Array(this.words.buffer, LENGTHS_BYTE, FIELD_NAMES.length);
  private at = STRINGS_BYTE;

  constructor(shared: SharedArrayBuffer, cells: MetricCells) {
    this.ring = new RingBuffer(shared, Uint32Array);
    this.cells = cells;
  }

  /**
   * Records a finished exchange, unless its route has `accessLog: false`. Never blocks, never throws; a full ring costs the
   * record and counts in CELL.logDroppedTotal.
   * @param totalMs whole exchange, as measured by the caller.
   * @param priority index of PRIORITIES, of a request that waited in line or was refused for want of room; else -1
   */
  write(x: LogRecord, totalMs: number, priority = -1): void {
    const route = x.route;
    if (route !== null && !route.accessLog) return;
    const { words, floats, doubles } = this;
    const client = x.clientInfo();
    words[1] = x.status | (errorNumber(x.errorCode) << 16);
    const protocol = x.wantsWebSocket && x.status === 101 ? WEBSOCKET : numberOf(x.protocol);
    words[2] = (x.attempts & 0xffff) | (protocol << 16) | ((client.scheme === "https" ? 1 : 0) << 24) | (x.cacheResult << 25);
    words[3] = x.runtime.plan.version;
    floats[4] = x.upstreamConnectMs;
    floats[5] = x.upstreamFirstByteMs;
    doubles[3] = Date.now() - totalMs;
    doubles[4] = totalMs;
    doubles[5] = x.bytesIn;
    doubles[6] = x.bytesOut;
    words[OVERLOAD_WORD] = priority < 0 ? 0 : reasonNumber(x) | ((priority + 1) << 8);
    floats[LINE_WORD] = x.lineMs;
    this.at = STRINGS_BYTE;
    this.put(0, x.requestId, FIELDS.requestId);
    this.put(1, client.ip, FIELDS.client);
    this.put(2, x.method, FIELDS.method);
    this.put(3, x.host, FIELDS.host);
    const { unadmitted } = x;
    const { logQuery } = x.runtime;
    // An engine may have decoded what was sent, and admission not have looked at it yet.
    this.put(4, unadmitted === null ? x.path : asBytes(unadmitted.path), FIELDS.path);
    this.put(5, logQuery === null ? "" : asBytes(logQuery(unadmitted === null ? x.query : unadmitted.query)), FIELDS.query);
    this.put(6, route === null ? nearestMiss(x) : route.name, FIELDS.route);
    this.put(7, x.upstream, FIELDS.upstream);
    this.put(8, x.target, FIELDS.target);
    // The gateway itself writes this one: all others but the last are byte strings already.
    this.put(9, x.errorDetail === "" ? "" : x.errorDetail.replace(NOT_LATIN1, "?"), FIELDS.detail);
    this.put(10, x.header("user-agent") ?? "", FIELDS.userAgent);
    this.put(11, x.identity === null ? "" : asBytes(x.identity.consumer), FIELDS.consumer);
    this.put(12, x.legs, FIELDS.legs);
    this.put(13, priority < 0 ? "" : asBytes(x.identity?.tier ?? ""), FIELDS.tier);
    const length = (this.at + 3) >> 2;
    words[0] = length | (RECORD_VERSION << 24);
    // push() writes what fits: ask first, so that a frame goes in whole or not at all.
    if (this.ring.availableWrite() < length) this.cells.add(CELL.logDroppedTotal, 1);
    else this.ring.push(words, length);
  }

  private put(field: number, text: string, max: number): void {
    const length = Math.min(text.length, max);
    this.lengths[field] = length;
    const at = this.at;
    this.at = at + length;
    if (length > NATIVE_WRITE_CHARS_MIN) {
      this.bytes.write(text, at, length, "latin1");
      return;
    }
    for (let i = 0; i < length; i++) this.bytes[at + i] = text.charCodeAt(i);
  }
}

/** @returns 1 + index in OVERLOAD_REASONS; 0 where something else came of it */
const reasonNumber = ({ overloadReason, errorCode }: LogRecord): number =>
  overloadReason === null || !isForWantOfRoom(errorCode) ? 0 : OVERLOAD_REASONS.indexOf(overloadReason) + 1;

/** @returns the route that came nearest to a request that none serves; '' for none */
function nearestMiss(x: LogRecord): string {
  return x.errorCode !== null && UNROUTED.has(x.errorCode) ? x.nearestRoute() : "";
}
const UNROUTED: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "route_not_found",
  "method_not_allowed",
  "version_ambiguous",
  "version_missing",
  "version_unknown",
  "version_not_acceptable",
]);

/** The primary's end. */
export class LogRingReader {
  private readonly ring: RingBuffer;
  private readonly words = new Uint32Array(FRAME_WORDS_MAX);
  private readonly bytes = Buffer.from(this.words.buffer);
  private readonly floats = new Float32Array(this.words.buffer);
  private readonly doubles = new Float64Array(this.words.buffer);
  private readonly lengths = new Uint16Array(this.words.buffer, LENGTHS_BYTE, FIELD_NAMES.length);
  /** Times that a frame made no sense and everything queued was discarded; not 0 means a bug. */
  corrupted = 0;

  constructor(shared: SharedArrayBuffer) {
    this.ring = new RingBuffer(shared, Uint32Array);
  }

  /** How full the ring is, 0..1. */
  get fill(): number {
    return this.ring.availableRead() / this.ring.capacity();
  }

  /**
   * Takes records out of the ring, oldest first.
   * @param max most records to take in one go, so that a busy worker cannot hold the primary.
   * @returns how many were taken.
   */
  drain(each: (record: AccessRecord) => void, max = Number.MAX_SAFE_INTEGER): number {
    let count = 0;
    while (count < max && this.next()) {
      each(this.decode());
      count++;
    }
    return count;
  }

  private next(): boolean {
    if (this.ring.pop(this.words, 1) === 0) return false;
    const head = this.words[0]!;
    const length = head & 0xffffff;
    const sound = head >>> 24 === RECORD_VERSION && length >= FRAME_WORDS_MIN && length <= FRAME_WORDS_MAX;
    if (sound && this.ring.pop(this.words, length - 1, 1) === length - 1) return true;
    this.corrupted++;
    while (this.ring.pop(this.words, FRAME_WORDS_MAX) > 0);
    return false;
  }

  private decode(): AccessRecord {
    const { words, floats, doubles, lengths } = this;
    let total = 0;
    for (const length of lengths) total += length;
    const text = this.bytes.toString("latin1", STRINGS_BYTE, STRINGS_BYTE + total);
    let at = 0;
    const take = (field: number): string => text.slice(at, (at += lengths[field]!));
    return {
      timeMs: doubles[3]!,
      status: words[1]! & 0xffff,
      code: errorOfNumber(words[1]! >>> 16),
      attempts: words[2]! & 0xffff,
      protocol: PROTOCOLS[(words[2]! >>> 16) & 0xff] ?? "http/1.1",
      scheme: ((words[2]! >>> 24) & 1) === 1 ? "https" : "http",
      cache: CACHE_RESULTS[words[2]! >>> 25] ?? "",
      priority: PRIORITIES[(words[OVERLOAD_WORD]! >>> 8) - 1] ?? "",
      reason: OVERLOAD_REASONS[(words[OVERLOAD_WORD]! & 0xff) - 1] ?? "",
      lineMs: floats[LINE_WORD]!,
      planVersion: words[3]!,
      upstreamConnectMs: floats[4]!,
      upstreamFirstByteMs: floats[5]!,
      totalMs: doubles[4]!,
      bytesIn: doubles[5]!,
      bytesOut: doubles[6]!,
      requestId: take(0),
      client: take(1),
      method: take(2),
      host: take(3),
      path: take(4),
      query: take(5),
      route: take(6),
      upstream: take(7),
      target: take(8),
      detail: take(9),
      userAgent: take(10),
      consumer: take(11),
      legs: take(12),
      tier: take(13),
    };
  }
}

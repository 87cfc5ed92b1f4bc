// Owns the access log on the primary's side: takes records out of the workers' rings and hands lines to the sink.
// Must never make a worker wait: when it is late, rings fill and workers drop (CELL.logDroppedTotal).
//
// One JSON object a line, always with the same keys in this order (`query` only when switched on). Times in milliseconds.
//   time        arrival, RFC 3339 UTC with milliseconds    requestId  X-Request-Id, as sent upstream and to the client
//   client      address of the caller, trusted proxies taken into account; "" over a Unix socket
//   consumer    id of the proven caller, null for nobody
//   method, scheme, host                                   path       normalised; as sent when the request was not admitted
//   query       without credentials, as `path` otherwise   protocol   http/1.1, websocket, ...
//   route       name; with code route_not_found, method_not_allowed or version_* the one that came nearest; null for none
//   upstream    that was to answer, null for none          target     of it, last tried; null when none could be
//   attempts    requests sent upstream                     cache      what the store of responses did, on routes with `cache` only:
//               hit, stale, revalidated, miss, collapsed (waited for another's request), bypass
//   status      sent to the client, 0 when none could be   code       of the error table, null for none
//   detail      why, one sentence, "" for none             bytesIn, bytesOut  body bytes from and to the client
//   reason, waitMs, priority, tier   of a request that waited for a place at an upstream, or was refused for want of room, only: what there was no room in, null
//               where it was not refused; time in line; class of priority; the caller's tier, null for none
//   totalMs     whole exchange                             connectMs, firstByteMs  last attempt: to request on the wire, to
//   userAgent   first 256 bytes                            response head; null when it did not come to that
//   plan        version of the configuration that served it
// Strings are bytes as received, each as the character of that number (latin1), so that nothing is lost or ambiguous.
import type { AccessRecord, LogRingReader } from "../shared/log-ring.ts";
import type { LogSink } from "./log-sink.ts";

/** Time between two looks into the rings, ms; the shorter one while a ring is more than a quarter full. */
const DRAIN_EVERY_MS = 50;
const DRAIN_BUSY_MS = 5;
const BUSY_FILL = 0.25;
/** Most records taken from one ring before the others and the primary's other work get a turn: some 2 ms. */
const DRAIN_RECORDS_MAX = 2000;
/** Longest line: a record with every string at its bound and every character escaped to six. */
const LINE_BYTES_MAX = 28 * 1024;
const CHUNK_BYTES = 256 * 1024;

export class AccessLog {
  private readonly readers: readonly LogRingReader[];
  private readonly sink: LogSink;
  private timer: NodeJS.Timeout | null = null;
  private chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  private begin = 0;
  private end = 0;
  /** Lines between begin and end. */
  private lines = 0;

  constructor(readers: readonly LogRingReader[], sink: LogSink) {
    this.readers = readers;
    this.sink = sink;
  }

  /** Records that the sink could not take. */
  get dropped(): number {
    return this.sink.dropped;
  }

  /** Why the sink fails at present; null when it does not. */
  get failure(): string | null {
    return this.sink.failure;
  }

  /** Begin to drain. Does not keep the process alive. */
  start(): void {
    this.timer ??= this.schedule(DRAIN_EVERY_MS);
  }

  /** After log rotation (SIGUSR2). @throws OperatorError when the file cannot be opened; the old one stays in use. */
  reopen(): Promise<void> {
    return this.sink.reopen();
  }

  /** Write everything that the workers have recorded, at most timeoutMs long. Call when they have ended. */
  async stop(timeoutMs: number): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    for (const reader of this.readers) while (this.drain(reader) > 0);
    await this.sink.close(timeoutMs);
  }

  private schedule(afterMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      let fullest = 0;
      for (const reader of this.readers) {
        fullest = Math.max(fullest, reader.fill);
        this.drain(reader);
      }
      this.timer = this.schedule(fullest > BUSY_FILL ? DRAIN_BUSY_MS : DRAIN_EVERY_MS);
    }, afterMs).unref();
  }

  private drain(reader: LogRingReader): number {
    const records = reader.drain(this.append, DRAIN_RECORDS_MAX);
    this.handOver();
    return records;
  }

  /** Each line is written to bytes at once: joining strings first costs seven times as much (ropes). */
  private readonly append = (record: AccessRecord): void => {
    if (this.chunk.length - this.end < LINE_BYTES_MAX) {
      this.handOver();
      this.chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      this.begin = this.end = 0;
    }
    this.end += this.chunk.write(formatAccessRecord(record), this.end, "latin1");
    this.lines++;
  };

  /** Gives the sink what was appended; it owns those bytes from then on. */
  private handOver(): void {
    if (this.lines === 0) return;
    this.sink.write(this.chunk.subarray(this.begin, this.end), this.lines);
    this.begin = this.end;
    this.lines = 0;
  }
}

/** @returns one line of JSON in printable ASCII, line feed included. */
export function formatAccessRecord(r: AccessRecord): string {
  const query = r.query === "" ? "" : `"query":"${escapeJson(r.query)}",`;
  const cache = r.cache === "" ? "" : `"cache":"${r.cache}",`;
  const legs = r.legs === "" ? "" : legsOf(r.legs);
  const overload = r.priority === "" ? "" : overloadOf(r);
  // One flat template: nested ones make ropes, which cost more than all else here.
  return `{"time":"${formatTime(r.timeMs)}","requestId":"${escapeJson(r.requestId)}","client":"${escapeJson(r.client)}","consumer":${orNull(textOf(r.consumer))},"method":"${escapeJson(r.method)}","scheme":"${r.scheme}","host":"${escapeJson(r.host)}","path":"${escapeJson(r.path)}",${query}"protocol":"${r.protocol}","route":${orNull(r.route)},"upstream":${orNull(r.upstream)},"target":${orNull(r.target)},"attempts":${r.attempts},${cache}${legs}"status":${r.status},"code":${orNull(r.code ?? "")},"detail":"${escapeJson(r.detail)}",${overload}"bytesIn":${r.bytesIn},"bytesOut":${r.bytesOut},"totalMs":${round(r.totalMs)},"connectMs":${known(r.upstreamConnectMs)},"firstByteMs":${known(r.upstreamFirstByteMs)},"userAgent":"${escapeJson(r.userAgent)}","plan":${r.planVersion}}\n`;
}

const overloadOf = ({ reason, lineMs, priority, tier }: AccessRecord): string =>
  `"reason":${orNull(reason)},"waitMs":${round(lineMs)},"priority":"${priority}","tier":${orNull(textOf(tier))},`;

/** @param legs as LogRecord has it */
function legsOf(legs: string): string {
  const [count = "0", failed = ""] = legs.split(" ");
  return `"legs":${Number(count)},"failedLegs":${JSON.stringify(failed === "" ? [] : failed.split(","))},`;
}

const NEEDS_ESCAPE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/;
const NOT_ASCII = /[^\x20-\x7e]/g;

/** @returns the inside of a JSON string. */
function escapeJson(text: string): string {
  if (!NEEDS_ESCAPE.test(text)) return text;
  // JSON.stringify leaves DEL, C1 controls and letters alone; terminals obey some of those and encodings differ on the rest.
  const ascii = JSON.stringify(text).replace(NOT_ASCII, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return ascii.slice(1, -1);
}

let secondMs = Number.NaN;
let secondText = "";

/** RFC 3339; the text of a second is kept, since thousands of lines share it. */
function formatTime(epochMs: number): string {
  const ms = Math.floor(epochMs);
  const fraction = ms % 1000;
  if (ms - fraction !== secondMs) {
    secondMs = ms - fraction;
    secondText = new Date(secondMs).toISOString().slice(0, -4);
  }
  return `${secondText}${fraction < 10 ? "00" : fraction < 100 ? "0" : ""}${fraction}Z`;
}

/** Names of consumers are text: their UTF-8 bytes stand in the record. Clients choose all others, bytes as they are. */
const textOf = (bytes: string): string => (NOT_PLAIN.test(bytes) ? Buffer.from(bytes, "latin1").toString("utf8") : bytes);
const NOT_PLAIN = /[^\x00-\x7f]/;

const orNull = (text: string): string => (text === "" ? "null" : `"${escapeJson(text)}"`);
/** Microseconds are the clock's honest precision. */
const round = (ms: number): number => Math.round(ms * 1000) / 1000;
const known = (ms: number): number | null => (ms < 0 ? null : round(ms));

// Writes the answers that the gateway makes itself: policy replies and, as the only place, error responses (RFC 9457).
// Must never put upstream details into a body.
import { ERRORS, type ErrorCode } from "../../base/errors.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import { BODY_NONE, type BodySink, type ClientEvents, type Exchange, type HeaderList } from "./exchange.ts";
import { finish } from "./finish.ts";
import type { Reply, ResponseHead } from "./policy.ts";

/**
 * A refused request's body is still read, up to these bounds, before the answer and the close: closing on unread
 * bytes makes the kernel send RST, which can destroy the answer on its way (RFC 9112 section 9.6).
 */
const LINGER_BYTES_MAX = 256 * 1024;
const LINGER_MS_MAX = 1000;
/** Seconds in Retry-After of the gateway's own 503 answers. */
const RETRY_AFTER_S = "1";

/** Answers with a problem document. Only before anything of a response was started. */
export function fail(x: Exchange, code: ErrorCode, detail = "", headers?: HeaderList): void {
  const info = ERRORS[code];
  x.errorCode = code;
  x.errorDetail = detail;
  if (info.close) x.closeAfter = true;
  const list: HeaderList = ["content-type", "application/problem+json", "cache-control", "no-store"];
  if (info.status === 503 && headers?.includes("retry-after") !== true) list.push("retry-after", RETRY_AFTER_S);
  if (headers !== undefined) list.push(...headers);
  send(x, info.status, list, problemBody(x, code, detail));
}

/** Answers with what a policy decided. */
export function reply(x: Exchange, answer: Reply): void {
  if (answer.kind === "problem") return fail(x, answer.code, answer.detail, answer.headers);
  const body = answer.body === null ? null : typeof answer.body === "string" ? Buffer.from(answer.body, "utf8") : answer.body;
  send(x, answer.status, answer.headers.slice(), body);
}

/** Runs the response policies over a head and adds what belongs on every response. Shared with the relay of upstream responses. */
export function finalHead(x: Exchange, head: ResponseHead): void {
  head.headers.push("x-request-id", x.requestId);
  const policies = x.route?.onResponse ?? null;
  if (policies !== null) for (const policy of policies) policy.onResponse?.(x, head);
  if (x.responseHeaders !== null) head.headers.push(...x.responseHeaders);
}

function problemBody(x: Exchange, code: ErrorCode, detail: string): Buffer {
  const info = ERRORS[code];
  // Details of gateway and upstream faults are for the log; a client is told what it can mend itself.
  const shown = info.source === "client" && detail !== "" ? detail : info.title;
  const reason = x.overloadReason ?? undefined;
  const problem = {
    type: `urn:sluice:error:${code}`,
    title: info.title,
    status: info.status,
    code,
    reason,
    detail: shown,
    requestId: x.requestId,
  };
  return Buffer.from(JSON.stringify(problem), "utf8");
}

function send(x: Exchange, status: number, headers: HeaderList, body: Uint8Array | null): void {
  // RFC 9110 section 8.6: the length in a 304 is that of the 200 it stands for, which nobody here knows.
  const length = status === 304 ? -1 : (body?.length ?? 0);
  respond(x, { status, headers, length, hasBody: hasBody(x.method, status), fromUpstream: false }, body);
}

/** Answers with a whole response, whoever made it: policies run, then it goes out. Only before anything of a response was started. */
export function respond(x: Exchange, head: ResponseHead, body: Uint8Array | null): void {
  x.events = REPLY_EVENTS;
  if (x.closed) return finish(x);
  try {
    x.clientInfo(); // the access log wants it, and once the answer is out the address cannot be read any more
    finalHead(x, head);
  } catch (error) {
    return crashed(x, error); // no answer without its policies: they may be what makes it safe
  }
  if (!x.bodyDone && x.bodyKind !== BODY_NONE && !x.awaitsContinue) new Linger(x, head, body).begin();
  // Closing answers wait a tick: uWebSockets.js would still run a second request that came in the same segment.
  else if (x.closeAfter) setImmediate(() => writeGuarded(x, head, body));
  else writeGuarded(x, head, body);
}

/** Also called by timers, into which nothing may be thrown. */
function writeGuarded(x: Exchange, head: ResponseHead, body: Uint8Array | null): void {
  try {
    write(x, head, body);
  } catch (error) {
    crashed(x, error);
  }
}

function crashed(x: Exchange, error: unknown): void {
  x.runtime.services.reportFault("answering failed", error, x.requestId);
  x.errorCode = "internal_error";
  x.abort();
  finish(x);
}

function write(x: Exchange, head: ResponseHead, body: Uint8Array | null): void {
  if (x.closed) return;
  x.status = head.status;
  const transform = x.bodyTransform;
  x.start(head.status, head.headers, head.length);
  if (transform === null || body === null) {
    if (body !== null && head.hasBody) x.end(body);
    else x.end();
    return;
  }
  transform.attach({
    transformed: (chunk) => void x.write(chunk), // one bounded body: it fits the engine's buffer
    transformEnded: () => x.end(),
    transformDrained: () => {},
    transformFailed: () => x.abort(),
  });
  transform.write(body);
  transform.end();
}

/** RFC 9110 section 6.4.1: HEAD, 204 and 304 have no body, whatever their headers say. */
export const hasBody = (method: string, status: number): boolean => method !== "HEAD" && status !== 204 && status !== 304;

const REPLY_EVENTS: ClientEvents = {
  clientAborted(x) {
    x.bodyTransform?.destroy();
    if (x.errorCode === null) x.errorCode = "client_aborted";
    finish(x);
  },
  clientDrained() {},
  clientCompleted: finish,
};

/** Reads the rest of a refused body within bounds, then answers. */
class Linger extends WheelEntry implements BodySink {
  private readonly x: Exchange;
  private readonly head: ResponseHead;
  private readonly body: Uint8Array | null;
  private bytes = 0;
  private over = false;

  constructor(x: Exchange, head: ResponseHead, body: Uint8Array | null) {
    super();
    this.x = x;
    this.head = head;
    this.body = body;
  }

  begin(): void {
    this.x.runtime.services.wheel.arm(this, LINGER_MS_MAX);
    this.x.redirectBody(this);
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    this.bytes += chunk.length;
    if (last || this.bytes > LINGER_BYTES_MAX) this.answer();
  }

  onDeadline(): void {
    this.answer();
  }

  private answer(): void {
    if (this.over) return;
    this.over = true;
    this.x.runtime.services.wheel.disarm(this);
    setImmediate(() => writeGuarded(this.x, this.head, this.body));
  }
}

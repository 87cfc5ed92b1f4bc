// Writes the answers that the gateway makes itself: replies of policies and handlers and, as the only place, error responses (problem.ts makes them).
// Must never let one out that the response policies have not seen.
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import { appendHeaders } from "../../base/header-list.ts";
import { PeerGone } from "../../base/policy-failure.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import { BODY_NONE, type BodySink, type ClientEvents, type Exchange } from "./exchange.ts";
import { complete, finish } from "./finish.ts";
import type { Reply, ResponseHead } from "./policy.ts";
import { intercepted, problem } from "./problem.ts";
import { FilterChain } from "./response-filter.ts";
import { headOf } from "./response-head.ts";
import { StreamReply } from "./stream-reply.ts";

/**
 * A refused request's body is still read, up to these bounds, before the answer and the close: closing on unread
 * bytes makes the kernel send RST, which can destroy the answer on its way (RFC 9112 section 9.6).
 */
const LINGER_BYTES_MAX = 256 * 1024;
const LINGER_MS_MAX = 1000;

/** Of a stream the reply itself, with what it has beside the stream. */
type Body = Uint8Array | Extract<Reply, { readonly kind: "stream" }> | null;

/** A whole response, ready for the response policies. */
interface Answer {
  readonly head: ResponseHead;
  readonly body: Body;
}

/** Answers with a problem document, or the error page in its place. Only before anything of a response was started. */
export function fail(x: Exchange, code: ErrorCode, detail = "", headers?: HeaderList): void {
  send(x, problem(x, headers === undefined ? { code, detail } : { code, detail, headers }));
}

/** Answers with what a policy or handler decided. Only before anything of a response was started. */
export function reply(x: Exchange, answer: Reply): void {
  send(x, answerOf(x, answer));
}

/** A response policy has replaced what was there: the policies from `next` on see the new one. Only before anything of a response was started. */
export function replaceBy(x: Exchange, { reply: answer, next }: Replacement): void {
  send(x, instead(x, answer), next);
}

/** Answers in place of a service's response, of which nothing but status and some headers is left. Only before anything of a response was started. */
export function replaceIntercepted(x: Exchange, status: number, headers: HeaderList): void {
  send(x, problem(x, intercepted(status, headers)));
}

/** What a response policy answers instead. */
export interface Replacement {
  readonly reply: Reply;
  /** The first policy that has not run. */
  readonly next: number;
}

/**
 * Runs the response policies over a head and adds what belongs on every response. Shared with the relay of upstream responses.
 * @param from the first policy to run
 * @returns what one of them answers instead; null when the head stands
 */
export function finalHead(x: Exchange, head: ResponseHead, from = 0): Replacement | null {
  head.headers.push("x-request-id", x.requestId);
  const policies = x.route?.onResponse ?? null;
  if (policies !== null) {
    for (let i = from; i < policies.length; i++) {
      const instead = policies[i]?.onResponse?.(x, head);
      if (instead !== undefined) return { reply: instead, next: i + 1 };
    }
  }
  if (x.responseHeaders !== null) appendHeaders(head.headers, x.responseHeaders);
  return null;
}

/** What a response policy answers. Never throws: its caller has let go of what it replaces. */
function instead(x: Exchange, answer: Reply): Answer {
  try {
    return answerOf(x, answer);
  } catch (error) {
    x.runtime.services.reportFault("a policy answered with what is no reply", error, x.requestId);
    return problem(x, { code: "internal_error", detail: "" });
  }
}

function answerOf(x: Exchange, answer: Reply): Answer {
  if (answer.kind === "problem") return problem(x, answer);
  if (answer.kind === "stream") {
    answer.body.on("error", ignore); // it may fail before it is read, or after it was discarded: that is nobody's event, and not the worker's end
    return { head: headOf(x, { status: answer.status, headers: answer.headers.slice(), length: -1 }), body: answer };
  }
  const body = typeof answer.body === "string" ? Buffer.from(answer.body, "utf8") : answer.body;
  // RFC 9110 section 8.6: the length in a 304 is that of the 200 it stands for, which nobody here knows.
  const length = answer.status === 304 ? -1 : (body?.length ?? 0);
  return { head: headOf(x, { status: answer.status, headers: answer.headers.slice(), length }), body };
}

/** @param from the first response policy to run */
function send(x: Exchange, answer: Answer, from = 0): void {
  x.events = REPLY_EVENTS;
  if (x.closed) {
    discardBody(answer.body);
    return finish(x);
  }
  let final = answer;
  try {
    x.clientInfo(); // the access log wants it, and once the answer is out the address cannot be read any more
    for (let next = from; ; ) {
      const replaced = finalHead(x, final.head, next);
      if (replaced === null) break;
      discardBody(final.body);
      final = instead(x, replaced.reply);
      next = replaced.next;
    }
  } catch (error) {
    discardBody(final.body);
    return crashed(x, error); // no answer without its policies: they may be what makes it safe
  }
  if (x.lingers) writeGuarded(x, final);
  else if (!x.bodyDone && x.bodyKind !== BODY_NONE && !x.awaitsContinue) new Linger(x, final).begin();
  // Closing answers wait a tick: uWebSockets.js would still run a second request that came in the same segment.
  else if (x.closeAfter) setImmediate(() => writeGuarded(x, final));
  else writeGuarded(x, final);
}

function discardBody(body: Body): void {
  if (body !== null && !(body instanceof Uint8Array)) body.body.destroy();
}

const ignore = (): void => {};

/** Also called by timers, into which nothing may be thrown. */
function writeGuarded(x: Exchange, answer: Answer): void {
  try {
    write(x, answer);
  } catch (error) {
    discardBody(answer.body);
    crashed(x, error);
  }
}

function crashed(x: Exchange, error: unknown): void {
  if (error instanceof PeerGone) x.errorCode ??= "client_aborted";
  else fault(x, error);
  x.abort();
  finish(x);
}

function fault(x: Exchange, error: unknown): void {
  x.runtime.services.reportFault("answering failed", error, x.requestId);
  x.errorCode = "internal_error";
}

function write(x: Exchange, { head, body }: Answer): void {
  if (x.closed) return discardBody(body);
  if (body !== null && !(body instanceof Uint8Array)) return new StreamReply(x, body).begin(head);
  const filters = x.route?.filters ?? null;
  if (filters === null) {
    x.status = head.status;
    x.start(head.status, head.headers, head.length);
    if (body !== null && head.hasBody) x.end(body);
    else x.end();
    return;
  }
  const chain = new FilterChain(x, filters, { drained() {}, failed: (error) => crashed(x, error) }); // one bounded body: it fits the engine's buffer
  x.filters = chain;
  chain.head(head);
  if (chain.isEmpty) {
    x.filters = null; // all have passed it by: it may go out in one piece
    if (body !== null && head.hasBody) x.end(body);
    else x.end();
    return;
  }
  if (body !== null && head.hasBody) chain.data(body);
  chain.end(null);
}

/** Of a response that is written as one. */
export const REPLY_EVENTS: ClientEvents = {
  clientAborted(x) {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    finish(x);
  },
  clientDrained(x) {
    x.filters?.drained();
  },
  clientCompleted: complete,
};

/** Reads the rest of a refused body within bounds, then answers. */
class Linger extends WheelEntry implements BodySink {
  private readonly x: Exchange;
  private readonly answer: Answer;
  private bytes = 0;
  private over = false;

  constructor(x: Exchange, answer: Answer) {
    super();
    this.x = x;
    this.answer = answer;
  }

  begin(): void {
    this.x.runtime.services.wheel.arm(this, LINGER_MS_MAX);
    this.x.redirectBody(this);
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    this.bytes += chunk.length;
    if (last || this.bytes > LINGER_BYTES_MAX) this.write();
  }

  onDeadline(): void {
    this.write();
  }

  private write(): void {
    if (this.over) return;
    this.over = true;
    this.x.runtime.services.wheel.disarm(this);
    setImmediate(() => writeGuarded(this.x, this.answer));
  }
}

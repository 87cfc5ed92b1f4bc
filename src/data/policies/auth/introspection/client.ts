// Owns asking the provider about one token: one request over the gateway's own HTTP client, bounded in time and size, and a small breaker.
// Must never take an answer that is in any doubt for a yes; must never log a token.
import { parseStrictObject, strictUtf8 } from "../../../../base/strict-json.ts";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import { H1Pool } from "../../../upstream/h1/pool.ts";
import type { ResponseHeaders } from "../../../upstream/response-headers.ts";
import type { Pool, WireCall, WireError, WireHandler, WireRequest } from "../../../upstream/upstream.ts";
import type { IntrospectionConfig } from "./config.ts";

/** Beyond any honest answer. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Idle connections to the provider are kept so long, ms. */
const KEEP_ALIVE_MS = 30_000;

export type Answer =
  | { readonly kind: "active"; readonly claims: Readonly<Record<string, unknown>> }
  | { readonly kind: "inactive" }
  /** @property reason for operators; '' when the provider was not even asked */
  | { readonly kind: "failed"; readonly reason: string };

export class IntrospectionClient {
  private readonly config: IntrospectionConfig;
  private readonly wheel: TimerWheel;
  private readonly pool: Pool;
  private readonly headers: readonly string[];
  /** Told once each time the breaker opens. */
  private readonly onOpen: (reason: string) => void;
  private failedInARow = 0;
  /** performance.now() ms until which nothing is asked; 0: closed. */
  private openUntilMs = 0;
  /** The breaker is open and its time over: one question is on its way to find out. */
  private probing = false;

  constructor(config: IntrospectionConfig, wheel: TimerWheel, onOpen: (reason: string) => void) {
    this.config = config;
    this.wheel = wheel;
    this.onOpen = onOpen;
    const { tls, host, port, authority } = config.endpoint;
    const { timeoutMs, concurrency, ca } = config;
    this.pool = new H1Pool(
      { tls, address: host, port, authority },
      {
        pool: { client: "http1", connections: concurrency, pipelining: 1, keepAliveMs: KEEP_ALIVE_MS, queue: concurrency },
        timeouts: { connectMs: timeoutMs, attemptMs: timeoutMs, idleMs: timeoutMs, totalMs: timeoutMs },
        tls: ca === null ? null : { ca, cert: null, key: null, serverName: null, verify: true },
      },
      wheel,
    );
    const credentials = Buffer.from(`${formEncode(config.clientId)}:${formEncode(config.clientSecret)}`).toString("base64");
    this.headers = [
      ...["host", authority, "authorization", `Basic ${credentials}`],
      ...["content-type", "application/x-www-form-urlencoded", "accept", "application/json"],
    ];
  }

  /** Never rejects. */
  async ask(token: string): Promise<Answer> {
    if (this.openUntilMs > 0) {
      if (this.probing || performance.now() < this.openUntilMs) return { kind: "failed", reason: "" };
      this.probing = true;
    }
    const answer = await this.askOnce(token, true);
    this.judge(answer);
    return answer;
  }

  private judge(answer: Answer): void {
    this.probing = false;
    if (answer.kind !== "failed") {
      this.failedInARow = this.openUntilMs = 0;
      return;
    }
    if (++this.failedInARow < this.config.failures) return;
    if (this.openUntilMs === 0) this.onOpen(answer.reason);
    this.openUntilMs = performance.now() + this.config.openForMs;
  }

  /** @param again asking changes nothing at the provider, so a connection that it closed meanwhile is no reason to fail. */
  private async askOnce(token: string, again: boolean): Promise<Answer> {
    const body = Buffer.from(`token=${formEncode(token)}&token_type_hint=access_token`, "latin1");
    const request: WireRequest = {
      method: "POST",
      path: this.config.endpoint.path,
      headers: [...this.headers],
      body,
      contentLength: body.length,
    };
    const outcome = await new Promise<Answer | "reset">((resolve) =>
      new Question(this.wheel, resolve).send(this.pool, request, this.config.timeoutMs),
    );
    if (outcome !== "reset") return outcome;
    return again ? this.askOnce(token, false) : { kind: "failed", reason: "the provider closed the connection" };
  }
}

/** One request. Settles exactly once. */
class Question extends WheelEntry implements WireHandler {
  private readonly wheel: TimerWheel;
  private readonly resolve: (outcome: Answer | "reset") => void;
  private call: WireCall | null = null;
  private settled = false;
  private status = 0;
  private encoded = false;
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  constructor(wheel: TimerWheel, resolve: (outcome: Answer | "reset") => void) {
    super();
    this.wheel = wheel;
    this.resolve = resolve;
  }

  send(pool: Pool, request: WireRequest, timeoutMs: number): void {
    this.wheel.arm(this, timeoutMs);
    this.call = pool.dispatch(request, this);
  }

  wireSent(): void {}

  wireHead(status: number, { headers }: ResponseHeaders): void {
    this.status = status;
    this.encoded = headers.some((name, i) => i % 2 === 0 && name === "content-encoding");
  }

  wireData(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.bytes > ANSWER_BYTES_MAX) return this.abandon("the answer is too large");
    this.chunks.push(Buffer.from(chunk)); // it is lent
  }

  wireEnd(): void {
    this.settle(this.answer());
  }

  wireError({ code, reason }: WireError): void {
    this.settle(code === "upstream_reset" ? "reset" : failed(`${code}: ${reason}`));
  }

  onDeadline(): void {
    this.abandon("no answer in time");
  }

  private abandon(reason: string): void {
    this.call?.cancel();
    this.settle(failed(reason));
  }

  private settle(outcome: Answer | "reset"): void {
    if (this.settled) return;
    this.settled = true;
    this.wheel.disarm(this);
    this.resolve(outcome);
  }

  /** RFC 7662 section 2.2. */
  private answer(): Answer {
    if (this.status !== 200) return failed(`status ${this.status}${this.status === 401 ? ": are clientId and clientSecret right?" : ""}`);
    const text = this.encoded ? null : strictUtf8(Buffer.concat(this.chunks));
    if (text === null) return failed("the answer is compressed or no UTF-8");
    const parsed = parseStrictObject(text);
    if ("problem" in parsed) return failed(`the answer ${parsed.problem}`);
    const { active } = parsed.value;
    if (active === true) return { kind: "active", claims: parsed.value };
    return active === false ? { kind: "inactive" } : failed("the answer does not say whether the token is active");
  }
}

const failed = (reason: string): Answer => ({ kind: "failed", reason });

/** `application/x-www-form-urlencoded`, without the blank's `+` that some providers read as a plus. */
const formEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

// Owns asking the provider about one token: one request over the gateway's own HTTP client, bounded in time and size, and a small breaker.
// Must never take an answer that is in any doubt for a yes; must never log a token.
import { parseStrictObject, strictUtf8 } from "../../../../base/strict-json.ts";
import { type TimerWheel, WheelEntry } from "../../../../base/timer-wheel.ts";
import { H1Pool } from "../../../upstream/transport/http1/pool.ts";
import type { ResponseHeaders } from "../../../upstream/transport/response-headers.ts";
import type { Pool, WireCall, WireError, WireHandler, WireRequest } from "../../../upstream/upstream.ts";
import type { IntrospectionConfig } from "./config.ts";

/** Beyond any honest answer. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Idle connections to the provider are kept so long, ms. */
const KEEP_ALIVE_MS = 30_000;

export type Answer =
  | { readonly kind: "active"; readonly claims: Readonly<Record<string, unknown>> }
  | { readonly kind: "inactive" }
  /** The provider took the request and not the token: it is too long, malformed, or the like. @property reason for operators */
  | { readonly kind: "rejected"; readonly reason: string }
  /** The provider answered, and not what the token is worth: that says nothing about other tokens. @property reason for operators */
  | { readonly kind: "unclear"; readonly reason: string }
  /** The provider cannot be asked about any token. @property reason for operators; '' when it was not even asked */
  | { readonly kind: "failed"; readonly reason: string };

/** About the token that was sent, by the meaning of the status: it cannot be good. */
const REJECTED: ReadonlySet<number> = new Set([400, 413, 414, 422, 431]);
/** About every request: the gateway's own credentials (RFC 7662 section 2.3), the URL, the method, an intermediary. With them 5xx. */
const NOT_ABOUT_A_TOKEN: ReadonlySet<number> = new Set([401, 404, 405, 407, 408, 410, 421]);

/** Answers of no use are reported once in this time, ms: strangers choose the tokens. */
const REPORT_MS_MIN = 60_000;

export class IntrospectionClient {
  private readonly config: IntrospectionConfig;
  private readonly wheel: TimerWheel;
  private readonly pool: Pool;
  private readonly headers: readonly string[];
  /** Told each time the breaker opens, and now and then of answers that are of no use. */
  private readonly onTrouble: (reason: string) => void;
  private failedInARow = 0;
  /** Answers that said nothing of a token, or rejected it. */
  private uselessInARow = 0;
  private reportAgainMs = 0;
  /** performance.now() ms until which nothing is asked; 0: closed. */
  private openUntilMs = 0;
  /** The breaker is open and its time over: one question is on its way to find out. */
  private probing = false;

  constructor(config: IntrospectionConfig, wheel: TimerWheel, onTrouble: (reason: string) => void) {
    this.config = config;
    this.wheel = wheel;
    this.onTrouble = onTrouble;
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
    const useless = answer.kind === "rejected" || answer.kind === "unclear";
    this.uselessInARow = useless ? this.uselessInARow + 1 : 0;
    if (answer.kind !== "failed") {
      // Whoever answers is there: a token is anybody's to make up, so no answer about one shuts the others out.
      this.failedInARow = this.openUntilMs = 0;
      if (useless) this.reportUseless(answer.reason);
      return;
    }
    if (++this.failedInARow < this.config.failures) return;
    if (this.openUntilMs === 0) this.onTrouble(answer.reason);
    this.openUntilMs = performance.now() + this.config.openForMs;
  }

  /** No breaker opens over them, so nothing else would say that the endpoint may be the wrong one. */
  private reportUseless(reason: string): void {
    const nowMs = performance.now();
    if (this.uselessInARow < this.config.failures || nowMs < this.reportAgainMs) return;
    this.reportAgainMs = nowMs + REPORT_MS_MIN;
    this.onTrouble(`${this.uselessInARow} answers in a row that do not say whether a token is active, the last: ${reason}`);
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
    if (this.bytes > ANSWER_BYTES_MAX) return this.abandon(this.ofStatus() ?? unclear("the answer is too large"));
    this.chunks.push(Buffer.from(chunk)); // it is lent
  }

  wireEnd(): void {
    this.settle(this.answer());
  }

  wireError({ code, reason }: WireError): void {
    this.settle(code === "upstream_reset" ? "reset" : failed(`${code}: ${reason}`));
  }

  onDeadline(): void {
    this.abandon(failed("no answer in time"));
  }

  private abandon(answer: Answer): void {
    this.call?.cancel();
    this.settle(answer);
  }

  private settle(outcome: Answer | "reset"): void {
    if (this.settled) return;
    this.settled = true;
    this.wheel.disarm(this);
    this.resolve(outcome);
  }

  /** RFC 7662 section 2.2. */
  private answer(): Answer {
    const answer = this.ofStatus();
    if (answer !== null) return answer;
    const text = this.encoded ? null : strictUtf8(Buffer.concat(this.chunks));
    if (text === null) return unclear("the answer is compressed or no UTF-8");
    const parsed = parseStrictObject(withoutMark(text));
    if ("problem" in parsed) return unclear(`the answer ${parsed.problem}`);
    const { active } = parsed.value;
    if (active === true) return activeUnlessEndless(parsed.value);
    return active === false ? { kind: "inactive" } : unclear("the answer does not say whether the token is active");
  }

  /** @returns null for 200, whose body tells */
  private ofStatus(): Answer | null {
    const { status } = this;
    if (status === 200) return null;
    const reason = `status ${status}${status === 401 ? ": are clientId and clientSecret right?" : ""}`;
    if (REJECTED.has(status)) return { kind: "rejected", reason };
    return status >= 500 || NOT_ABOUT_A_TOKEN.has(status) ? failed(reason) : unclear(reason);
  }
}

const failed = (reason: string): Answer => ({ kind: "failed", reason });
const unclear = (reason: string): Answer => ({ kind: "unclear", reason });

/** Some write a byte order mark before their JSON. */
const withoutMark = (text: string): string => (text.startsWith("\ufeff") ? text.slice(1) : text);

/** RFC 7662 section 2.2: `exp` in seconds. One that is no number leaves open how long the answer holds. */
function activeUnlessEndless(claims: Readonly<Record<string, unknown>>): Answer {
  const { exp } = claims;
  if (exp !== undefined && (typeof exp !== "number" || !Number.isFinite(exp))) return unclear("the answer's `exp` is no number");
  return { kind: "active", claims };
}

/** `application/x-www-form-urlencoded`, without the blank's `+` that some providers read as a plus. */
const formEncode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

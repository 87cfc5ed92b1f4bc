// Owns requests that the gateway makes of itself so that their responses are stored: each goes through admission, policies and the route's cache as a client's does.
// Must never have a credential, and never be in anybody's way: its questions to upstreams are background work.

import type { HeaderList } from "../../base/header-list.ts";
import type { WarmOutcome, WarmRequest } from "../../plan/warm-plan.ts";
import { CACHE } from "../../shared/cache/outcomes.ts";
import { BODY_NONE, Exchange } from "../exchange/exchange.ts";
import type { Runtime } from "../exchange/runtime.ts";
import { admit } from "../listener/admit.ts";
import { handle, refuseExchange } from "./pipeline.ts";

/** Where it comes from, to whoever asks: this host. */
const OWN_ADDRESS = "127.0.0.1";

/** Never throws. @param runtime null while the worker takes nothing more @param done told once, when everything is over */
export function warm(runtime: Runtime | null, request: WarmRequest, done: (outcome: WarmOutcome) => void): void {
  if (runtime === null) return done({ result: "failed", reason: "the worker is draining" });
  const x = new WarmExchange(runtime, request, done);
  const { path, query, authority } = request;
  x.headers = ["host", authority, ...request.headers];
  const refusal = admit(x, { method: "GET", path, query }, null);
  x.bodyKind = BODY_NONE;
  x.bodyDone = true;
  if (refusal === null) handle(x);
  else refuseExchange(x, refusal);
}

/** It is in the store, without a question to the service. */
const PRESENT: ReadonlySet<number> = new Set([CACHE.hit, CACHE.stale, CACHE.redis]);

/** Takes what comes as fast as it comes, and keeps nothing. */
class WarmExchange extends Exchange {
  started = false;
  closed = false;
  readonly #done: (outcome: WarmOutcome) => void;
  #length = -1;
  #received = 0;
  #aborted = false;
  /** What the route's cache says of it. */
  #dealt = "";

  constructor(runtime: Runtime, { scheme }: WarmRequest, done: (outcome: WarmOutcome) => void) {
    super(runtime);
    this.#done = done;
    this.secure = scheme === "https";
    const { listeners } = runtime.plan;
    this.listener = (listeners.find(({ tls }) => (tls !== null) === this.secure) ?? listeners[0])?.name ?? "";
    this.client = { ip: OWN_ADDRESS, scheme };
  }

  override get isBackground(): boolean {
    return true;
  }

  peerAddress(): string {
    return OWN_ADDRESS;
  }

  // It has no body.
  readBody(): void {}
  redirectBody(): void {}
  pauseBody(): void {}
  resumeBody(): void {}

  start(_status: number, headers: HeaderList, length: number): void {
    this.started = true;
    this.#length = length;
    for (let i = 0; i < headers.length; i += 2) if (headers[i] === "cache-status") this.#dealt = headers[i + 1] ?? "";
  }

  write(chunk: Uint8Array): boolean {
    if (this.closed) return true;
    this.#received += chunk.length;
    if (this.#received === this.#length) this.#complete();
    return true;
  }

  end(): void {
    if (!this.closed) this.#complete();
  }

  #complete(): void {
    this.closed = true;
    this.events?.clientCompleted(this);
  }

  abort(): void {
    if (this.closed) return;
    this.closed = this.#aborted = true;
    this.events?.clientAborted(this);
  }

  acceptWebSocket(): void {
    this.abort();
  }

  override over(): void {
    this.#done(this.#outcome());
  }

  #outcome(): WarmOutcome {
    const failed = (reason: string): WarmOutcome => ({ result: "failed", reason });
    if (this.#aborted) return failed(`the response broke off${this.errorCode === null ? "" : `: ${this.errorCode}`}`);
    if (this.errorCode !== null) return failed(`${this.status} ${this.errorCode}${this.errorDetail === "" ? "" : `: ${this.errorDetail}`}`);
    if (this.cacheResult === CACHE.none) return failed(`the route ${this.route?.name ?? ""} does not store what it is answered`);
    if (PRESENT.has(this.cacheResult)) return { result: "present", reason: "" };
    if (this.cacheResult === CACHE.revalidated || this.#dealt.includes("; stored")) return { result: "stored", reason: "" };
    const [, detail = ""] = /; detail="?([\w-]+)/.exec(this.#dealt) ?? [];
    return failed(`status ${this.status}, not stored${detail === "" ? "" : `: ${detail}`}`);
  }
}

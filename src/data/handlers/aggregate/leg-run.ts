// One leg of one exchange, from its start to its end: one call, or one for each item of a list, with a bound on how many at once.
// Ends exactly once, unless it is cancelled; then it tells nobody. Must never leave a call behind.
import type { HeaderList } from "../../../base/header-list.ts";
import type { TimeoutsPlan } from "../../../plan/plan.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { LegAnswers } from "../../routing/leg-template.ts";
import type { CallFailure } from "../../upstream/call-request.ts";
import type { Collected } from "../../upstream/collect.ts";
import type { Upstream } from "../../upstream/upstream.ts";
import { fixedReply } from "../fixed-reply.ts";
import type { Part } from "./assemble.ts";
import type { Leg, LegFailure, LegRequest, LegResponse, LegResult } from "./leg.ts";
import { LegCall } from "./leg-call.ts";

/** What a run belongs to. */
export interface LegOwner extends LegAnswers {
  readonly x: Exchange;
  readonly upstreams: readonly Upstream[];
  /** Of the route; over the upstream's. */
  readonly timeouts: Partial<TimeoutsPlan> | null;
  /** performance.now() ms by which all legs must have ended; 0 for none. */
  readonly deadlineMs: number;
  /** Never inside of start(). */
  legEnded(run: LegRun): void;
  /** A fault of ours: the exchange is over. */
  crashed(error: unknown): void;
}

/** An item of a list, or the one call of a leg without a list. */
interface Slot {
  readonly index: number;
  readonly item: unknown;
}

const NO_HEADERS: HeaderList = [];
const GAP: Part = { kind: "value", value: null };

export class LegRun {
  readonly leg: Leg;
  /** Legs that must end before this one begins. */
  waiting: number;
  ended = false;
  failure: LegFailure | null = null;
  part: Part | null = null;
  json: unknown = undefined;
  headers: HeaderList = NO_HEADERS;
  /** Items that failed and left a gap. */
  gaps: LegFailure | null = null;
  attempts = 0;
  /** Of the call that ended last. */
  upstream = "";
  target = "";
  private readonly owner: LegOwner;
  private readonly calls = new Set<LegCall>();
  private startedMs = 0;
  private items: readonly unknown[] = [];
  private next = 0;
  private results: (LegResult | null)[] = [];
  private bytes = 0;
  /** start() has not returned: what ends meanwhile is told then. */
  private starting = false;
  private filling = false;

  constructor(leg: Leg, owner: LegOwner) {
    this.leg = leg;
    this.owner = owner;
    this.waiting = leg.needs.length;
  }

  /** Everything it waits for has ended. @returns true when it has ended already: legEnded() is not called then */
  start(): boolean {
    this.starting = true;
    this.startedMs = performance.now();
    this.begin();
    this.starting = false;
    return this.ended;
  }

  /** It needs a leg that has failed. */
  skip(cause: LegRun): void {
    this.ended = true;
    this.failure = { code: "leg_skipped", detail: `it needs ${cause.leg.config.name}` };
  }

  /** Nobody wants it any more. Idempotent. */
  cancel(): void {
    this.ended = true;
    for (const call of this.calls) {
      call.cancel();
      this.count(call);
    }
    this.calls.clear();
  }

  private begin(): void {
    const { list, config } = this.leg;
    if (list === null) return this.call({ index: -1, item: undefined });
    const items = list.renderJson({ x: this.owner.x, answers: this.owner, item: undefined });
    if (items === null) this.items = [];
    else if (Array.isArray(items)) this.items = items;
    else return this.end({ code: "leg_invalid", detail: `there is no list at ${config.forEach?.list ?? ""}` });
    const max = config.forEach?.itemsMax ?? 0;
    if (this.items.length > max)
      return this.end({ code: "leg_too_large", detail: `${this.items.length} items, and the limit is ${max} (maxItems)` });
    this.results = new Array<LegResult | null>(this.items.length).fill(null);
    this.fill();
  }

  /** As many calls as may be under way at once. */
  private fill(): void {
    if (this.filling) return; // a call has ended at once: the loop below goes on
    const concurrency = this.leg.config.forEach?.concurrency ?? 1;
    this.filling = true;
    while (!this.ended && this.calls.size < concurrency && this.next < this.items.length) {
      const index = this.next++;
      this.call({ index, item: this.items[index] });
    }
    this.filling = false;
    if (!this.ended && this.calls.size === 0 && this.next >= this.items.length) this.endList();
  }

  private call(slot: Slot): void {
    const { owner, leg } = this;
    const request = leg.request({ x: owner.x, answers: owner, item: slot.item }, owner.x.spellings);
    if ("code" in request) return this.failed(request, slot);
    const upstream = owner.upstreams[leg.config.upstream] as Upstream; // an index of the plan
    const timeouts = this.timeoutsFor(upstream);
    if (timeouts === "late") return this.failed({ code: "total_timeout", detail: "no time is left" }, slot);
    this.send(request, { slot, upstream, timeouts });
  }

  private send(
    request: LegRequest,
    { slot, upstream, timeouts }: { readonly slot: Slot; readonly upstream: Upstream; readonly timeouts: Partial<TimeoutsPlan> | null },
  ): void {
    const { owner, leg } = this;
    const call = new LegCall(owner.x, leg, { request, upstream, timeouts, maxBytes: leg.config.maxBytes });
    this.calls.add(call);
    call.start((outcome) => {
      this.calls.delete(call);
      this.count(call);
      if (this.ended) return;
      try {
        this.took(outcome, slot);
      } catch (error) {
        owner.crashed(error);
      }
    });
  }

  private count({ record }: LegCall): void {
    this.attempts += record.attempts;
    this.upstream = record.upstream;
    this.target = record.target;
  }

  /** @returns over the upstream's; "late" when no time is left */
  private timeoutsFor(upstream: Upstream): Partial<TimeoutsPlan> | null | "late" {
    const { timeouts, deadlineMs } = this.owner;
    const { timeoutMs } = this.leg.config;
    if (timeoutMs === null && deadlineMs === 0) return timeouts;
    const now = performance.now();
    let totalMs = timeoutMs === null ? (timeouts?.totalMs ?? upstream.plan.timeouts.totalMs) : this.startedMs + timeoutMs - now;
    if (deadlineMs > 0) totalMs = totalMs === 0 ? deadlineMs - now : Math.min(totalMs, deadlineMs - now);
    return totalMs <= 0 ? "late" : { ...timeouts, totalMs };
  }

  private took(outcome: Collected, slot: Slot): void {
    switch (outcome.kind) {
      case "response":
        return this.answered(outcome, slot);
      case "too-large":
        return this.failed({ code: "leg_too_large", detail: `the limit is ${this.leg.config.maxBytes} bytes (maxBytes)` }, slot);
      case "failed": {
        const fixed = fixedResponse(outcome.failure);
        return fixed === null ? this.failed(failureOf(outcome.failure), slot) : this.answered(fixed, slot);
      }
    }
  }

  private answered(response: LegResponse, slot: Slot): void {
    this.bytes += response.body.length;
    if (this.bytes > this.leg.config.maxBytes)
      return this.end({ code: "leg_too_large", detail: `the limit is ${this.leg.config.maxBytes} bytes (maxBytes) for all items` });
    const result = this.leg.result(response);
    if ("code" in result) return this.failed(result, slot);
    if (slot.index >= 0) {
      this.results[slot.index] = result;
      return this.fill();
    }
    this.part = result.part;
    this.json = result.json;
    this.headers = response.headers;
    this.end(null);
  }

  private failed(failure: LegFailure, { index }: Slot): void {
    const said = index < 0 ? failure : { ...failure, detail: `item ${index}: ${failure.detail}` };
    if (index < 0 || this.leg.config.forEach?.keepsGaps !== true) return this.end(said);
    this.gaps ??= said;
    this.fill();
  }

  private endList(): void {
    const { config, keepsJson } = this.leg;
    if (keepsJson) this.json = this.results.map((result) => result?.json ?? null);
    const parts = this.results.map((result) => result?.part ?? GAP);
    this.part = config.flattenLists ? { kind: "value", value: parts.flatMap(valueIn) } : { kind: "raw", json: listOf(parts) };
    this.end(null);
  }

  private end(failure: LegFailure | null): void {
    if (this.ended) return;
    this.failure = failure;
    this.cancel();
    if (!this.starting) this.owner.legEnded(this);
  }
}

/** Of parts that are values: a leg that makes one list of lists has no others. */
const valueIn = (part: Part): unknown => (part.kind === "value" ? part.value : null);

const OPEN = Buffer.from("[");
const COMMA = Buffer.from(",");
const CLOSE = Buffer.from("]");

function listOf(parts: readonly Part[]): Buffer {
  const out: Uint8Array[] = [OPEN];
  for (const part of parts) {
    if (out.length > 1) out.push(COMMA);
    out.push(part.kind === "raw" ? part.json : Buffer.from(JSON.stringify(part.value), "utf8"));
  }
  out.push(CLOSE);
  return Buffer.concat(out);
}

const failureOf = (cause: CallFailure): LegFailure => ({ code: cause.code, detail: cause.detail, cause });

/** By the configuration of a breaker's fallback. */
const fixed = new WeakMap<object, LegResponse>();

/** What an open breaker answers for the service. @returns null when it has nothing to say */
function fixedResponse({ hasFixedReply, upstream }: CallFailure): LegResponse | null {
  const fallback = upstream.plan.breaker?.fallback ?? null;
  if (!hasFixedReply || fallback?.kind !== "respond") return null;
  const config = fallback.config as Parameters<typeof fixedReply>[0]; // parsed by respondSchema in the primary
  const known = fixed.get(config);
  if (known !== undefined) return known;
  const answer = fixedReply(config)();
  if (answer.kind !== "response") return null;
  const body = answer.body === null ? Buffer.alloc(0) : Buffer.from(answer.body);
  const response = { status: answer.status, headers: answer.headers, body };
  fixed.set(config, response);
  return response;
}

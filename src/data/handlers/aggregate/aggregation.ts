// One aggregated exchange: starts its legs as soon as what they need is there, and answers when it may. A failed required leg ends it; a client that goes
// away ends it too, and counts against no target. Must never answer with 200 while a required leg has failed, and never leave a call behind.
import type { ErrorCode } from "../../../base/errors.ts";
import { getHeader, type HeaderList } from "../../../base/header-list.ts";
import type { TimeoutsPlan } from "../../../plan/plan.ts";
import { bufferBody } from "../../exchange/body/buffer-body.ts";
import { BODY_NONE, type ClientEvents, type Exchange } from "../../exchange/exchange.ts";
import { finish } from "../../exchange/finish.ts";
import { fail, reply } from "../../exchange/reply.ts";
import type { Route } from "../../exchange/runtime.ts";
import type { CallFailure } from "../../upstream/call-request.ts";
import type { Upstream } from "../../upstream/upstream.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { MissingLeg } from "./assemble.ts";
import { namedLines } from "./leg-call.ts";
import { type LegOwner, LegRun } from "./leg-run.ts";
import type { RouteLegs } from "./route-legs.ts";

/** Names the legs that failed, in the declared order: on answers without them, and on errors because of one. */
export const INCOMPLETE_HEADER = "x-aggregate-incomplete";

/** Of a service's refusal that becomes the client's: what the status needs (RFC 9110 sections 10.2.1, 10.2.3, 11.6.1). */
const OF_THE_REFUSAL = ["allow", "retry-after", "www-authenticate"] as const;

/** Most characters of failed legs' names in the access log. */
const LOGGED_CHARS_MAX = 240;

export class Aggregation implements ClientEvents, LegOwner {
  readonly x: Exchange;
  readonly upstreams: readonly Upstream[];
  readonly timeouts: Partial<TimeoutsPlan> | null;
  deadlineMs = 0;
  private readonly route: Route;
  private readonly plan: RouteLegs;
  private readonly runs: readonly LegRun[];
  private left: number;
  private requiredLeft: number;
  /** Answered, or nobody is there to answer. */
  private over = false;
  private launching = false;
  private stream: AnswerStream | null = null;

  constructor(x: Exchange, route: Route, plan: RouteLegs) {
    this.x = x;
    this.route = route;
    this.plan = plan;
    this.upstreams = x.runtime.upstreams;
    this.timeouts = route.settings.timeouts;
    this.runs = plan.legs.map((leg) => new LegRun(leg, this));
    this.left = this.runs.length;
    this.requiredLeft = plan.required;
  }

  start(): void {
    const { x, route, plan } = this;
    x.events = this;
    x.legs = String(this.runs.length);
    if (!plan.wantsBody || x.bodyKind === BODY_NONE || x.bufferedBody !== null) return this.launch();
    const bytesMax = Math.min(plan.requestBytes, route.settings.bodyBytes);
    bufferBody(x, { bytesMax, tooLarge: `the limit is ${bytesMax} bytes` }).then(
      (refusal) => {
        if (this.over) return;
        this.guarded(() => (refusal === null ? this.launch() : this.refuse(refusal.code, refusal.detail)));
      },
      (error: unknown) => this.crashed(error),
    );
  }

  private refuse(code: ErrorCode, detail: string): void {
    this.over = true;
    this.cancelAll();
    fail(this.x, code, detail);
  }

  /** Everything that waits for nothing goes out. */
  private launch(): void {
    const totalMs = this.timeouts?.totalMs ?? 0;
    if (totalMs > 0) this.deadlineMs = performance.now() + totalMs;
    this.launching = true;
    for (const run of this.runs) if (run.waiting === 0 && !run.ended && !this.over) this.begin(run);
    this.launching = false;
    this.progress();
  }

  private begin(run: LegRun): void {
    if (run.start()) this.settle(run);
  }

  // --- LegOwner ---

  json(leg: number): unknown {
    return this.runs[leg]?.json;
  }

  header(leg: number, name: string): string | undefined {
    return getHeader(this.runs[leg]?.headers ?? [], name);
  }

  legEnded(run: LegRun): void {
    this.guarded(() => {
      this.settle(run);
      this.progress();
    });
  }

  /** A leg has ended: those that wait for it go on, or fail with it where nothing stands in for what they want of it. */
  private settle(run: LegRun): void {
    if (this.over) return;
    const { failure, leg } = run;
    this.record(run);
    this.left--;
    if (failure !== null && leg.config.required) return this.failWhole(run);
    if (leg.config.required) this.requiredLeft--;
    for (const place of this.plan.dependents[leg.place] ?? []) {
      const next = this.runs[place];
      if (next === undefined || next.ended || this.over) continue;
      next.waiting--;
      if (failure !== null && next.leg.sources.includes(leg.place)) {
        next.skip(run);
        this.settle(next);
      } else if (next.waiting === 0) this.begin(next);
    }
  }

  private record(run: LegRun): void {
    const { x, plan } = this;
    const { failure, leg } = run;
    x.attempts += run.attempts;
    const outcome = failure === null ? "ok" : failure.code === "leg_skipped" ? "skipped" : "failed";
    x.runtime.services.recordLeg(plan.slots[leg.place] ?? 0, outcome);
  }

  /** Answers when every leg has ended; a streamed answer begins with the last required one. */
  private progress(): void {
    if (this.over || this.launching) return;
    if (this.stream !== null) {
      this.stream.advance();
      if (this.left === 0) this.over = true;
    } else if (this.left === 0) this.answer();
    else if (this.plan.stream && this.requiredLeft === 0) this.open();
  }

  // --- The answer ---

  private answer(): void {
    const { x, plan, runs } = this;
    this.over = true;
    const missing = this.missing();
    const headers = this.headOf(missing);
    const body = plan.layout.document(
      runs.map(({ part }) => part),
      missing,
    );
    reply(x, { kind: "response", status: 200, headers, body });
  }

  private open(): void {
    const { x, plan, runs } = this;
    const headers = this.headOf(this.missing());
    const stream = new AnswerStream(plan.layout, {
      runs,
      missing: () => this.missing(),
      left: () => this.clientLeft(),
    });
    this.stream = stream;
    reply(x, { kind: "stream", status: 200, headers, body: stream, trailers: () => trailersOf(this.missing()) });
    this.progress();
  }

  /** Of legs that have ended. */
  private missing(): readonly MissingLeg[] {
    const missing: MissingLeg[] = [];
    for (const { leg, failure, gaps } of this.runs) {
      const why = failure ?? gaps;
      if (why !== null) missing.push({ leg: leg.config.name, code: why.code });
    }
    if (missing.length > 0) this.noteMissing(missing);
    return missing;
  }

  private noteMissing(missing: readonly MissingLeg[]): void {
    let names = "";
    for (const { leg } of missing) {
      if (names.length + leg.length + 1 > LOGGED_CHARS_MAX) break;
      names += `${names === "" ? "" : ","}${leg}`;
    }
    this.x.legs = `${this.runs.length} ${names}`;
    if (this.x.errorDetail === "") this.x.errorDetail = detailOf(this.runs.find(({ failure, gaps }) => failure !== null || gaps !== null));
  }

  private headOf(missing: readonly MissingLeg[]): HeaderList {
    const headers: HeaderList = ["content-type", "application/json"];
    if (missing.length > 0) headers.push(INCOMPLETE_HEADER, namesOf(missing));
    // What is missing may be there the next time; of a stream nobody knows yet.
    if (missing.length > 0 || this.plan.stream) headers.push("cache-control", "no-store");
    for (const { place, names } of this.plan.headers) {
      const run = this.runs[place];
      if (run !== undefined && run.failure === null)
        headers.push(...namedLines(run.headers, this.plan.ownHeaders(place, names, this.runs)));
    }
    return headers;
  }

  // --- Ends without one ---

  private failWhole(run: LegRun): void {
    const { x } = this;
    this.over = true;
    this.cancelAll();
    const origin = this.originOf(run);
    const { failure } = origin;
    if (failure === null) return fail(x, "internal_error", "a leg failed without a reason");
    x.legs = `${this.runs.length} ${origin.leg.config.name}`;
    x.upstream = origin.upstream;
    x.target = origin.target;
    const headers: HeaderList = [INCOMPLETE_HEADER, origin.leg.config.name];
    if (failure.cause !== undefined) return this.failCall(failure.cause, detailOf(origin), headers);
    const { response } = failure;
    if (response === undefined || !origin.leg.relays(response.status)) return fail(x, failure.code, detailOf(origin), headers);
    headers.push(...namedLines(response.headers, OF_THE_REFUSAL), ...namedLines(response.headers, origin.leg.config.responseHeaders));
    if (!origin.leg.config.relayBody)
      return reply(x, { kind: "problem", code: failure.code, status: response.status, detail: detailOf(origin), headers });
    x.errorDetail = detailOf(origin);
    headers.push(...namedLines(response.headers, ["content-type", "content-encoding"]), "cache-control", "no-store");
    reply(x, { kind: "response", status: response.status, headers, body: response.body });
  }

  /** There was no response: a policy may answer instead, as where one call is relayed. */
  private failCall(cause: CallFailure, detail: string, headers: HeaderList): void {
    const { x } = this;
    if (cause.overloadReason !== null) x.overloadReason = cause.overloadReason;
    for (const policy of this.route.onUpstreamFailure ?? []) {
      const answer = policy.onUpstreamFailure?.(x, cause);
      if (answer === undefined) continue;
      x.errorCode = cause.code; // for log and metrics: the client gets what the policy wants it to
      x.errorDetail = detail;
      return reply(x, answer);
    }
    fail(x, cause.code, detail, [...headers, ...(cause.headers ?? [])]);
  }

  /** The leg because of which this one was skipped, if it was. */
  private originOf(run: LegRun): LegRun {
    let at = run;
    while (at.failure?.code === "leg_skipped") {
      const cause = at.leg.sources.map((place) => this.runs[place]).find((each) => each?.failure != null);
      if (cause === undefined) break;
      at = cause;
    }
    return at;
  }

  private cancelAll(): void {
    const { x, plan } = this;
    for (const run of this.runs) {
      if (run.ended) continue;
      run.cancel();
      x.attempts += run.attempts;
      x.runtime.services.recordLeg(plan.slots[run.leg.place] ?? 0, "cancelled");
    }
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.crashed(error);
    }
  }

  crashed(error: unknown): void {
    const { x } = this;
    x.runtime.services.reportFault("aggregating failed inside the gateway", error, x.requestId);
    this.over = true;
    this.cancelAll();
    if (this.stream !== null) this.stream.destroy(new Error("aggregating failed"));
    else if (!x.started) fail(x, "internal_error");
  }

  // --- ClientEvents, until the answer begins ---

  clientAborted(x: Exchange): void {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.clientLeft();
    finish(x);
  }

  clientDrained(): void {}

  clientCompleted(x: Exchange): void {
    this.clientLeft();
    finish(x);
  }

  private clientLeft(): void {
    if (this.over) return;
    this.over = true;
    this.cancelAll();
  }
}

const namesOf = (missing: readonly MissingLeg[]): string => missing.map(({ leg }) => leg).join(", ");

const trailersOf = (missing: readonly MissingLeg[]): HeaderList | null =>
  missing.length === 0 ? null : [INCOMPLETE_HEADER, namesOf(missing)];

function detailOf(run: LegRun | undefined): string {
  const failure = run?.failure ?? run?.gaps ?? null;
  if (run === undefined || failure === null) return "";
  const name = `leg ${run.leg.config.name}`;
  return failure.detail === "" ? name : `${name}: ${failure.detail}`;
}

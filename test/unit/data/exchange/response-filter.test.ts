// Response filters in random orders of events: filters that hold, change, end early, come late, throw and fail; clients that are slow and leave; services
// that break off. Each filter hears one of end and abort, then its close, and nothing behind that; each exchange ends; a whole response is what was sent.
import { expect, it } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import type { ResponseHead } from "../../../../src/data/exchange/policy.ts";
import type { FilterEntry, ResponseFilter, ResponseSource, ResponseStage } from "../../../../src/data/exchange/response-filter.ts";
import type { Plan } from "../../../../src/plan/plan.ts";
import { type PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const SEEDS = 20_000;
/** 2 to 5 s on a machine that has nothing else to do. */
const TIMEOUT_MS = 60_000;
const NAMES = ["f0", "f1", "f2"];
const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], retry: { attempts: 1, on: [reset] } } }
routes: [{ name: r, match: {}, to: a }]
`;

/** One course of events, by its seed. */
class Course {
  readonly log: string[] = [];
  readonly filters: RandomFilter[] = [];
  /** What filters do in their own time. */
  readonly later: (() => void)[] = [];
  readonly throwing: boolean;
  /** A filter did what spoils a response. */
  spoilt = false;
  fault: Error | null = null;
  readonly seed: number;
  private readonly random: () => number;

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
    this.throwing = this.chance(0.3);
  }

  chance(part: number): boolean {
    return this.random() < part;
  }

  below(bound: number): number {
    return Math.floor(this.random() * bound);
  }

  /** Kept for the end: what is thrown into the gateway is caught there. */
  must(condition: boolean, what: string): void {
    if (!condition) this.fault ??= new Error(`seed ${this.seed}: ${what}\n${this.log.join("\n")}`);
  }
}

let course = new Course(0);

/** Holds back what it likes, in order; and keeps to its side of the interface, unless it throws. */
class RandomFilter implements ResponseFilter {
  private readonly of = course;
  private readonly name: string;
  private next: ResponseStage | null = null;
  private source: ResponseSource | null = null;
  private readonly held: ((next: ResponseStage) => void)[] = [];
  private readonly holds = course.chance(0.5);
  /** It hears nothing more. */
  private over = "";
  private closed = false;
  private owesRoom = false;
  private earlyEnd = false;

  constructor(name: string) {
    this.name = `${name}#${course.filters.push(this)}`;
  }

  private hears(what: string): void {
    this.of.log.push(`${this.name}.${what}`);
    this.of.must(this.over === "" && !this.closed, `${this.name}.${what} behind ${this.closed ? "close" : this.over}`);
  }

  private mayThrow(): void {
    if (!this.of.throwing || !this.of.chance(0.05)) return;
    this.of.spoilt = true;
    this.of.log.push(`${this.name} throws`);
    throw new Error("played");
  }

  private passOn(what: (next: ResponseStage) => void): void {
    if (this.earlyEnd) return;
    if (this.held.length === 0 && !(this.holds && this.of.chance(0.5))) return what(this.next as ResponseStage); // attach() came first
    if (this.held.push(what) === 1) this.of.later.push(() => this.release());
  }

  private release(): void {
    if (this.of.throwing && this.of.chance(0.05) && this.over !== "abort" && !this.closed) {
      this.of.spoilt = true;
      this.of.log.push(`${this.name} fails`);
      this.held.length = 0;
      return this.source?.failed(new Error("played"));
    }
    // Some go on when they have been given up, which must harm nobody.
    if ((this.over === "abort" || this.closed) && this.of.chance(0.5)) this.held.length = 0;
    for (const what of this.held.splice(0)) what(this.next as ResponseStage);
    if (this.owesRoom && !this.closed) {
      this.owesRoom = false;
      this.source?.drained();
    }
  }

  attach(next: ResponseStage, source: ResponseSource): void {
    this.next = next;
    this.source = source;
  }
  head(head: ResponseHead): void {
    this.hears("head");
    this.mayThrow();
    if (this.of.chance(0.3)) head.length = -1;
    this.passOn((next) => next.head(head));
  }
  data(chunk: Uint8Array): boolean {
    this.hears("data");
    this.mayThrow();
    const copy = Buffer.from(chunk);
    if (this.held.length === 0 && !this.holds) return (this.next as ResponseStage).data(copy); // as the simplest do
    this.passOn((next) => void next.data(copy));
    if (this.of.chance(0.02)) {
      this.of.spoilt = true;
      this.passOn((next) => next.end(null));
      this.earlyEnd = true;
    }
    this.owesRoom = this.held.length > 0;
    return !this.owesRoom;
  }
  end(trailers: HeaderList | null): void {
    this.hears("end");
    this.over = "end";
    this.mayThrow();
    this.passOn((next) => next.end(trailers));
  }
  abort(): void {
    this.hears("abort");
    this.over = "abort";
    this.mayThrow();
  }
  drained(): void {
    this.of.log.push(`${this.name}.drained`);
    if (this.held.length === 0) this.source?.drained();
  }
  close(): void {
    this.of.log.push(`${this.name}.close`);
    this.of.must(this.over !== "" && !this.closed, `close behind ${this.closed ? "close" : "nothing"}`);
    this.closed = true;
    this.mayThrow();
  }

  get finished(): boolean {
    return this.closed;
  }
}

const entry = (name: string): FilterEntry => ({
  name,
  create: () => () => {
    if (!course.chance(0.7)) return null;
    if (course.throwing && course.chance(0.03)) {
      course.spoilt = true;
      throw new Error("played");
    }
    return new RandomFilter(name);
  },
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The service's side and the client's, a step at a time. @returns what the service has sent; null when it broke off */
function play(worker: PlayedWorker, x: PlayedClient): string | null {
  let sent = "";
  x.holdsBack = course.chance(0.3);
  const text = "x".repeat(course.below(6));
  const known = course.chance(0.5);
  const call = worker.last;
  call.head(200, [], known ? text.length : -1);
  for (let steps = 0; steps < 40; steps++) {
    const way = course.chance(0.02) ? "leave" : course.chance(0.02) ? "fail" : (["go", "later", "slow", "drain"][course.below(4)] ?? "");
    course.log.push(way);
    if (way === "leave") {
      x.leave();
      return null;
    }
    if (call.cancelled || call.discarded) return null;
    if (way === "fail") {
      call.fail();
      return null;
    }
    if (way === "later") course.later.splice(0, 1)[0]?.();
    else if (way === "slow") x.slow = true;
    else if (way === "drain") x.drain();
    else if (!call.paused && sent.length < text.length) {
      const piece = text.slice(sent.length, sent.length + 1 + course.below(3));
      sent += piece;
      call.data(piece);
    } else if (!call.paused) {
      call.end();
      return sent;
    }
  }
  return null;
}

/** All that filters hold comes, and the client takes it. */
async function windUp(x: PlayedClient): Promise<void> {
  for (let i = 0; i < 50 && !x.finished; i++) {
    course.later.splice(0, 1)[0]?.();
    x.drain();
    await turn();
  }
}

it(
  "each filter hears one end and its close, and each exchange ends, in every order of events",
  async () => {
    const worker = await PlayedWorker.start(CONFIG, {
      registries: { filters: NAMES.map(entry) },
      plan: (plan: Plan): Plan => ({
        ...plan,
        routes: plan.routes.map((route) => ({ ...route, filters: NAMES.map((name) => ({ name, config: null })) })),
      }),
    });
    let whole = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      course = new Course(seed);
      const x = worker.ask("/");
      const sent = play(worker, x);
      await windUp(x);
      if (sent !== null && !course.spoilt) {
        course.must(x.ended && x.body === sent && x.finished, `${JSON.stringify(x.body)} instead of ${JSON.stringify(sent)}`);
        whole++;
      }
      if (!x.finished) x.leave();
      if (!x.finished && sent === null) worker.last.fail(); // the client had all it expected
      await turn();
      course.must(x.finished, "it does not end");
      for (const late of course.later.splice(0)) late();
      const leftover = course.filters.filter(({ finished }) => !finished);
      course.must(leftover.length === 0, `${leftover.length} filters were not closed`);
      course.must(worker.services.inFlight === 0 && worker.services.health.ownInFlight(0) === 0, "something is still under way");
      course.must(worker.services.wheel.size === 0, "a deadline still runs");
      if (course.fault !== null) throw course.fault;
    }
    expect(whole).toBeGreaterThan(SEEDS / 4);
    worker.stop();
  },
  TIMEOUT_MS,
);

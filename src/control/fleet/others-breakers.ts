// Owns what is known of other instances' breakers: put together from their reports, and said in the log once. Must never reach a breaker.
import type { OthersBreaker } from "../../observe/instance-state.ts";
import type { Log, LogFields } from "../../observe/log.ts";
import { PHASE, PHASE_NAMES } from "../../shared/breaker-word.ts";
import type { BreakerPlace } from "../breakers/breaker-driver.ts";
import { type BreakerReport, placeKey, type ReportedBreaker } from "./breaker-report.ts";

/** Breakers that are listed; of each, instances that are named. */
export const OTHERS_MAX = 1000;
export const INSTANCES_NAMED_MAX = 10;
/** Lines for one change of reports: a fleet that loses a whole upstream must not flood the log of each instance. */
const LINES_MAX = 10;

interface Sum extends BreakerPlace {
  readonly states: Record<string, number>;
  readonly instances: { readonly name: string; readonly state: string }[];
  total: number;
  /** Instances where (nearly) no request passes. */
  stopped: number;
}

export class OthersSummary {
  readonly #log: Log;
  /** Breakers that the log has said are open elsewhere. */
  #said = new Map<string, BreakerPlace>();
  breakers: readonly OthersBreaker[] = [];
  leftOut = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Reports have changed. Walks all of them. */
  update(reports: Iterable<BreakerReport>): void {
    const sums = new Map<string, Sum>();
    let leftOut = 0;
    for (const report of reports) {
      leftOut += report.leftOut;
      for (const breaker of report.breakers) add(sums, breaker, report.name);
    }
    const sorted = [...sums].sort(([keyA, a], [keyB, b]) => b.total - a.total || (keyA < keyB ? -1 : 1));
    const listed = sorted.slice(0, OTHERS_MAX).map(([, sum]) => sum);
    this.breakers = listed.map(({ upstream, target, states, instances }) => ({ upstream, target, states, instances }));
    this.leftOut = leftOut + sums.size - listed.length;
    this.#say(listed.filter(({ stopped }) => stopped > 0));
  }

  /** Nothing is known any more. What the log has said stands until the contrary is known. */
  forget(): void {
    this.breakers = [];
    this.leftOut = 0;
  }

  #say(open: readonly Sum[]): void {
    const before = this.#said;
    this.#said = new Map(open.map((each) => [placeKey(each), each]));
    const opened = open.filter((each) => !before.has(placeKey(each)));
    const closed = [...before].filter(([key]) => !this.#said.has(key)).map(([, place]) => place);
    for (const { upstream, target, stopped, instances } of opened.slice(0, LINES_MAX)) {
      const facts = { ...placeFacts(upstream, target), instances: stopped, first: instances[0]?.name };
      this.#log.info("breaker is open at other instances", facts);
    }
    for (const { upstream, target } of closed.slice(0, LINES_MAX))
      this.#log.info("breaker is no longer open at other instances", placeFacts(upstream, target));
    const unsaid = Math.max(0, opened.length - LINES_MAX) + Math.max(0, closed.length - LINES_MAX);
    if (unsaid > 0) this.#log.info("more breakers have changed at other instances", { breakers: unsaid });
  }
}

function add(sums: Map<string, Sum>, breaker: ReportedBreaker, name: string): void {
  const { upstream, target, phase } = breaker;
  const key = placeKey(breaker);
  const sum: Sum = sums.get(key) ?? { upstream, target, states: {}, instances: [], total: 0, stopped: 0 };
  sums.set(key, sum);
  const state = PHASE_NAMES[phase] ?? "";
  sum.states[state] = (sum.states[state] ?? 0) + 1;
  sum.total += 1;
  const stopped = phase === PHASE.open || phase === PHASE.halfOpen || phase === PHASE.forcedOpen;
  if (stopped) sum.stopped += 1;
  // Whoever is stopped is named before others.
  if (stopped) sum.instances.unshift({ name, state });
  else sum.instances.push({ name, state });
  if (sum.instances.length > INSTANCES_NAMED_MAX) sum.instances.pop();
}

const placeFacts = (upstream: string, target: string | null): LogFields => (target === null ? { upstream } : { upstream, target });

// Owns what a bench says: one object for programs, and a table of the same numbers for people.
import type { RecordableHistogram } from "node:perf_hooks";
import type { BenchRequest, Skipped } from "./bench-requests.ts";
import { type LoadResult, pathAndQuery } from "./load.ts";
import { latencyHistogram } from "./open-loop.ts";
import { type PolicyCost, policyCosts } from "./policy-cost.ts";

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface RouteReport {
  readonly route: string;
  /** Requests that were sent, as `GET /users/1`. */
  readonly requests: readonly string[];
  readonly answers: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** Requests without a complete answer; null in closed loop, where they are known only for all together. */
  readonly failed: number | null;
  readonly latencyMs: Latency;
}

export interface BenchReport {
  readonly url: string;
  readonly loop: "open" | "closed";
  /** Asked for, requests a second; null in closed loop. */
  readonly rate: number | null;
  readonly connections: number;
  readonly seconds: number;
  readonly answers: number;
  readonly answersPerSecond: number;
  readonly failed: number;
  readonly failures: Readonly<Record<string, number>>;
  readonly latencyMs: Latency;
  /** User and system time of the gateway's processes for each answer, microseconds; null when its process is not known. */
  readonly cpuMicrosPerAnswer: number | null;
  readonly residentMiB: number | null;
  /** Policies of the user's own; none when the gateway was not started for this. */
  readonly policies: readonly PolicyCost[];
  /** How late the generator itself was, ms: not part of any latency. null in closed loop. */
  readonly generatorLateMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  /** Part of the requests (0..1) that fell due while no connection was free; null in closed loop. */
  readonly waited: number | null;
  readonly routes: readonly RouteReport[];
  readonly skipped: readonly Skipped[];
}

/** A generator that was later than this often did not keep its times: its bursts are in the latencies. */
export const LATE_P99_MS_MAX = 2;
/** More than this part of the requests found no free connection: latencies are those of a queue. */
export const WAITED_MAX = 0.05;

export function benchReport(
  load: LoadResult,
  run: Pick<BenchReport, "url" | "rate" | "connections" | "residentMiB" | "skipped"> & {
    readonly cpuMicros: number | null;
    /** Pages of metrics before and behind the load; null for none. */
    readonly metrics: readonly [before: string, after: string] | null;
  },
): BenchReport {
  const whole = latencyHistogram();
  const byRoute = new Map<string, { requests: string[]; latency: RecordableHistogram; statuses: Map<string, number>; failed: number }>();
  for (const { request, latency, statuses, failed } of load.outcomes) {
    let entry = byRoute.get(request.route);
    if (entry === undefined)
      byRoute.set(request.route, (entry = { requests: [], latency: latencyHistogram(), statuses: new Map(), failed: 0 }));
    entry.requests.push(wordsOf(request));
    if (latency.count > 0) for (const into of [entry.latency, whole]) into.add(latency);
    for (const [status, count] of statuses) entry.statuses.set(String(status), (entry.statuses.get(String(status)) ?? 0) + count);
    entry.failed += failed;
  }
  const routes = [...byRoute].map(([route, { requests, latency, statuses, failed }]) => ({
    route,
    requests,
    answers: sum(statuses.values()),
    statuses: Object.fromEntries([...statuses].toSorted(([a], [b]) => a.localeCompare(b))),
    failed: run.rate === null ? null : failed,
    latencyMs: latencyOf(latency),
  }));
  const answers = sum(routes.map((each) => each.answers));
  const { cpuMicros, metrics, ...rest } = run;
  return {
    ...rest,
    loop: run.rate === null ? "closed" : "open",
    seconds: load.seconds,
    answers,
    answersPerSecond: answers / load.seconds,
    failed: load.failed,
    failures: Object.fromEntries(load.failures),
    latencyMs: latencyOf(whole),
    cpuMicrosPerAnswer: cpuMicros === null || answers === 0 ? null : cpuMicros / answers,
    policies: metrics === null ? [] : policyCosts(...metrics, answers),
    generatorLateMs:
      load.late === null ? null : { p50: ms(load.late, 50), p99: ms(load.late, 99), max: load.late.count === 0 ? 0 : load.late.max / 1000 },
    waited: run.rate === null ? null : load.waited,
    routes,
  };
}

const wordsOf = (request: BenchRequest): string => `${request.method} ${request.authority}${pathAndQuery(request)}`;
const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
const ms = (histogram: RecordableHistogram, percent: number): number => (histogram.count === 0 ? 0 : histogram.percentile(percent) / 1000);

function latencyOf(histogram: RecordableHistogram): Latency {
  const at = (percent: number): number => ms(histogram, percent);
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.count === 0 ? 0 : histogram.max / 1000 };
}

const HEAD = ["route", "request", "answers", "status", "failed", "p50 ms", "p90", "p99", "p99.9", "max"] as const;
/** Columns of words; the others are numbers, to the right. */
const WORD_COLUMNS = 2;

export function benchText(report: BenchReport): string {
  const rows = report.routes.map((each) => [
    each.route,
    each.requests.length === 1 ? (each.requests[0] ?? "") : `${each.requests.length} requests`,
    String(each.answers),
    statusText(each.statuses),
    each.failed === null ? "-" : String(each.failed),
    ...latencyCells(each.latencyMs),
  ]);
  if (rows.length > 1) rows.push(["all", "", String(report.answers), "", String(report.failed), ...latencyCells(report.latencyMs)]);
  const how =
    report.rate === null
      ? "closed loop (latency is that of a saturated gateway; --rate asks for a fixed one)"
      : `open loop, ${report.rate} requests/s`;
  return [
    `${report.url}: ${how}, ${report.connections} connections, ${report.seconds.toFixed(1)} s`,
    "",
    ...aligned([[...HEAD], ...rows]),
    "",
    `${report.answersPerSecond.toFixed(0)} answers/s${report.cpuMicrosPerAnswer === null ? "" : `, CPU ${report.cpuMicrosPerAnswer.toFixed(1)} µs an answer (all processes of the gateway)`}${report.residentMiB === null ? "" : `, resident ${report.residentMiB.toFixed(0)} MiB`}`,
    ...(report.failed > 0
      ? [
          `failed: ${Object.entries(report.failures)
            .map(([reason, count]) => `${count} ${reason}`)
            .join("; ")}`,
        ]
      : []),
    ...report.policies.map(
      ({ policy, microsPerAnswer, callsPerAnswer }) =>
        `policy ${policy}: ${microsPerAnswer.toFixed(2)} µs an answer, in ${callsPerAnswer.toFixed(1)} calls`,
    ),
    ...lateWords(report),
    ...report.skipped.map(({ route, reason }) => `not driven: ${route}: ${reason}`),
    "",
  ].join("\n");
}

function lateWords({ generatorLateMs, waited }: BenchReport): readonly string[] {
  if (generatorLateMs === null || waited === null) return [];
  const { p50, p99, max } = generatorLateMs;
  const words = [
    `the generator was late by ${p50.toFixed(3)} ms (p50), ${p99.toFixed(3)} ms (p99), ${max.toFixed(1)} ms at most; that is not part of the latencies`,
  ];
  if (p99 > LATE_P99_MS_MAX)
    words.push("warning: so late that requests went out in bursts: this machine has no room for generator and gateway at this rate");
  if (waited > WAITED_MAX)
    words.push(
      `warning: ${(waited * 100).toFixed(0)} % of the requests found no free connection: the rate is above what can be served, or more --connections are needed`,
    );
  return words;
}

const statusText = (statuses: Readonly<Record<string, number>>): string =>
  Object.keys(statuses).length === 1
    ? (Object.keys(statuses)[0] ?? "")
    : Object.entries(statuses)
        .map(([status, count]) => `${status}:${count}`)
        .join(" ");

const latencyCells = ({ p50, p90, p99, p999, max }: Latency): readonly string[] =>
  [p50, p90, p99, p999, max].map((each) => each.toFixed(2));

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column < WORD_COLUMNS ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}

// Owns sending a bench's requests: closed loop by autocannon, open loop by our own generator, told in the same words.
// autocannon's `overallRate` is not used: it sends each second's share in one burst, and corrects for an interval of a millisecond whatever
// the rate is, so that one answer of 20 ms counts as twenty.
import type { RecordableHistogram } from "node:perf_hooks";
import { OperatorError } from "../../base/errors.ts";
import type { BenchRequest } from "./bench-requests.ts";
import { latencyHistogram, OpenLoop, toRecord } from "./open-loop.ts";

export interface LoadOptions {
  readonly url: URL;
  readonly requests: readonly BenchRequest[];
  readonly connections: number;
  readonly durationSeconds: number;
  /** null: closed loop. */
  readonly rate: number | null;
}

/** What became of one request, sent again and again. */
export interface RequestOutcome {
  readonly request: BenchRequest;
  /** Microseconds. */
  readonly latency: RecordableHistogram;
  readonly statuses: ReadonlyMap<number, number>;
  /** Without a complete answer; -1: counted only for all together. */
  readonly failed: number;
}

export interface LoadResult {
  readonly outcomes: readonly RequestOutcome[];
  readonly seconds: number;
  readonly failed: number;
  /** Reason -> how many. */
  readonly failures: ReadonlyMap<string, number>;
  /** How late the generator itself was; null where it follows the answers. */
  readonly late: RecordableHistogram | null;
  /** Part of the requests that fell due while no connection was free; 0 where none falls due. */
  readonly waited: number;
}

/** Requests of one run, whatever its duration. */
const REQUESTS_MAX = 20_000_000;
const TIMEOUT_SECONDS = 10;

export function runLoad(options: LoadOptions): Promise<LoadResult> {
  return options.rate === null ? closedLoop(options) : openLoop(options, options.rate);
}

async function openLoop({ url, requests, connections, durationSeconds }: LoadOptions, rate: number): Promise<LoadResult> {
  const secure = url.protocol === "https:";
  const loop = new OpenLoop({
    target: { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) || (secure ? 443 : 80), tls: secure },
    shots: requests.map((request) => ({ method: request.method, bytes: requestBytes(request, url) })),
    connections,
    rate,
    durationMs: durationSeconds * 1000,
    timeoutMs: TIMEOUT_SECONDS * 1000,
  });
  const { shots, seconds, late, failures, due, waited } = await loop.run().catch((error: Error) => {
    throw new OperatorError(`cannot connect to ${url.origin}: ${error.message}`);
  });
  const outcomes = requests.map((request, i) => ({
    request,
    ...(shots[i] ?? { latency: latencyHistogram(), statuses: new Map(), failed: 0 }),
  }));
  return { outcomes, seconds, late, failures, waited: waited / due, failed: outcomes.reduce((sum, each) => sum + each.failed, 0) };
}

/** RFC 9112 section 3: the request as it stands on the wire. */
export function requestBytes(request: BenchRequest, url: URL): Buffer {
  const lines = [`${request.method} ${pathAndQuery(request)} HTTP/1.1`];
  const { headers } = request;
  const authority = request.authority === "" ? url.host : request.authority;
  if (!headers.some((name, i) => i % 2 === 0 && name === "host")) lines.push(`host: ${authority}`);
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  const body = Buffer.from(request.body, "utf8");
  if (body.length > 0 || ["POST", "PUT", "PATCH"].includes(request.method)) lines.push(`content-length: ${body.length}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}

export const pathAndQuery = ({ path, query }: Pick<BenchRequest, "path" | "query">): string => (query === "" ? path : `${path}?${query}`);

/** Each connection sends one of the requests; there are at least as many connections as requests. */
async function closedLoop({ url, requests, connections, durationSeconds }: LoadOptions): Promise<LoadResult> {
  const { default: autocannon } = await import("autocannon");
  const outcomes = requests.map((request) => ({ request, latency: latencyHistogram(), statuses: new Map<number, number>(), failed: -1 }));
  let next = 0;
  const result = await autocannon({
    url: url.origin,
    connections: Math.max(connections, requests.length),
    duration: durationSeconds,
    maxOverallRequests: REQUESTS_MAX,
    timeout: TIMEOUT_SECONDS,
    setupClient: (client) => {
      const outcome = outcomes[next++ % outcomes.length];
      if (outcome === undefined) return;
      client.setRequests([asAutocannonHasIt(outcome.request, url)]);
      client.on("response", (status: number, _bytes: number, ms: number) => {
        outcome.latency.record(toRecord(ms));
        outcome.statuses.set(status, (outcome.statuses.get(status) ?? 0) + 1);
      });
    },
  });
  const failures = new Map<string, number>();
  if (result.timeouts > 0) failures.set("no answer in time", result.timeouts);
  if (result.errors > result.timeouts) failures.set("the connection failed", result.errors - result.timeouts);
  return { outcomes, seconds: result.duration, failed: result.errors, failures, late: null, waited: 0 };
}

function asAutocannonHasIt(request: BenchRequest, url: URL) {
  const headers: Record<string, string> = { host: request.authority === "" ? url.host : request.authority };
  for (let i = 0; i < request.headers.length; i += 2) headers[request.headers[i] ?? ""] = request.headers[i + 1] ?? "";
  return { method: request.method, path: pathAndQuery(request), headers, ...(request.body === "" ? {} : { body: request.body }) };
}

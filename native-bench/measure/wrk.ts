// Drives one URL with wrk and reads what it measured. Load is always bounded in time. A Lua script carries what wrk's
// own options cannot say (method, body, many paths) and prints the numbers that its text report rounds or leaves out (p99.9).
import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

/** What one round of wrk measured. */
export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  readonly bytes: number;
  /** Responses with a status above 399. */
  readonly failedStatus: number;
  readonly socketErrors: { readonly connect: number; readonly read: number; readonly write: number; readonly timeout: number };
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly p999: number };
}

export interface WrkOptions {
  readonly url: string;
  readonly seconds: number;
  readonly connections: number;
  readonly threads?: number;
  readonly method?: string;
  readonly bodyBytes?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of the URL's own path: this pattern with `%d` from 0 to count - 1, each as often as the others, never in their order. */
  readonly paths?: { readonly pattern: string; readonly count: number };
  /** Name of a field whose value is another in each request; not with `paths`. */
  readonly variedField?: string;
  /** A Lua file with a `request` of its own; it must not define `done`. */
  readonly script?: string;
}

/** Printed before the numbers, so that they are found in wrk's own report. */
const MARK = "measured:";
/** A prime: steps of it visit every path of a count that it does not divide once before any comes again. */
const STRIDE = 7919;
/** Of a field that varies: a prime, so that connections do not meet the same ones in the same order. */
const VARIANTS = 4093;
const TIMEOUT_SECONDS = 5;

/** Errors of every kind. */
export function errorsOf({ failedStatus, socketErrors: { connect, read, write, timeout } }: WrkResult): number {
  return failedStatus + connect + read + write + timeout;
}

/** @throws Error with wrk's own words when it cannot run. */
export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-wrk-"));
  try {
    const script = path.join(directory, "load.lua");
    fs.writeFileSync(script, wrkScript(options));
    const { stdout } = await promisify(execFile)("wrk", [
      `-t${options.threads ?? 1}`,
      `-c${options.connections}`,
      `-d${options.seconds}s`,
      `--timeout=${TIMEOUT_SECONDS}s`,
      `--script=${script}`,
      options.url,
    ]);
    return parseWrk(stdout);
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

/** The Lua that wrk runs: `init`, `request` and `done` are its hooks. */
export function wrkScript({
  method,
  bodyBytes,
  headers,
  paths,
  variedField,
  script,
}: Omit<WrkOptions, "url" | "seconds" | "connections">): string {
  const lines: string[] = [];
  if (script !== undefined) lines.push(fs.readFileSync(script, "utf8"));
  if (method !== undefined) lines.push(`wrk.method = ${luaText(method)}`);
  if (bodyBytes !== undefined) lines.push(`wrk.body = string.rep("x", ${bodyBytes})`);
  for (const [name, value] of Object.entries(headers ?? {})) lines.push(`wrk.headers[${luaText(name)}] = ${luaText(value)}`);
  if (paths !== undefined) {
    // Formatted once: at a request's time only a table is read.
    lines.push(
      "local list, at = {}, 0",
      "function init(args)",
      `  for n = 0, ${paths.count - 1} do list[n] = wrk.format(nil, string.format(${luaText(paths.pattern)}, n * ${STRIDE} % ${paths.count})) end`,
      "end",
      `function request() at = (at + 1) % ${paths.count}; return list[at] end`,
    );
  }
  if (variedField !== undefined) {
    lines.push(
      "local varied, next = {}, 0",
      "function init(args)",
      `  for n = 0, ${VARIANTS - 1} do wrk.headers[${luaText(variedField)}] = string.format("00-%032x-00f067aa0ba902b7-01", n * ${STRIDE}); varied[n] = wrk.format() end`,
      "end",
      `function request() next = (next + 1) % ${VARIANTS}; return varied[next] end`,
    );
  }
  lines.push(
    "function done(summary, latency)",
    "  local e = summary.errors",
    `  io.write(string.format("${MARK} %d %d %d %d %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,`,
    "    e.status, e.connect, e.read, e.write, e.timeout, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))",
    "end",
  );
  return `${lines.join("\n")}\n`;
}

/** @throws Error when wrk did not get to its end. */
export function parseWrk(text: string): WrkResult {
  const numbers = new RegExp(`^${MARK}((?: \\d+){11})$`, "m").exec(text)?.[1]?.trim().split(" ").map(Number);
  if (numbers === undefined) throw new Error(`wrk did not report:\n${text}`);
  const at = (index: number): number => numbers[index] ?? 0;
  return {
    requests: at(0),
    seconds: at(1) / 1e6,
    bytes: at(2),
    failedStatus: at(3),
    socketErrors: { connect: at(4), read: at(5), write: at(6), timeout: at(7) },
    latencyMs: { p50: at(8) / 1000, p99: at(9) / 1000, p999: at(10) / 1000 },
  };
}

const luaText = (text: string): string => JSON.stringify(text);

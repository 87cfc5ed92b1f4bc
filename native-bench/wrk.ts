// Drives one URL with wrk and reads its report. Load is always bounded in time.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** What one round of wrk measured. */
export interface WrkResult {
  readonly requests: number;
  readonly seconds: number;
  /** Responses other than 2xx and 3xx. */
  readonly non2xx: number;
  readonly socketErrors: { readonly connect: number; readonly read: number; readonly write: number; readonly timeout: number };
  readonly latencyMs: { readonly p50: number; readonly p99: number };
}

export interface WrkOptions {
  readonly url: string;
  readonly seconds: number;
  readonly connections: number;
  readonly threads?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A Lua file that makes the requests. */
  readonly script?: string;
}

/** @throws Error with wrk's own words when it cannot run. */
export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const { stdout } = await promisify(execFile)("wrk", [
    `-t${options.threads ?? 1}`,
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    "--latency",
    ...Object.entries(options.headers ?? {}).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    ...(options.script === undefined ? [] : ["-s", options.script]),
    options.url,
  ]);
  return parseWrk(stdout);
}

/** Reads wrk 4's text report. */
export function parseWrk(text: string): WrkResult {
  const [, requests = "0", time = "0s"] = /(\d+) requests in ([\d.]+\w+)/.exec(text) ?? [];
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const count = (index: number): number => Number(errors?.[index] ?? 0);
  return {
    requests: Number(requests),
    seconds: millis(time) / 1000,
    non2xx: Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0),
    socketErrors: { connect: count(1), read: count(2), write: count(3), timeout: count(4) },
    latencyMs: { p50: percentile(text, "50"), p99: percentile(text, "99") },
  };
}

const percentile = (text: string, which: string): number => millis(new RegExp(`^\\s+${which}%\\s+(\\S+)`, "m").exec(text)?.[1] ?? "0ms");

function millis(text: string): number {
  const [, value = "0", unit = "ms"] = /^([\d.]+)(us|ms|s|m)$/.exec(text) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000, m: 60_000 }[unit] ?? 1);
}

// Drives one URL with h2load, by HTTP/2 in cleartext, and reads what it measured. Load is always bounded in time.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** What one round of h2load measured. */
export interface H2loadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Statuses above 399, and requests that failed or got no answer in time. */
  readonly errors: number;
}

export interface H2loadOptions {
  readonly url: string;
  readonly seconds: number;
  readonly connections: number;
  /** Requests at once on each connection. */
  readonly streams: number;
}

/** @throws Error with h2load's own words when it cannot run. */
export async function runH2load({ url, seconds, connections, streams }: H2loadOptions): Promise<H2loadResult> {
  const { stdout } = await promisify(execFile)("h2load", [`-D${seconds}`, `-c${connections}`, `-m${streams}`, url]);
  return parseH2load(stdout, seconds);
}

/** @throws Error when h2load did not get to its end. */
export function parseH2load(text: string, seconds: number): H2loadResult {
  const requests = /^requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, \d+ errored, (\d+) timeout$/m.exec(text);
  const codes = /^status codes: \d+ 2xx, \d+ 3xx, (\d+) 4xx, (\d+) 5xx$/m.exec(text);
  if (requests === null || codes === null) throw new Error(`h2load did not report:\n${text}`);
  const [done, failed, late] = [requests[1], requests[2], requests[3]].map(Number) as [number, number, number]; // three groups
  return { requests: done, seconds, errors: Math.max(failed, Number(codes[1]) + Number(codes[2])) + late };
}

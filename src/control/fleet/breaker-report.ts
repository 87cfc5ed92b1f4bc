// Owns what an instance writes about its breakers for the others of its fleet, and the reading of it. Pure. What was read comes from Redis, where
// anybody may have written it: nothing may leave this file that is not of the form and size that an instance writes.
import type { BreakerPlace } from "../breakers/breaker-driver.ts";

/** Breakers of one report; further ones are only counted. */
export const REPORT_BREAKERS_MAX = 64;
/** Bytes of one report. All of its characters are ASCII. */
export const REPORT_BYTES_MAX = 8192;
const NAME_LENGTH_MAX = 64;
const LEFT_OUT_MAX = 1_000_000;

const FORMAT = 1;
/** A host's name and a process: what an operator finds the instance by. */
const INSTANCE = /^[A-Za-z0-9._-]{1,64}:\d{1,10}$/;
/** As base/schema.ts has the names of upstreams, and config/compile/implicit-upstreams.ts those of services that are called at a URL. */
const UPSTREAM = /^(?:(?:forwardAuth|auth):)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** As discovery makes the keys of endpoints: a URL of scheme and authority, and the address that a name stood for. */
const TARGET = /^https?:\/\/[A-Za-z0-9._~%:[\]-]{1,270}(?:#[0-9A-Za-z.:%]{1,60})?$/;

/** Numbers are PHASE of shared/breaker-word.ts. Closed ones are not told. The first are told first, when there are too many. */
const PHASES_TOLD = [4, 1, 2, 3, 5] as const;

/** A breaker that is not closed. */
export interface ReportedBreaker extends BreakerPlace {
  readonly phase: number;
}

export interface BreakerReport {
  /** Of the instance. */
  readonly name: string;
  readonly breakers: readonly ReportedBreaker[];
  /** Further breakers that are not closed, for which there was no room. */
  readonly leftOut: number;
}

/** @param hostname of the machine, whatever it is @returns what other instances show */
export function instanceName(hostname: string, pid: number): string {
  const host = hostname.replace(/[^A-Za-z0-9._-]/g, "-").slice(0, NAME_LENGTH_MAX);
  return `${host === "" ? "unknown" : host}:${pid}`;
}

/** @param breakers all there are. @returns never more than {@link REPORT_BYTES_MAX} characters, and the same for the same states */
export function writeReport(name: string, breakers: readonly ReportedBreaker[]): string {
  const told = PHASES_TOLD.flatMap((phase) => breakers.filter((each) => each.phase === phase));
  const rows: string[] = [];
  let bytes = JSON.stringify([FORMAT, name, LEFT_OUT_MAX, []]).length;
  for (const breaker of told) {
    const row = JSON.stringify([breaker.upstream, breaker.target, breaker.phase]);
    bytes += row.length + 1;
    if (rows.length === REPORT_BREAKERS_MAX || bytes > REPORT_BYTES_MAX) break;
    if (isPlace(breaker.upstream, breaker.target)) rows.push(row);
  }
  const leftOut = Math.min(LEFT_OUT_MAX, told.length - rows.length);
  return `[${FORMAT},${JSON.stringify(name)},${leftOut},[${rows.join(",")}]]`;
}

/** @returns null for what no instance writes (or one of a later release, in another form) */
export function readReport(text: unknown): BreakerReport | null {
  if (typeof text !== "string" || text.length > REPORT_BYTES_MAX) return null;
  const parts = parsed(text);
  if (!Array.isArray(parts) || parts.length !== 4) return null;
  const [format, name, leftOut, rows]: unknown[] = parts;
  if (format !== FORMAT || typeof name !== "string" || !INSTANCE.test(name)) return null;
  if (!isWhole(leftOut, LEFT_OUT_MAX) || !Array.isArray(rows) || rows.length > REPORT_BREAKERS_MAX) return null;
  const breakers = rows.map(readRow);
  const places = new Set(breakers.map((each) => (each === null ? "" : placeKey(each))));
  if (breakers.includes(null) || places.size !== breakers.length) return null;
  return { name, breakers: breakers.filter((each) => each !== null), leftOut };
}

/** One text for one place: no name has a blank in it. */
export const placeKey = ({ upstream, target }: BreakerPlace): string => `${upstream} ${target ?? ""}`;

function readRow(row: unknown): ReportedBreaker | null {
  if (!Array.isArray(row) || row.length !== 3) return null;
  const [upstream, target, phase]: unknown[] = row;
  if (typeof upstream !== "string" || !(target === null || typeof target === "string") || !isPlace(upstream, target)) return null;
  return PHASES_TOLD.some((each) => each === phase) ? { upstream, target, phase: Number(phase) } : null;
}

const isPlace = (upstream: string, target: string | null): boolean => UPSTREAM.test(upstream) && (target === null || TARGET.test(target));

const isWhole = (value: unknown, most: number): value is number => Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

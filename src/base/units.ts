// Owns the textual units of the configuration: durations, sizes, rates, percentages. Pure functions, no policy.

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
};

/** @param text `250ms`, `5s`, `1.5m`, `1h`, `1d` or a bare `0`. @returns milliseconds (integer), or null if it is none of these. */
export function parseDurationMs(text: string): number | null {
  if (text === "0") return 0;
  const m = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  return m === null ? null : Math.round(Number(m[1]) * (DURATION_MS[m[2] ?? ""] ?? 0));
}

/** @param text `16KiB`, `10MiB`, `1GB`, `512B` or a bare number of bytes. @returns bytes (integer), or null. */
export function parseSizeBytes(text: string): number | null {
  const m = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|KB|MB|GB)?$/.exec(text);
  return m === null ? null : Math.round(Number(m[1]) * (SIZE_BYTES[m[2] ?? "B"] ?? 0));
}

/** @param text `20%` or a number from 0 to 1. @returns a fraction 0..1, or null. */
export function parseFraction(text: string): number | null {
  const m = /^(\d+(?:\.\d+)?)(%?)$/.exec(text);
  if (m === null) return null;
  const value = Number(m[1]) / (m[2] === "%" ? 100 : 1);
  return value <= 1 ? value : null;
}

/** @returns the duration as the configuration would write it, e.g. `1500` -> `1500ms`, `60000` -> `1m`. */
export function formatDurationMs(ms: number): string {
  for (const [unit, size] of [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ] as const)
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  return `${ms}ms`;
}

/** @returns the size as the configuration would write it, e.g. `16384` -> `16KiB`. */
export function formatSizeBytes(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const)
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return `${bytes}B`;
}

/** Names of periods in rates and quotas, each also in the plural. A month is 30 days where it has to have a length. */
const PERIOD_MS: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  second: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  week: 604_800_000,
  month: 2_592_000_000,
};

/** The text form of rates and quotas: a positive whole count, `/`, the name of a period. */
export const RATE_PATTERN = /^0*[1-9]\d{0,14}\/(?:s|m|h|d|(?:sec|second|min|minute|hour|day|week|month)s?)$/;

/** @returns the count and the singular name of the period, or null */
function countPerPeriod(text: string): { readonly count: number; readonly period: string } | null {
  if (!RATE_PATTERN.test(text)) return null;
  const [count = "", name = ""] = text.split("/");
  return { count: Number(count), period: name in PERIOD_MS ? name : name.slice(0, -1) };
}

/** @param text `100/s`, `5000/min`, `10/hour`, `1000000/day` or `5/month` (30 days). @returns a positive whole count in a period, or null. */
export function parseRate(text: string): { readonly count: number; readonly periodMs: number } | null {
  const parsed = countPerPeriod(text);
  return parsed === null ? null : { count: parsed.count, periodMs: PERIOD_MS[parsed.period] ?? 0 };
}

/** @param text as {@link parseRate}. @returns the count and its period; a month of the calendar has no length of its own: `month` says so. */
export function parseQuota(text: string): { readonly count: number; readonly periodMs: number; readonly month: boolean } | null {
  const parsed = countPerPeriod(text);
  return parsed === null ? null : { count: parsed.count, periodMs: PERIOD_MS[parsed.period] ?? 0, month: parsed.period === "month" };
}

// Owns how long to wait before a retry: backoff with full jitter, and what Retry-After asks for. Pure functions; no timers here.

/** A longer Retry-After is read as this: nobody waits for it anyway, the exchange's deadline is far shorter. */
export const RETRY_AFTER_MS_MAX = 86_400_000;
/** Doublings beyond this cannot matter and would lose precision. */
const DOUBLINGS_MAX = 30;

/**
 * Exponential backoff with full jitter (Brooker, Exponential Backoff and Jitter, AWS Architecture Blog, 2015).
 * @param retry 0 for the first retry.
 * @param random uniform in [0, 1).
 * @returns whole ms from 0 to min(maxMs, baseMs * 2^retry), both included.
 */
export function backoffMs(retry: number, baseMs: number, maxMs: number, random: () => number): number {
  const ceilingMs = Math.min(maxMs, baseMs * 2 ** Math.min(retry, DOUBLINGS_MAX));
  return Math.floor(random() * (ceilingMs + 1));
}

/**
 * Reads Retry-After (RFC 9110 section 10.2.3): delay-seconds or HTTP-date.
 * @param nowMs wall clock (Date.now()), which dates are compared with.
 * @returns ms to wait, 0 for the past, at most RETRY_AFTER_MS_MAX; null when it is neither form.
 */
export function parseRetryAfterMs(value: string, nowMs: number): number | null {
  const text = value.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, RETRY_AFTER_MS_MAX);
  const dateMs = parseHttpDateMs(text, nowMs);
  return dateMs === null ? null : Math.min(Math.max(0, dateMs - nowMs), RETRY_AFTER_MS_MAX);
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const TIME = "(\\d\\d):(\\d\\d):(\\d\\d)";
const IMF_FIXDATE = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\\d\\d) ([A-Z][a-z]{2}) (\\d{4}) ${TIME} GMT$`, "i");
const RFC_850 = new RegExp(`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\\d\\d)-([A-Z][a-z]{2})-(\\d\\d) ${TIME} GMT$`, "i");
const ASCTIME = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \\d]\\d) ${TIME} (\\d{4})$`, "i");

/**
 * Reads an HTTP-date in all three forms a recipient must accept (RFC 9110 section 5.6.7), in any case (RFC 9111 section 4.2).
 * @param nowMs wall clock: a two-digit year more than 50 years ahead of it means the past century.
 * @returns ms since the epoch, or null.
 */
export function parseHttpDateMs(text: string, nowMs: number): number | null {
  const fixdate = IMF_FIXDATE.exec(text);
  if (fixdate !== null) return utcMs(Number(fixdate[3]), fixdate[2], fixdate[1], fixdate.slice(4));
  const asctime = ASCTIME.exec(text);
  if (asctime !== null) return utcMs(Number(asctime[6]), asctime[1], asctime[2], asctime.slice(3, 6));
  const rfc850 = RFC_850.exec(text);
  return rfc850 === null ? null : utcMs(fullYear(Number(rfc850[3]), nowMs), rfc850[2], rfc850[1], rfc850.slice(4));
}

function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

/** @returns null for a date that does not exist. A leap second counts as the next minute. */
function utcMs(year: number, monthName: string | undefined, day: string | undefined, time: readonly string[]): number | null {
  const month = MONTHS.indexOf(monthName?.toLowerCase() ?? "");
  const [hours = 99, minutes = 99, seconds = 99] = time.map(Number);
  if (month === -1 || hours > 23 || minutes > 59 || seconds > 60) return null;
  const date = new Date(Date.UTC(year, month, Number(day)));
  if (date.getUTCMonth() !== month) return null;
  return date.getTime() + ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

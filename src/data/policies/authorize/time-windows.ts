// Owns the question whether a moment lies in one of a route's time windows. Asked for each request: answers are kept for their minute.
import type { AuthorizeConfig } from "./config.ts";

type Window = NonNullable<AuthorizeConfig["time"]>[number];

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1440;
const DAY_NAMES = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;
type Day = (typeof DAY_NAMES)[number];
/** As Intl writes them in English. */
const DAY_INDEX: Readonly<Record<string, number>> = { Sun: 0, Mon: 1, Tue: 2, Wed: 3, Thu: 4, Fri: 5, Sat: 6 };

/** @returns a function of the epoch in ms */
export function compileWindows(windows: readonly Window[]): (nowMs: number) => boolean {
  const checks = windows.map(compileWindow);
  let minute = -1;
  let inside = false;
  return (nowMs) => {
    // Zones differ from UTC by whole minutes, so a minute is inside or outside as a whole.
    const current = Math.floor(nowMs / MINUTE_MS);
    if (current !== minute) {
      inside = checks.some((check) => check(nowMs));
      minute = current;
    }
    return inside;
  };
}

function compileWindow({ days, from, to, timezone }: Window): (nowMs: number) => boolean {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: timezone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const begins = (day: number): boolean => days === undefined || days.includes(DAY_NAMES[(day + 7) % 7] as Day); // 0 to 6
  return (nowMs) => {
    let day = 0;
    let minutes = 0;
    for (const { type, value } of format.formatToParts(nowMs)) {
      if (type === "weekday") day = DAY_INDEX[value] ?? 0;
      else if (type === "hour") minutes += Number(value) * 60;
      else if (type === "minute") minutes += Number(value);
    }
    if (from < to) return minutes >= from && minutes < to && begins(day);
    // Over midnight: the evening of the day on which it begins, or the morning after.
    return (minutes >= from && minutes < DAY_MINUTES && begins(day)) || (minutes < to && begins(day - 1));
  };
}

// Owns telling clients that a route is deprecated (RFC 9745, RFC 8594), and counting who calls it still. Must never contradict what the service says itself.
import { parseHttpDateMs } from "../../../base/backoff.ts";
import { getHeader, getList, type HeaderList } from "../../../base/header-list.ts";
import type { Policy, PolicyFactory } from "../../exchange/policy.ts";
import type { DeprecationConfig } from "./config.ts";

export const createDeprecation: PolicyFactory = (config, route): Policy => {
  const { since, sunset, link } = config as DeprecationConfig; // parsed by deprecationSchema in the primary
  const notice: Notice = {
    sinceMs: since * 1000,
    deprecation: `@${since}`,
    sunsetMs: sunset === undefined ? null : sunset * 1000,
    sunset: sunset === undefined ? "" : new Date(sunset * 1000).toUTCString(),
    link: link === undefined ? "" : `<${link}>; rel="deprecation"`,
  };
  return {
    name: "deprecation",
    onResponse: (_, head) => {
      announce(notice, head.headers);
      return undefined;
    },
    headDependsOn: () => "",
    onFinish: (x) => x.runtime.services.recordDeprecated(route.name, x.identity?.consumer ?? ""),
  };
};

interface Notice {
  readonly sinceMs: number;
  /** A date of RFC 9651: `@` and seconds. */
  readonly deprecation: string;
  readonly sunsetMs: number | null;
  /** An HTTP-date; '' for none. */
  readonly sunset: string;
  readonly link: string;
}

/** The service's own fields stay alone; ours stand beside them unless the end would come before the deprecation (RFC 9745 section 4). */
function announce({ sinceMs, deprecation, sunsetMs, sunset, link }: Notice, headers: HeaderList): void {
  const ownDeprecation = getHeader(headers, "deprecation");
  const ownSunset = getHeader(headers, "sunset");
  if (ownDeprecation === undefined && !(ownSunset !== undefined && isBefore(ownSunset, sinceMs))) headers.push("deprecation", deprecation);
  if (sunsetMs !== null && ownSunset === undefined && !(ownDeprecation !== undefined && isAfter(ownDeprecation, sunsetMs)))
    headers.push("sunset", sunset);
  if (link !== "" && !LINKED.test(getList(headers, "link") ?? "")) headers.push("link", link);
}

/** A link of that relation, among others or alone (RFC 8288 section 3.3). */
const LINKED = /;\s*rel\s*=\s*(?:deprecation\b|"(?:[^"]*\s)?deprecation[\s"])/i;

/** Unreadable: it is not. */
function isBefore(sunset: string, ms: number): boolean {
  const date = parseHttpDateMs(sunset, Date.now());
  return date !== null && date < ms;
}

function isAfter(deprecation: string, ms: number): boolean {
  const seconds = /^@(-?\d{1,15})$/.exec(deprecation.trim())?.[1];
  return seconds !== undefined && Number(seconds) * 1000 > ms;
}

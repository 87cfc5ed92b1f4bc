// Owns the guess of what type of client sent a request. A hint for routing to a fitting service, never a basis for access: clients send what they like.
import { compileRegex } from "../../base/linear-regex.ts";
import { BUILT_IN_CLIENTS, type BuiltInClient, type ClientTypePlan, type UserAgentMatch } from "../../plan/routing-terms.ts";
import { singleHeaderValue } from "./request/single-value.ts";
import type { RequestView } from "./request-view.ts";
import { compileValue, headerHolds, type ValueTest } from "./value-test.ts";

/** Only this much of a User-Agent is read. */
const USER_AGENT_LENGTH_MAX = 512;

/** Words by which crawlers name themselves, lowercase. */
const BOT_WORDS = ["bot", "crawl", "spider", "slurp", "facebookexternalhit", "mediapartners", "preview"] as const;

/** What the built-in types are guessed from. */
const BUILT_IN_HEADERS = ["user-agent", "sec-ch-ua-mobile"] as const;

const userAgentOf = (x: RequestView): string => (singleHeaderValue(x, "user-agent") ?? "").slice(0, USER_AGENT_LENGTH_MAX);

/**
 * `bot` when the User-Agent names itself one; else `mobile` when the browser says so by `Sec-CH-UA-Mobile: ?1` (User-Agent Client Hints) or,
 * without that hint, when the User-Agent holds `Mobi` (what browsers agreed on), `iPhone` or `okhttp/` and `CFNetwork/` (the stock HTTP clients
 * of Android and iOS apps); else `desktop`, also for tablets and when nothing is sent.
 */
export function clientType(x: RequestView): BuiltInClient {
  const userAgent = userAgentOf(x);
  const lower = userAgent.toLowerCase();
  for (const word of BOT_WORDS) if (lower.includes(word)) return "bot";
  const hint = singleHeaderValue(x, "sec-ch-ua-mobile");
  if (hint === "?1") return "mobile";
  if (hint === "?0") return "desktop";
  return /Mobi|iPhone|okhttp\/|CFNetwork\//.test(userAgent) ? "mobile" : "desktop";
}

interface Definition {
  readonly name: string;
  readonly headers: readonly ValueTest[];
  readonly userAgents: readonly ((userAgent: string) => boolean)[];
}

/** The types that the routes of one plan name. */
export class ClientTypes {
  /** What the type of a client may depend on: header names, lowercase. */
  readonly headers: readonly string[];
  readonly #definitions: readonly Definition[];
  readonly #builtIn: boolean;

  /**
   * A request is of one type: the first definition that holds, else the built-in guess. What stands behind the last type that a route names is not read,
   * so that a response need not vary by it.
   * @param named by routes
   * @throws Error for a pattern that the configuration should have refused
   */
  constructor(plans: readonly ClientTypePlan[], named: ReadonlySet<string>) {
    const defined = new Set(plans.map((plan) => plan.name));
    this.#builtIn = BUILT_IN_CLIENTS.some((name) => named.has(name) && !defined.has(name));
    const last = this.#builtIn ? plans.length : plans.findLastIndex((plan) => named.has(plan.name)) + 1;
    const read = plans.slice(0, last);
    this.#definitions = read.map((plan) => ({
      name: plan.name,
      headers: plan.headers.map(compileValue),
      userAgents: plan.userAgents.map(compileUserAgent),
    }));
    const headers = read.flatMap((plan) => [
      ...plan.headers.map(({ name }) => name),
      ...(plan.userAgents.length > 0 ? ["user-agent"] : []),
    ]);
    this.headers = [...new Set([...headers, ...(this.#builtIn ? BUILT_IN_HEADERS : [])])];
  }

  /** @returns a name; '' for a client of no type that a route names. A built-in name that is defined is no guess any more. */
  typeOf(x: RequestView): string {
    let userAgent: string | null = null;
    for (const { name, headers, userAgents } of this.#definitions) {
      if (userAgents.length > 0 && !matchesAny(userAgents, (userAgent ??= userAgentOf(x)))) continue;
      if (allHold(headers, x)) return name;
    }
    if (!this.#builtIn) return "";
    const guess = clientType(x);
    for (const { name } of this.#definitions) if (name === guess) return ""; // it would have been of that type by its definition
    return guess;
  }
}

function allHold(tests: readonly ValueTest[], x: RequestView): boolean {
  for (const test of tests) if (!headerHolds(test, x)) return false;
  return true;
}

function matchesAny(patterns: readonly ((userAgent: string) => boolean)[], userAgent: string): boolean {
  for (const matches of patterns) if (matches(userAgent)) return true;
  return false;
}

function compileUserAgent({ kind, value }: UserAgentMatch): (userAgent: string) => boolean {
  if (kind === "glob") {
    const parts = value.split("*");
    return (userAgent) => globMatches(parts, userAgent.toLowerCase());
  }
  const regex = compileRegex(value, "whole");
  if ("error" in regex) throw new Error(`${value}: ${regex.error}`);
  return (userAgent) => regex.matches(userAgent);
}

/** In one pass: each part of the pattern is found once, as early as it can be. @param parts what stands between the stars */
export function globMatches(parts: readonly string[], text: string): boolean {
  const first = parts[0] ?? "";
  const last = parts.at(-1) ?? "";
  if (parts.length === 1) return text === first;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  const end = text.length - last.length;
  let from = first.length;
  for (let i = 1; i < parts.length - 1; i++) {
    const part = parts[i] as string; // i < length
    const at = text.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
}

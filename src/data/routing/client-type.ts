// Owns the guess of what kind of client is asking. A hint for routing to a fitting backend, never a basis for access: clients say what they like.
import type { ClientType } from "../../plan/plan.ts";
import { headerSentOnce } from "./request/sent-once.ts";
import type { RequestView } from "./request-view.ts";

/** Only this much of a User-Agent is looked at. */
const USER_AGENT_LENGTH_MAX = 512;

/** Words by which crawlers name themselves, lowercase. */
const BOT_WORDS = ["bot", "crawl", "spider", "slurp", "facebookexternalhit", "mediapartners", "preview"] as const;

/**
 * `bot` when the User-Agent names itself one; else `mobile` when the browser says so by `Sec-CH-UA-Mobile: ?1` (User-Agent Client Hints) or,
 * without that hint, when the User-Agent holds `Mobi` (what browsers agreed on), `iPhone` or `okhttp/` and `CFNetwork/` (the stock HTTP clients
 * of Android and iOS apps); else `desktop`, also for tablets and when nothing is sent.
 */
export function clientType(x: RequestView): ClientType {
  const userAgent = (headerSentOnce(x, "user-agent") ?? "").slice(0, USER_AGENT_LENGTH_MAX);
  const lower = userAgent.toLowerCase();
  for (const word of BOT_WORDS) if (lower.includes(word)) return "bot";
  const hint = headerSentOnce(x, "sec-ch-ua-mobile");
  if (hint === "?1") return "mobile";
  if (hint === "?0") return "desktop";
  return /Mobi|iPhone|okhttp\/|CFNetwork\//.test(userAgent) ? "mobile" : "desktop";
}

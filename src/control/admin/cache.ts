// Owns what /cache and /cache/purge answer: what is stored, and its purge. Must purge nothing when an order is not wholly understood.
import { cachedUrls, purgeOrderFrom } from "../cache/purge-order.ts";
import { WalkRefused } from "../cache/store-walk.ts";
import type { AdminDeps } from "./deps.ts";
import { type AdminAnswer, json, problem } from "./problem.ts";

/** GET /cache, GET /cache?url=... */
export async function cacheView({ cache, warmUp }: AdminDeps, query: URLSearchParams): Promise<AdminAnswer> {
  const stranger = [...query.keys()].find((name) => name !== "url");
  if (stranger !== undefined) return mistake(stranger, "there is no such parameter", "ask for url=..., percent-encoded, or for nothing");
  const url = query.get("url");
  return await walking(async () => {
    if (url === null) return json({ ...(await cache.summary()), warm: warmUp.state() });
    const urls = cachedUrls(url);
    if (typeof urls === "string") return mistake("url", urls, "write the URL as clients do, percent-encoded as a whole");
    const looks = await Promise.all(urls.map((each) => cache.look(each)));
    return json(looks.length === 1 ? looks[0] : { stored: looks.flatMap(({ stored }) => stored), urls: looks });
  });
}

/** POST /cache/purge?url=...&prefix=...&tag=...&everything=true&soft=true. 202 when the fleet is still to be told. */
export async function purge({ purge: purgeCache }: AdminDeps, query: URLSearchParams): Promise<AdminAnswer> {
  const order = purgeOrderFrom(query);
  if ("problem" in order) return mistake(order.parameter, order.problem, order.remedy);
  return await walking(async () => {
    const done = await purgeCache(order);
    return json({ ...order, ...done }, done.fleet === null || done.fleet.told ? 200 : 202);
  });
}

/** POST /cache/warm. 202: it goes on by itself, and GET /cache has what comes of it. */
export function warm({ warmUp }: AdminDeps, query: URLSearchParams): AdminAnswer {
  const [stranger] = query.keys();
  if (stranger !== undefined) return mistake(stranger, "there is no such parameter", "the URLs are those of `cache.warm`");
  const state = warmUp.order();
  return state === null
    ? mistake("cache.warm", "the configuration in force has no URLs to ask for", "name them under `cache.warm.urls`")
    : json(state, 202);
}

const mistake = (parameter: string, detail: string, remedy: string): AdminAnswer => problem("bad_parameter", { parameter, detail, remedy });

async function walking(answer: () => Promise<AdminAnswer>): Promise<AdminAnswer> {
  try {
    return await answer();
  } catch (error) {
    if (!(error instanceof WalkRefused)) throw error;
    return problem("cache_busy", { detail: error.message });
  }
}

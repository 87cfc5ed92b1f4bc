// Owns what answers to unsafe requests make void in the store (RFC 9111 section 4.4), on whichever route they came: it is the URL that they change.
// Must never be told of a request that the policies have not let through, nor of an answer that is not the origin's.
import type { HeaderList } from "../../base/header-list.ts";
import type { QueryKey } from "../../plan/cache-plan.ts";
import { keyedQuery, urlNumber } from "../../shared/cache/names.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { urlOf } from "./key.ts";
import type { ResponseCache } from "./response-cache.ts";
import { invalidated, isUnsafe } from "./rules/invalidation.ts";
import type { ChangedUrls } from "./tier/changed-urls.ts";

export class Changes {
  readonly #cache: ResponseCache;
  readonly #queries: readonly QueryKey[];
  readonly #fleet: ChangedUrls | null;

  /** @param queries those of all routes that store: by each a URL may be stored under another name @param fleet null: nothing is shared with it */
  constructor(cache: ResponseCache, queries: readonly QueryKey[], fleet: ChangedUrls | null) {
    this.#fleet = fleet;
    this.#cache = cache;
    this.#queries = [...new Map(queries.map((each) => [JSON.stringify(each), each])).values()];
  }

  /** The origin has answered. */
  answered(x: Exchange, status: number, headers: HeaderList): void {
    if (!isUnsafe(x.method)) return;
    const url = urlOf(x, "");
    const target = x.query === "" ? x.path : `${x.path}?${x.query}`;
    const origin = url.slice(0, url.length - x.path.length);
    for (const changed of invalidated({ method: x.method, status, headers, origin, target })) {
      const mark = changed.indexOf("?");
      const path = mark < 0 ? changed : changed.slice(0, mark);
      const query = mark < 0 ? "" : changed.slice(mark + 1);
      for (const rule of this.#queries) {
        const keyed = keyedQuery(query, rule);
        const name = `${origin}${path}${keyed === "" ? "" : `?${keyed}`}`;
        this.#fleet?.add(urlNumber(name)); // first: nothing is taken from there once it is void here
        this.#cache.invalidate(name);
      }
    }
  }
}

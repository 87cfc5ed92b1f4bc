// Owns serving whole stored responses by heads that are ready, for one route of one plan. Must never do anything for a request that it does not answer.
import type { HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { COPIED_BODY_BYTES_MAX, type PreparedResponse } from "../exchange/prepared-response.ts";
import { headDependsOn, prepareResponse, sendStored } from "../exchange/stored-reply.ts";
import { DEPENDS_ON_CHARS_MAX, PlanMark, type ReadyHit } from "./ready-hits.ts";
import type { CachedResponse } from "./response-cache.ts";

/** From here on a page may stand in the place of a response. */
const INTERCEPTED_STATUS_MIN = 400;

export class ReadyServing {
  readonly #mark = new PlanMark();
  readonly #shown: (x: Exchange, stored: CachedResponse, age: number) => HeaderList;

  /** @param shown fields of a hit that the store adds: Age, Cache-Status */
  constructor(shown: (x: Exchange, stored: CachedResponse, age: number) => HeaderList) {
    this.#shown = shown;
  }

  /** In the listener's turn, with a head that is there already. @returns false when there is none for this request: nothing has been done then */
  serve(x: Exchange, stored: CachedResponse, nowMs: number): boolean {
    const { ready, freshness, head } = stored;
    const { route } = x;
    if (ready === null || route === null || route.filters !== null || head.status >= INTERCEPTED_STATUS_MIN || !x.takesPrepared())
      return false;
    const dependsOn = headDependsOn(x, route);
    if (dependsOn === null || dependsOn.length > DEPENDS_ON_CHARS_MAX) return false;
    const hit = ready.of(this.#mark, dependsOn);
    if (!hit.holdsAt(nowMs)) {
      hit.beginAt(freshness, nowMs);
      return false;
    }
    if (hit.isUnfit) return false;
    const response = hit.response ?? this.#prepare(x, stored, hit);
    if (response === null) return false;
    x.cacheAge = hit.age;
    sendStored(x, response, stored);
    return true;
  }

  /** @returns null when the policies have made of it what cannot be kept */
  #prepare(x: Exchange, stored: CachedResponse, hit: ReadyHit): PreparedResponse | null {
    const { head, length, ready } = stored;
    const headers = [...head.headers, ...this.#shown(x, stored, hit.age)];
    const response = prepareResponse(x, { status: head.status, headers, length });
    if (response === null) hit.isUnfit = true;
    else ready?.put(hit, response, 2 * headers.join("").length + Math.min(length, COPIED_BODY_BYTES_MAX));
    return response;
  }
}

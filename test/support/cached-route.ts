// Owns a played worker with one cached route, and what its tests look at: fields of answers, and that nothing is held when all is over.
import type { HeaderList } from "../../src/base/header-list.ts";
import { workerCache } from "../../src/data/cache/worker-cache.ts";
import { type PlayedClient, PlayedWorker } from "./played-worker.ts";

export interface RouteText {
  /** Flow mapping of the route's `cache`. */
  readonly cache?: string;
  /** Further keys of the route, a line each. */
  readonly route?: readonly string[];
  /** Further keys of the upstream. */
  readonly upstream?: string;
  /** Its `retry`. */
  readonly retry?: string;
  /** Top-level keys. */
  readonly top?: string;
}

export function startCached({
  cache = "{}",
  route = [],
  upstream = "",
  retry = "{ attempts: 0 }",
  top = "",
}: RouteText = {}): Promise<PlayedWorker> {
  const more = route.map((line) => `\n    ${line}`).join("");
  return PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], retry: ${retry}${upstream === "" ? "" : `, ${upstream}`} } }
${top}
routes:
  - name: r
    match: { path: /** }
    to: a
    cache: ${cache}${more}
`);
}

/** A field of the answer; all lines of it joined. */
export function field(x: PlayedClient, name: string): string | null {
  const headers = x.head?.headers ?? [];
  const values = headers.filter((_, i) => i % 2 === 1 && headers[i - 1] === name);
  return values.length === 0 ? null : values.join(", ");
}

export const statusOf = (x: PlayedClient): number => x.head?.status ?? 0;

/** How the cache says that it dealt with the request. */
export const dealt = (x: PlayedClient): string => field(x, "cache-status") ?? "";

export const fresh = (...more: HeaderList): HeaderList => ["cache-control", "max-age=60", ...more];

/** What is held: zeros once everything is over. */
export function held(worker: PlayedWorker): {
  readonly exchanges: number;
  readonly pins: number;
  readonly fills: number;
  readonly pieces: number;
} {
  const { services } = worker;
  const { fills } = workerCache(services);
  return { exchanges: worker.runtime.inFlight, pins: services.responses.pinned, fills: fills.size, pieces: fills.pieces.used };
}

export const NOTHING_HELD = { exchanges: 0, pins: 0, fills: 0, pieces: 0 } as const;

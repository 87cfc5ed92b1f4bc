// Owns how one stored response is given to several clients: its bytes stay until the last of them has read them.
import type { Exchange } from "../exchange/exchange.ts";
import type { CachedResponse } from "./response-cache.ts";

/** @param stored is let go here @param serve takes a response that it must release, once */
export function shareAmong(clients: readonly Exchange[], stored: CachedResponse, serve: (x: Exchange, own: CachedResponse) => void): void {
  let users = 1;
  const release = (): void => {
    if (--users === 0) stored.release();
  };
  for (const x of clients) {
    users++;
    const { head, freshness, isVoid, length, body, sequence, object } = stored;
    serve(x, { head, freshness, isVoid, length, body, sequence, object, ready: null, release });
  }
  release();
}

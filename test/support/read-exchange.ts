// Owns an Exchange that is only read: for tests and benchmarks of what looks at a request (routing, templates, client address).
// It imports nothing but the record itself. The writing side is the engine's and is never reached here.

import type { HeaderList } from "../../src/base/header-list.ts";
import { isAmbiguousFieldName } from "../../src/base/http.ts";
import { type ClientResolver, createClientResolver } from "../../src/data/exchange/client/forwarded.ts";
import { Exchange } from "../../src/data/exchange/exchange.ts";
import type { Runtime } from "../../src/data/exchange/runtime.ts";

export interface Sketch {
  readonly method?: string;
  readonly host?: string;
  readonly path?: string;
  readonly query?: string;
  /** Flat, lowercase names. */
  readonly headers?: HeaderList;
  readonly peer?: string;
  readonly secure?: boolean;
  readonly listener?: string;
  readonly resolver?: ClientResolver;
}

const unreachable = (): never => {
  throw new Error("nothing is written in this test");
};

export class ReadExchange extends Exchange {
  readonly peer: string;
  /** How often peerAddress() was asked for: it is dear. */
  peerReads = 0;
  readonly started = false;
  readonly closed = false;

  constructor(sketch: Sketch = {}) {
    const resolver = sketch.resolver ?? createClientResolver([]);
    // Nothing else of a runtime is read: a whole one would need a worker.
    super({ resolveClient: (x: Exchange) => resolver.resolve(x) } as unknown as Runtime);
    this.method = sketch.method ?? "GET";
    this.host = sketch.host ?? "api.example.com";
    this.authority = this.host;
    this.path = sketch.path ?? "/";
    this.query = sketch.query ?? "";
    this.headers = sketch.headers ?? [];
    this.hasAmbiguousFieldNames = this.headers.some((name, i) => i % 2 === 0 && isAmbiguousFieldName(name));
    this.peer = sketch.peer ?? "203.0.113.7";
    this.secure = sketch.secure ?? false;
    this.listener = sketch.listener ?? "";
  }

  peerAddress(): string {
    this.peerReads++;
    return this.peer;
  }
  readBody = unreachable;
  redirectBody = unreachable;
  pauseBody = unreachable;
  resumeBody = unreachable;
  start = unreachable;
  write = unreachable;
  end = unreachable;
  abort = unreachable;
  acceptWebSocket = unreachable;
}

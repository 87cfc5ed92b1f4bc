// Owns an Exchange that has no client: for tests and benchmarks of what only reads the finished record.
import { Exchange } from "../../src/data/exchange/exchange.ts";
import type { Route, Runtime } from "../../src/data/exchange/runtime.ts";

/** What log and metrics read of a runtime. */
export function recordedRuntime(ip = "203.0.113.7", scheme: "http" | "https" = "http", version = 1): Runtime {
  // The record's readers use only these members; building a whole runtime would need a worker.
  return { plan: { version }, logQuery: null, resolveClient: () => ({ ip, scheme }) } as unknown as Runtime;
}

export function recordedRoute(name: string, accessLog = true): Route {
  // As above: name, metricSlot and accessLog are all that is read.
  return { name, metricSlot: 2, accessLog } as unknown as Route;
}

// Instances of the abstract class itself: the writing side is never called by what only reads the record.
const RecordedExchange = Exchange as unknown as new (runtime: Runtime) => Exchange;

/** A typical finished GET. */
export function typicalExchange(runtime = recordedRuntime()): Exchange {
  const x = new RecordedExchange(runtime);
  x.method = "GET";
  x.host = "api.example.com";
  x.path = "/v1/users/12345/orders";
  x.query = "token=secret";
  x.headers = [
    "host",
    "api.example.com",
    "accept",
    "*/*",
    "user-agent",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  ];
  x.requestId = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
  x.route = recordedRoute("users-read");
  x.status = 200;
  x.bytesOut = 512;
  x.attempts = 1;
  x.upstream = "users";
  x.target = "http://10.0.0.1:9001";
  x.upstreamConnectMs = 0.25;
  x.upstreamFirstByteMs = 1.5;
  return x;
}

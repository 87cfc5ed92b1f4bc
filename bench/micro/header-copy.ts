// What copying headers costs, in both directions: what goes upstream with the forwarding headers, and what undici's raw list becomes.

import type { HeaderList } from "../../src/base/header-list.ts";
import { createClientResolver } from "../../src/data/exchange/client/forwarded.ts";
import type { Exchange } from "../../src/data/exchange/exchange.ts";
import type { Runtime } from "../../src/data/exchange/runtime.ts";
import { upstreamHeaders } from "../../src/data/exchange/upstream-headers.ts";
import { createUpstream } from "../../src/data/upstream/select.ts";
import { copyResponseHeaders } from "../../src/data/upstream/transport/response-headers.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";
import { ReadExchange } from "../../test/support/read-exchange.ts";
import { endpoints, inertPool, upstreamPlan } from "../../test/support/upstreams.ts";
import type { Micro } from "./measure.ts";

/** As a browser sends them. */
const BROWSER: HeaderList = [
  ...["host", "api.example.com", "connection", "keep-alive", "accept", "application/json, text/plain, */*"],
  ...["user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "accept-encoding", "gzip, deflate, br, zstd"],
  ...["accept-language", "en-US,en;q=0.5", "authorization", `Bearer ${"x".repeat(600)}`, "cookie", "session=0190a1b2c3d4; theme=dark"],
  ...["referer", "https://app.example.com/orders", "origin", "https://app.example.com", "sec-fetch-mode", "cors"],
];
const LOAD_TOOL: HeaderList = ["host", "127.0.0.1:8080", "accept", "*/*"];

/** What undici hands over. */
const RAW: readonly Buffer[] = [
  ...[
    "Server",
    "nginx",
    "Date",
    "Mon, 01 Jan 2029 00:00:00 GMT",
    "Content-Type",
    "application/json; charset=utf-8",
    "Content-Length",
    "512",
  ],
  ...[
    "Connection",
    "keep-alive",
    "ETag",
    '"33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "Cache-Control",
    "max-age=60",
    "Vary",
    "Accept-Encoding",
  ],
].map((text) => Buffer.from(text, "latin1"));

function towardsUpstream(headers: HeaderList): Micro["prepare"] {
  return () => {
    const resolver = createClientResolver([]);
    const x = new ReadExchange({ headers, resolver, path: "/v1/users/12345/orders" });
    // The part of a runtime that is read here; a whole one would need a worker.
    Object.assign(x.runtime, {
      plan: { cache: { debug: null } } as unknown as Plan, // of a plan no more is read
      appendForwarding: (of: Exchange, out: HeaderList) => resolver.appendForwarding(of, out),
    } satisfies Partial<Runtime>);
    x.requestId = "6c73c7efe669-9";
    const health = new TargetHealth(TargetHealth.allocate(1), 0);
    const upstream = createUpstream(upstreamPlan(), endpoints([1]), { health, poolFor: inertPool, now: () => 0, random: () => 0 });
    const endpoint = upstream.select(x, null);
    if (endpoint === null) throw new Error("nothing chosen");
    if (!upstreamHeaders(x, upstream, endpoint, 0).includes("x-forwarded-for")) throw new Error("no forwarding headers");
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += upstreamHeaders(x, upstream, endpoint, 0).length;
      return sum;
    };
  };
}

export const MICRO: readonly Micro[] = [
  { name: "to upstream, 2 headers", prepare: towardsUpstream(LOAD_TOOL) },
  { name: "to upstream, 11 headers of a browser", prepare: towardsUpstream(BROWSER) },
  {
    name: "response headers from undici's buffers, 8",
    prepare: () => {
      if (copyResponseHeaders(RAW).length !== 512) throw new Error("the length is lost");
      return (count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += copyResponseHeaders(RAW).headers.length;
        return sum;
      };
    },
  },
];

// What writing a request's head for the upstream costs, with its check of every byte, up to the bytes.
import { RequestHeads } from "../../src/data/upstream/transport/http1/request-head.ts";
import type { WireRequest } from "../../src/data/upstream/upstream.ts";
import type { Micro } from "./measure.ts";

const FEW = [
  ...["host", "10.0.0.1:9001", "accept", "*/*", "x-forwarded-for", "203.0.113.7", "x-forwarded-proto", "http"],
  ...[
    "x-forwarded-host",
    "api.example.com",
    "forwarded",
    "for=203.0.113.7;proto=http;host=api.example.com",
    "via",
    "1.1 sluice",
    "x-request-id",
    "6c73c7efe669-9",
  ],
];
const MANY = [
  ...FEW,
  ...["user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "accept-encoding", "gzip, deflate, br, zstd"],
  ...["accept-language", "en-US,en;q=0.5", "authorization", `Bearer ${"x".repeat(600)}`, "cookie", "session=0190a1b2c3d4; theme=dark"],
  ...["referer", "https://app.example.com/orders", "origin", "https://app.example.com", "sec-fetch-mode", "cors"],
];

const heads = new RequestHeads();

function head(request: WireRequest): Micro["prepare"] {
  return () => {
    if (!heads.add(request) || !heads.bytes().toString("latin1").endsWith("\r\n\r\n")) throw new Error("no head");
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        heads.begin();
        sum += heads.add(request) ? heads.bytes().length : Number.NaN;
      }
      return sum;
    };
  };
}

const get = (headers: string[]): WireRequest => ({ method: "GET", path: "/v1/users/12345/orders", headers, body: null, contentLength: 0 });

export const MICRO: readonly Micro[] = [
  { name: "GET, 8 headers", prepare: head(get(FEW)) },
  { name: "GET, 16 headers", prepare: head(get(MANY)) },
  { name: "POST, 8 headers and a body", prepare: head({ ...get(FEW), method: "POST", body: Buffer.from("{}"), contentLength: 2 }) },
];

import http from "node:http";
import fs from "node:fs";
import { execSync } from "node:child_process";
import { Gateway } from "../support/gateway.ts";
import { bothListeners } from "../support/both-engines.ts";
import { BodyUpstream, pour } from "../support/body-upstream.ts";
const up = await BodyUpstream.start();
const gw = await Gateway.start({ config: `${bothListeners}limits: { bodyBytes: 900MiB, bodyTimeout: 30s }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${up.port}" } ], timeouts: { response: 60s, total: 60s, idle: 60s } } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
` });
const rss = () => Math.round(Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${gw.primaryPid}/status`, "utf8"))![1]) / 1024);
let read = () => {};
up.reading = new Promise((r) => { read = r; });
const eng = process.argv[2] === "node" ? 1 : 0;
const port = Number(new URL(gw.urls[eng]!).port);
const req = http.request({ port, method: "POST", path: "/sink", agent: false });
if (process.argv[3] === "fixed") req.setHeader("content-length", 512 << 20);
console.log("start", rss());
void pour(512 << 20, req).then(() => { req.end(); });
for (let i = 0; i < 3; i++) { await new Promise((r) => setTimeout(r, 500)); console.log(i, "sent MB", Math.round(((req.socket?.bytesWritten ?? 0) - (req.socket?.writableLength ?? 0)) / 1e6), "rss", rss()); }
console.log(execSync(`ss -tn | grep -E ':${port}|:${up.port}' || true`).toString());
read();
for (let i = 0; i < 24; i++) { await new Promise((r) => setTimeout(r, 500)); console.log(i, "sent MB", Math.round(((req.socket?.bytesWritten ?? 0)) / 1e6), "rss", rss()); }
req.on("error",()=>{}); req.destroy();
await gw[Symbol.asyncDispose](); await up[Symbol.asyncDispose]();

// A header section that comes again is admitted by what was found out before: that must never show. The same requests on one connection, with the plan exchanged
// in between, and each on a connection of its own, which remembers nothing.
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Exchange } from "../../../../../src/data/exchange/exchange.ts";
import { upstreamRequest } from "../../../../../src/data/exchange/upstream-headers.ts";
import type { Pool } from "../../../../../src/data/upstream/upstream.ts";
import { PlayedChannel, PlayedListener } from "../../../../support/played-http1.ts";
import { PlayedWorker } from "../../../../support/played-worker.ts";
import { Chance } from "../../../../support/random-upstream.ts";
import { endpoint } from "../../../../support/upstreams.ts";

const plan = (rest: string, match = "/**"): string => `version: 1
listeners: [ { address: 127.0.0.1:0 } ]
${rest}
upstreams: { u: { targets: [ { url: "http://127.0.0.1:9" } ] }, v: { targets: [ { url: "http://127.0.0.1:9" } ], host: target } }
routes:
  - { name: all, match: { path: "${match}" }, to: u }
  - { name: other, match: { path: "/other/**" }, to: v, methodOverride: keep }
`;

const PLANS = [
  plan(""),
  plan("identity: { protect: [x-caller-id] }"),
  plan("trustedProxies: [ 203.0.113.0/24 ]"),
  plan("limits: { headerBytes: 1KiB }"),
  plan("limits: { headerCount: 8, uriBytes: 256B }"),
];

const LINES = [
  "GET / HTTP/1.1",
  "GET /other/x?y=1 HTTP/1.1",
  "POST /other/a HTTP/1.1",
  "HEAD / HTTP/1.1",
  `GET /a/${"long".repeat(80)} HTTP/1.1`,
  "GET / HTTP/1.0",
  "GET http://other.example/p HTTP/1.1",
  "OPTIONS * HTTP/1.1",
  "OPTIONS /other/x HTTP/1.1",
  "GET //x HTTP/1.1",
  "get / HTTP/1.1",
  "GET / HTTP/1.2",
];
const SECTIONS = [
  "Host: a.example\r\n",
  "Host: a.example:\r\nAccept: */*\r\n",
  "Host: a.example\r\nx-caller-id: root\r\nx-consumer-id: root\r\nX_Caller: 1\r\n",
  "Host: a.example\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\nVia: 1.1 cdn\r\n",
  "Host: a.example\r\nForwarded: for=nonsense=\r\n",
  "Host: a.example\r\nConnection: close, x-b\r\nX-B: 1\r\nX-C: 2\r\n",
  "Host: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
  "Host: a.example\r\nContent-Length: 3\r\nExpect: 100-continue\r\n",
  "Host: a.example\r\nTransfer-Encoding: chunked\r\n",
  "Host: a.example\r\nX-Method-Override: PUT\r\nx-a: caf\xe9\r\nx.y: 1\r\n",
  `Host: a.example\r\ncookie: ${"a".repeat(1100)}\r\n`,
  "Host: a.example\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: 5\r\nf: 6\r\ng: 7\r\nh: 8\r\n",
  "Accept: */*\r\n",
];

const NO_POOL: Pool = {
  classify: () => "success",
  dispatch() {
    throw new Error("nothing is sent in this test");
  },
  close() {},
  stats: { connected: 0, running: 0, queued: 0 },
};

const workers: PlayedWorker[] = [];
beforeAll(async () => {
  for (const each of PLANS) workers.push(await PlayedWorker.start(each));
});
afterAll(() => {
  for (const each of workers) each.stop();
});

const bodyOf = (section: string): string =>
  section.includes("Content-Length") ? "abc" : section.includes("chunked") ? "2\r\nab\r\n0\r\n\r\n" : "";

/** Everything that admission decides, and what goes upstream. */
function facts(x: Exchange): unknown {
  const {
    method,
    path,
    query,
    host,
    authority,
    bodyKind,
    contentLength,
    wantsWebSocket,
    closeAfter,
    awaitsContinue,
    hasAmbiguousFieldNames,
  } = x;
  const { runtime, protocol } = x;
  x.requestId = "id";
  x.route = runtime.routes[path.startsWith("/other/") ? 1 : 0] ?? null;
  x.upstreamPath = path;
  const upstream = runtime.upstreams[path.startsWith("/other/") ? 1 : 0];
  const sent =
    upstream === undefined ? null : upstreamRequest(x, upstream, { plan: endpoint("e", 0), slot: 0, pool: NO_POOL, places: null }, 1000);
  const request = sent === null ? null : { method: sent.method, path: sent.path, headers: sent.headers };
  const headers = x.headers.slice();
  const { ip, scheme } = x.clientInfo();
  // A policy of this request changes them: no other may see it.
  x.ownHeaders().push("x-decided", "by a policy");
  return {
    plan: PLANS.indexOf(planOf(x)),
    method,
    path,
    query,
    host,
    authority,
    bodyKind,
    contentLength,
    wantsWebSocket,
    closeAfter,
    awaitsContinue,
    hasAmbiguousFieldNames,
    protocol,
    headers,
    ip,
    scheme,
    request,
  };
}

const planOf = (x: Exchange): string => PLANS[workers.findIndex((each) => each.runtime === x.runtime)] ?? "";

/** A listener that notes what it admits. */
function noting(index: number): { listener: PlayedListener; seen: unknown[] } {
  const seen: unknown[] = [];
  const listener = new PlayedListener((workers[index] as PlayedWorker).runtime);
  listener.onAdmitted = (x) => seen.push(facts(x));
  return { listener, seen };
}

it.each([1, 2, 3, 4, 5, 6])("shows in nothing, with reloads in between, seed %i", (seed) => {
  const { chance, pick, rnd } = {
    chance: (part: number) => dice.chance(part),
    pick: <T>(list: readonly T[]) => dice.pick(list),
    rnd: () => dice.rnd(),
  };
  const dice = new Chance(seed);
  let planIndex = 0;
  let section = pick(SECTIONS);
  let again = 0;
  const kept = noting(planIndex);
  let channel = kept.listener.open(new PlayedChannel());
  for (let i = 0; i < 1500; i++) {
    if (chance(0.1)) planIndex = Math.floor(rnd() * PLANS.length);
    if (chance(0.3)) section = pick(SECTIONS);
    const bytes = Buffer.from(`${pick(LINES)}\r\n${section}\r\n${bodyOf(section)}`, "latin1");
    kept.listener.runtime = (workers[planIndex] as PlayedWorker).runtime;
    kept.listener.refused = [];
    const before = kept.seen.length;
    channel.send(bytes);
    const fresh = noting(planIndex);
    const other = fresh.listener.open(new PlayedChannel());
    other.send(bytes);
    expect({ seen: kept.seen.slice(before), refused: kept.listener.refused }, `${i}: ${bytes.toString("latin1")}`).toEqual({
      seen: fresh.seen,
      refused: fresh.listener.refused,
    });
    expect(channel.finSent).toBe(other.finSent);
    if (kept.seen.length > before && !channel.finSent) again++;
    if (channel.finSent) channel = kept.listener.open(new PlayedChannel());
  }
  expect(again).toBeGreaterThan(300); // enough came on a connection that had seen others
});

const FIELD_LINES = [
  "Host: a.example",
  "Accept: */*",
  "x-a: 1",
  "X-A:2",
  "cookie: a=b; c=d",
  "x-b: caf\xe9",
  "x_c: 1",
  "Connection: x-a",
  "Connection: close",
  "x-caller-id: 1",
  "Host: b.example",
];
const ODD_LINES = ["x-a : 1", "x-a: \0", "x a: 1", ": 1", " x-a: 1", "x-a", "Content-Length: x", "Transfer-Encoding: gzip"];

it.each([1, 2, 3])("lines that come again, among others, are read as if for the first time, seed %i", (seed) => {
  const dice = new Chance(100 + seed);
  const kept = noting(1);
  let channel = kept.listener.open(new PlayedChannel());
  let lines = ["Host: a.example", "Accept: */*", "x-a: 1", "cookie: a=b; c=d"];
  let again = 0;
  for (let i = 0; i < 2500; i++) {
    if (dice.chance(0.6)) {
      const at = Math.floor(dice.rnd() * (lines.length + 1));
      const next = dice.pick(dice.chance(0.03) ? ODD_LINES : FIELD_LINES);
      lines = dice.chance(0.3) ? lines.toSpliced(at, 0, next) : dice.chance(0.4) ? lines.toSpliced(at, 1) : lines.toSpliced(at, 1, next);
      if (lines.length > 12 || ODD_LINES.some((odd) => lines.includes(odd) && dice.chance(0.5))) lines = ["Host: a.example"];
    }
    const bytes = Buffer.from(`GET / HTTP/1.1\r\n${lines.map((each) => `${each}\r\n`).join("")}\r\n`, "latin1");
    kept.listener.refused = [];
    const before = kept.seen.length;
    channel.send(bytes);
    const fresh = noting(1);
    fresh.listener.open(new PlayedChannel()).send(bytes);
    const outcome = { seen: kept.seen.slice(before), refused: kept.listener.refused };
    expect(outcome, bytes.toString("latin1")).toEqual({ seen: fresh.seen, refused: fresh.listener.refused });
    if (channel.finSent) channel = kept.listener.open(new PlayedChannel());
    else again++;
  }
  expect(again).toBeGreaterThan(500);
});

it("a policy that changes the headers of one request without owning them is stopped", () => {
  const { listener } = noting(0);
  const shared: Exchange[] = [];
  listener.onAdmitted = (x) => shared.push(x);
  const channel = listener.open(new PlayedChannel());
  const bytes = Buffer.from("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
  for (let i = 0; i < 3; i++) channel.send(bytes);
  const [, second, third] = shared;
  expect(third?.headers).toBe(second?.headers);
  expect(() => third?.headers.push("x", "y")).toThrow(TypeError);
  third?.ownHeaders().push("x", "y");
  expect(second?.headers).toEqual(["host", "a.example"]);
});

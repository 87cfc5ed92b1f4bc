// Owns the list of cases: what is measured, who takes part, what was promised. A new case is one entry here.
import { AGGREGATED } from "../peers/origin.ts";
import { PLAIN, type Setup } from "../peers/peer.ts";
import type { Case, Contender, Metric, WrkLoad } from "./case.ts";

const COLUMNS: readonly Metric[] = ["micros", "rate", "p50", "p99", "p999", "errors", "rss"];
const GATEWAYS = ["sluice", "nginx", "haproxy", "caddy", "varnish"] as const;
/** Where the listener's engine makes a difference. */
const BOTH_ENGINES = ["sluice", "sluice-net", ...GATEWAYS.slice(1)];
const CONNECTIONS = 64;
/** More rounds for the row that everything is measured by. */
const ROUNDS_MAIN = 7;
const ROUNDS = 3;

const all = (peers: readonly string[], setup: Partial<Setup>, baseline: string): readonly Contender[] =>
  peers.map((peer) => ({ label: peer, peer, setup: { ...PLAIN, ...setup }, baseline }));

const wrk = (load: Partial<WrkLoad>): WrkLoad => ({ kind: "wrk", connections: CONNECTIONS, path: "/bytes/256", answerBytes: 256, ...load });

/** What a browser sends with a request for data. */
const BROWSER_FIELDS: Readonly<Record<string, string>> = {
  "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  Accept: "application/json, text/plain, */*",
  "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
  "Accept-Encoding": "identity",
  Referer: "https://shop.example/orders?page=2",
  Origin: "https://shop.example",
  Cookie: "theme=dark; session=8b1a9953c4611296a827abf8c47804d7; consent=1",
  "Sec-Fetch-Dest": "empty",
  "Sec-Fetch-Mode": "cors",
  "Sec-Fetch-Site": "same-origin",
  "If-None-Match": '"33a64df551425fcc55e4d42a148795d9f25f89d4"',
  "X-Requested-With": "fetch",
};

/** Sluice's ratio to nginx. */
const toNginx = (ratioMax: number): Case["aims"][number] => ({
  metric: "micros",
  label: "sluice",
  against: "nginx",
  ratioMax,
  text: `at most ${ratioMax} x nginx`,
});

const CACHES_AND_FLOORS = ["sluice", "sluice-net", "nginx", "haproxy", "varnish", "caddy", "uws-answer", "net-answer", "uws-hello"];

/** To a program on the same engine that reads a request and says as much as a hit does. */
const toAnswers = (ratioMax: number): Case["aims"] =>
  (["uws", "net"] as const).map((engine) => ({
    metric: "micros",
    label: engine === "uws" ? "sluice" : "sluice-net",
    against: `${engine}-answer`,
    ratioMax,
    text: `engine ${engine}: at most ${ratioMax} x a whole answer on the same sockets`,
  }));

const toHaproxy = (label: string, ratioMax: number): Case["aims"][number] => ({
  metric: "micros",
  label,
  against: "haproxy",
  ratioMax,
  text: `${label}: at most ${ratioMax} x HAProxy`,
});

/** The floor under gateways written in Lua: it checks this signature only. */
const IN_LUA: Case["aims"][number] = {
  metric: "micros",
  label: "sluice",
  against: "nginx-lua",
  ratioMax: 0.9,
  text: "at most 0.9 x nginx with the same in Lua",
};

/** The same server twice: `name` and the setup that is compared with it. */
const twice = (peer: string, first: readonly [string, Partial<Setup>], second: readonly [string, Partial<Setup>]): readonly Contender[] =>
  [first, second].map(([suffix, setup]) => ({
    label: `${peer}, ${suffix}`,
    peer,
    setup: { ...PLAIN, ...setup },
    baseline: `${peer}, ${first[0]}`,
  }));

const TEN = ["10 routes", { routes: 10 }] as const;
const TEN_THOUSAND = ["10000 routes", { routes: 10_000 }] as const;
const ONE = ["1 worker", { workers: 1 }] as const;
const TWO = ["2 workers", { workers: 2 }] as const;

export const CASES: readonly Case[] = [
  {
    name: "plain-256",
    title: "Plain proxy, 256 bytes",
    about:
      "GET, an answer of 256 bytes, keep-alive on both sides, 64 connections. Forwarding headers and a request id are added; no access log.",
    load: wrk({}),
    contenders: all(
      [
        "sluice",
        "sluice-pipelining",
        "sluice-net-pipelining",
        ...BOTH_ENGINES.slice(1),
        "uws-hello",
        "uws-undici",
        "uws-net",
        "net-floor",
        "fastify-http-proxy",
        "http-proxy-3",
      ],
      {},
      "nginx",
    ),
    primary: "micros",
    columns: COLUMNS,
    aims: [toNginx(1)],
    rounds: ROUNDS_MAIN,
  },
  ...(["constant", "varying"] as const).map(
    (kind): Case => ({
      name: `headers-${kind}`,
      title: `Plain proxy, the header fields of a browser, ${kind === "constant" ? "always the same" : "one of them another each time"}`,
      about:
        kind === "constant"
          ? "As plain-256, with twelve more request fields of 600 bytes, which each connection sends again and again."
          : "The same, with a trace id among the fields that no connection sends twice in a row.",
      load: wrk({ headers: BROWSER_FIELDS, ...(kind === "varying" ? { variedField: "traceparent" } : {}) }),
      contenders: all(["sluice", "sluice-net", "nginx", "net-floor"], {}, "nginx"),
      primary: "micros",
      columns: COLUMNS,
      aims: [],
      rounds: ROUNDS,
    }),
  ),
  {
    name: "plain-16k",
    title: "Plain proxy, 16 KiB",
    about: "As above with an answer of 16 KiB.",
    load: wrk({ path: "/bytes/16384", answerBytes: 16 * 1024 }),
    contenders: all(BOTH_ENGINES, {}, "nginx"),
    primary: "micros",
    columns: COLUMNS,
    aims: [toNginx(1.2)],
    rounds: ROUNDS,
  },
  {
    name: "plain-1m",
    title: "Plain proxy, 1 MiB",
    about: "As above with an answer of 1 MiB, 16 connections.",
    load: wrk({ path: "/bytes/1048576", answerBytes: 1024 * 1024, connections: 16 }),
    contenders: all(GATEWAYS, {}, "nginx"),
    primary: "micros",
    columns: COLUMNS,
    aims: [toNginx(1.2)],
    rounds: ROUNDS,
  },
  {
    name: "post-4k",
    title: "POST, 4 KiB up",
    about: "POST with a body of 4 KiB and its length; an answer of 256 bytes.",
    load: wrk({ path: "/posted", method: "POST", bodyBytes: 4096 }),
    contenders: all(BOTH_ENGINES, {}, "nginx"),
    primary: "micros",
    columns: COLUMNS,
    aims: [],
    rounds: ROUNDS,
  },
  {
    name: "tls",
    title: "TLS from clients, 256 bytes",
    about: "TLS 1.3 (ECDSA P-256 certificate), keep-alive; plain HTTP to the origin.",
    load: wrk({}),
    contenders: all(GATEWAYS, { tls: true }, "nginx"),
    primary: "micros",
    columns: COLUMNS,
    aims: [],
    rounds: ROUNDS,
  },
  ...(["HS256", "RS256"] as const).map(
    (signature): Case => ({
      name: `guarded-${signature.toLowerCase()}`,
      title: `JWT (${signature}), limit, breaker, metrics and log`,
      about: `Every request carries a JWT (${signature}) whose signature, issuer, audience and time are checked; its subject is counted against a limit that is never reached; a breaker watches the origin; metrics are kept and an access log is written to a file.`,
      load: wrk({}),
      contenders: all(
        [
          "sluice",
          "sluice-net",
          "sluice-pipelining",
          "haproxy",
          "nginx",
          "caddy",
          "varnish",
          ...(signature === "HS256" ? ["nginx-lua"] : []),
        ],
        { guarded: signature },
        "haproxy",
      ),
      primary: "micros",
      columns: COLUMNS,
      aims: [
        { metric: "micros", label: "sluice", against: "haproxy", ratioMax: 0.9, text: "at most 0.9 x HAProxy doing the same" },
        ...(signature === "HS256" ? [IN_LUA] : []),
      ],
      rounds: ROUNDS,
    }),
  ),
  {
    name: "cache-hit",
    title: "Cache hit, 256 bytes",
    about:
      "The answer is in the server's cache in memory; the origin is not asked. The floors answer by themselves: uws-hello says 256 bytes and no more; uws-answer and net-answer read what a gateway reads of a request and say as much as a hit does.",
    load: wrk({ path: "/cached" }),
    contenders: all(CACHES_AND_FLOORS, { cache: true }, "haproxy"),
    primary: "micros",
    columns: COLUMNS,
    aims: [...toAnswers(1.3), toHaproxy("sluice", 1.2), toHaproxy("sluice-net", 1.2)],
    rounds: ROUNDS,
  },
  ...(["constant", "varying"] as const).map(
    (kind): Case => ({
      name: `cache-hit-headers-${kind}`,
      title: `Cache hit, the header fields of a browser, ${kind === "constant" ? "always the same" : "one of them another each time"}`,
      about: `As cache-hit, with twelve more request fields of 600 bytes${kind === "constant" ? ", which each connection sends again and again" : ", and a trace id that no connection sends twice in a row"}.`,
      load: wrk({ path: "/cached", headers: BROWSER_FIELDS, ...(kind === "varying" ? { variedField: "traceparent" } : {}) }),
      contenders: all(["sluice", "sluice-net", "haproxy", "uws-answer", "net-answer"], { cache: true }, "haproxy"),
      primary: "micros",
      columns: COLUMNS,
      aims: toAnswers(1.3),
      rounds: ROUNDS,
    }),
  ),
  ...([16_384, 1_048_576] as const).map(
    (bytes): Case => ({
      name: bytes === 16_384 ? "cache-hit-16k" : "cache-hit-1m",
      title: `Cache hit, ${bytes === 16_384 ? "16 KiB" : "1 MiB"}`,
      about: `As cache-hit, with a larger body${bytes === 16_384 ? "" : ", 16 connections"}.`,
      load: wrk({ path: `/cached/${bytes}`, answerBytes: bytes, ...(bytes === 16_384 ? {} : { connections: 16 }) }),
      contenders: all(["sluice", "sluice-net", "nginx", "haproxy"], { cache: true }, "nginx"),
      primary: "micros",
      columns: COLUMNS,
      aims: [toNginx(1), { ...toNginx(1), label: "sluice-net", text: "engine net: at most 1 x nginx" }],
      rounds: ROUNDS,
    }),
  ),
  {
    name: "routes-10k",
    title: "10000 routes against 10",
    about: "The same server with ten and with ten thousand routes `/v1/svc-N/...`, each asked for as often as the others.",
    load: wrk({ spread: true, path: "/v1/svc-0/users/8412" }),
    contenders: [...twice("sluice", TEN, TEN_THOUSAND), ...twice("nginx", TEN, TEN_THOUSAND)],
    primary: "micros",
    columns: COLUMNS,
    aims: [
      {
        metric: "micros",
        label: "sluice, 10000 routes",
        against: "sluice, 10 routes",
        ratioMax: 1.02,
        text: "at most 1.02 x the same with 10 routes",
      },
    ],
    rounds: ROUNDS_MAIN,
  },
  {
    name: "aggregate",
    title: "One document of three answers",
    about:
      "GET, and the server asks the origin for three JSON documents (some 200 bytes to 1 KiB) at once and answers with one that holds them. Beside it a small fastify service that does the same for this page only.",
    load: wrk({ path: "/page", answerBytes: Buffer.byteLength(AGGREGATED) }),
    contenders: all(["sluice", "fastify-aggregate"], { aggregate: true }, "fastify-aggregate"),
    primary: "micros",
    columns: COLUMNS,
    aims: [],
    rounds: ROUNDS,
  },
  {
    name: "new-connection",
    title: "A new connection for each request",
    about: "The client asks with `Connection: close`; towards the origin connections are kept.",
    load: wrk({ headers: { Connection: "close" } }),
    contenders: all(GATEWAYS, {}, "nginx"),
    primary: "micros",
    columns: COLUMNS,
    aims: [],
    rounds: ROUNDS,
  },
  {
    name: "workers-2",
    title: "Two workers against one",
    about:
      "The same server with one and with two workers. The ratio is the CPU a request; twice its inverse is how much more two workers do for the CPU they are given (1.9 times asks for a ratio of at most 1.053).",
    load: wrk({ connections: 128 }),
    contenders: ["sluice", "nginx", "haproxy"].flatMap((peer) => twice(peer, ONE, TWO)),
    primary: "micros",
    columns: COLUMNS,
    aims: [
      {
        metric: "micros",
        label: "sluice, 2 workers",
        against: "sluice, 1 worker",
        ratioMax: 2 / 1.9,
        text: "two workers do at least 1.9 x for each CPU second of one",
      },
    ],
    rounds: ROUNDS,
  },
  {
    name: "websocket-echo",
    title: "WebSocket, messages of 256 bytes",
    about:
      "64 WebSockets to an origin that sends each message of 256 bytes back; each client sends the next when the one before has come. Handshakes are not counted.",
    load: { kind: "webSocket", connections: CONNECTIONS, messageBytes: 256 },
    contenders: all(["sluice", "nginx", "haproxy"], { webSocket: true }, "nginx"),
    primary: "perMessage",
    columns: ["perMessage", "messages", "p50", "p99", "p999", "errors", "rss"],
    aims: [],
    rounds: ROUNDS,
  },
  {
    name: "forward-auth",
    title: "A service asked about each request",
    about:
      "A service is called before each request is forwarded (nginx: auth_request); plain-256 is the same without. The service is the origin at another path, so that it costs what the origin costs; nothing is kept.",
    load: wrk({}),
    contenders: all(["sluice", "nginx"], { forwardAuth: true }, "nginx"),
    primary: "micros",
    columns: COLUMNS,
    aims: [],
    rounds: ROUNDS,
  },
  {
    name: "open-half",
    title: "Latency at half of saturation, open loop",
    about:
      "Requests fall due by the clock at half of the rate that the server reached just before, and their time counts from there. What the origin takes when it is asked directly at the same rate is subtracted.",
    load: { kind: "open", connections: 128, path: "/bytes/256", fraction: 0.5 },
    contenders: all(["sluice", "nginx", "haproxy"], {}, "nginx"),
    primary: "addedP99",
    columns: ["addedP99", "addedP50", "p50", "p99", "p999", "offered", "micros", "errors", "late"],
    aims: [{ metric: "addedP99", label: "sluice", against: "nginx", ratioMax: 1, text: "added p99 at most nginx's" }],
    rounds: ROUNDS,
  },
  {
    name: "h2-256",
    title: "HTTP/2 in, HTTP/1.1 up, 256 bytes",
    about: "As plain-256, by HTTP/2 in cleartext: 4 connections with 32 requests at once on each.",
    load: { kind: "http2", connections: 4, streams: 32, path: "/bytes/256", answerBytes: 256 },
    contenders: all(["sluice", "nginx"], { http2: true }, "nginx"),
    primary: "micros",
    columns: COLUMNS.filter((column) => !["p50", "p99", "p999"].includes(column)),
    aims: [{ metric: "micros", label: "sluice", against: "nginx", ratioMax: 1, text: "at most 1 x nginx" }],
    rounds: ROUNDS,
  },
  {
    name: "idle-10k",
    title: "10000 idle connections",
    about: "10000 client connections that made one request each and stay silent.",
    load: { kind: "idle", connections: 10_000 },
    contenders: all(GATEWAYS, {}, "nginx"),
    primary: "rss",
    columns: ["rss", "perConnection", "connections", "errors"],
    aims: [{ metric: "rss", label: "sluice", against: "nginx", ratioMax: 2, text: "RSS at most 2 x nginx" }],
    rounds: 1,
  },
];

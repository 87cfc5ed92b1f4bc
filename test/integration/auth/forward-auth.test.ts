// A service that is asked before a request is forwarded, through a real gateway on both engines: what it is shown, what comes of its answers, and that
// nothing passes when it hangs, resets, answers slowly or answers garbage.
import { hash } from "node:crypto";
import fs from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient, type RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream, type RequestHandler, type UpstreamConnection, type UpstreamRequest } from "../../support/raw-upstream.ts";
import { until, untilAsync } from "../../support/until.ts";

const KEY = "ann-key-0123456789";
const PASS = "HTTP/1.1 204 No Content\r\n";

let gateway: Gateway;
let service: RawUpstream;
let origin: RawUpstream;
beforeAll(async () => {
  service = await RawUpstream.start();
  origin = await RawUpstream.start();
  gateway = await Gateway.start({ config: configuration() });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await service[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});
afterEach(() => {
  expect(service.faults).toEqual([]);
  expect(origin.faults).toEqual([]);
});

/** So many failures that no test opens a breaker by the way. */
const MANY = "breaker: { failures: 1000 }";

/** @param url another one for the route `moved` */
function configuration(url = `http://127.0.0.1:${service.port}/moved`): string {
  const at = (path: string, timeout = "4s") => `url: "http://127.0.0.1:${service.port}${path}", timeout: ${timeout}, ${MANY}`;
  return `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] }
  sso: { targets: [ { url: "http://127.0.0.1:${service.port}" } ], retry: { attempts: 0 }, timeouts: { attempt: 5s } }
  gone: { targets: [ { url: "http://127.0.0.1:1" } ] }
auth:
  keys: { apiKey: { name: x-api-key } }
  sso: { forwardAuth: { to: sso, path: /who, in: cookie, name: session, identity: { consumer: x-user, roles: x-roles, scopes: x-scopes }, claims: [x-tenant] } }
consumers: [ { id: ann, keys: ["sha256:${hash("sha256", KEY)}"] } ]
identity: { claims: { x-told-tenant: x-tenant } }
defaults: { auth: none }
routes:
  - { name: public, match: { path: "/public/**" }, to: u }
  - { name: plain, match: { path: "/plain/**" }, forwardAuth: { ${at("/plain?v=1")}, requestHeaders: [authorization, cookie, x-shown], responseHeaders: [x-user, x-group, authorization] }, to: u }
  - { name: bare, match: { path: "/bare/**" }, forwardAuth: { ${at("/bare")} }, to: u }
  - { name: strict, match: { path: "/strict/**" }, forwardAuth: { ${at("/strict", "300ms")}, expect: { status: 204, headers: { x-decision: allow } }, onDenied: problem }, to: u }
  - { name: broken, match: { path: "/broken/**" }, forwardAuth: { ${at("/broken", "300ms")}, responseHeaders: [x-user] }, to: u }
  - { name: open, match: { path: "/open/**" }, forwardAuth: { ${at("/open", "300ms")}, responseHeaders: [x-user], onFailure: allow }, to: u }
  - { name: nobody, match: { path: "/nobody/**" }, forwardAuth: { to: gone, timeout: 300ms }, to: u }
  - { name: body, match: { path: "/body/**" }, forwardAuth: { ${at("/body")}, body: { maxBytes: 1KiB } }, to: u }
  - { name: omit, match: { path: "/omit/**" }, forwardAuth: { ${at("/omit")}, body: { maxBytes: 1KiB, over: omit } }, to: u }
  - { name: cookies, match: { path: "/cookies/**" }, forwardAuth: { ${at("/cookies")}, addCookies: [s, t] }, to: u }
  - { name: kept, match: { path: "/kept/**" }, forwardAuth: { ${at("/kept")}, responseHeaders: [x-user], cache: { for: 1m, deniedFor: 1m } }, to: u }
  - { name: large, match: { path: "/large/**" }, forwardAuth: { ${at("/large")}, answerBytes: 1KiB }, to: u }
  - { name: caller, match: { path: "/caller/**" }, auth: keys, forwardAuth: { ${at("/caller")}, responseHeaders: [x-consumer-tier] }, to: u }
  - { name: tree, match: { path: "/tree/**" }, auth: { any: [keys, sso] }, authorize: { roles: { any: [admin] } }, to: u }
  - { name: fuse, match: { path: "/fuse/**" }, forwardAuth: { url: "http://127.0.0.1:${service.port}/fuse", timeout: 4s, breaker: { failures: 2, openFor: 1m } }, to: u }
  - { name: moved, match: { path: "/moved/**" }, forwardAuth: { url: "${url}", ${MANY} }, to: u }
`;
}

interface Sent {
  readonly headers?: readonly string[];
  readonly method?: string;
  readonly body?: string;
}

function report(): void {
  onTestFailed(() => console.error(fs.readFileSync(gateway.configFile, "utf8"), gateway.output.split("\n").slice(-30).join("\n")));
}

const connect = (engine: Engine): Promise<RawClient> =>
  RawClient.connect(Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port));

const requestText = (target: string, { headers = [], method = "GET", body }: Sent): string => {
  const length = body === undefined ? [] : [`Content-Length: ${body.length}`];
  return `${method} ${target} HTTP/1.1\r\nHost: api.example.com\r\n${[...headers, ...length].map((line) => `${line}\r\n`).join("")}\r\n${body ?? ""}`;
};

async function ask(engine: Engine, target: string, sent: Sent = {}): Promise<RawResponse> {
  report();
  await using client = await connect(engine);
  client.send(requestText(target, sent));
  return await client.response(sent.method === "HEAD");
}

const codeOf = (response: RawResponse): string => String(JSON.parse(response.body.toString()).code);
const one = (message: RawResponse | UpstreamRequest, name: string): string => valuesOf(message, name).join(" | ");
/** What the origin got for a path. */
const passed = (target: string): UpstreamRequest[] => origin.requests.filter((request) => request.target === target);
/** The service's part. */
const answers = (path: string, bytes: string, thenEnd = false): void => service.answer(path, bytes, thenEnd);

let runs = 0;
/** A path of its own below a route's. */
const below = (route: string): string => `/${route}/${++runs}`;

/** What a counter of decisions stands at. */
async function decisions(name: string, outcome: string): Promise<number> {
  const metrics = String((await gateway.admin("GET", "/metrics")).body);
  return Number(
    new RegExp(`^sluice_forward_auth_decisions_total\\{name="${name}",outcome="${outcome}"\\} (\\d+)$`, "m").exec(metrics)?.[1] ?? 0,
  );
}

describe.each(ENGINES)("%s", (engine) => {
  describe("a subrequest", () => {
    it("has what the gateway says of the request, the headers that are to be shown, and the service's own Host", async () => {
      answers("/plain", `${PASS}X-User: ann\r\n\r\n`);
      const target = `${below("plain")}?a=b&c`;
      const claims = [
        "X-Forwarded-Method: GET",
        "X-Forwarded-Uri: /public",
        "X-Forwarded-Host: evil.example.com",
        "X-Original-URL: /public",
      ];
      const shown = ["Authorization: Bearer abc", "Cookie: a=1", "Cookie: b=2", "X-Shown: yes", "X-Secret: no", "Accept: text/html"];
      expect((await ask(engine, target, { method: "DELETE", headers: [...claims, ...shown] })).status).toBe(200);
      const subrequest = service.to("/plain").at(-1) as UpstreamRequest;
      expect([subrequest.method, subrequest.target, subrequest.body.length]).toEqual(["GET", "/plain?v=1", 0]);
      expect(one(subrequest, "host")).toBe(`127.0.0.1:${service.port}`);
      const said = ["method", "uri", "host", "proto", "for"].map((each) => one(subrequest, `x-forwarded-${each}`));
      expect(said).toEqual(["DELETE", target, "api.example.com", "http", "127.0.0.1"]);
      expect(["authorization", "cookie", "x-shown"].map((each) => valuesOf(subrequest, each))).toEqual([
        ["Bearer abc"],
        ["a=1", "b=2"],
        ["yes"],
      ]);
      for (const name of ["x-secret", "accept", "x-original-url", "content-length", "transfer-encoding"])
        expect(valuesOf(subrequest, name)).toEqual([]);
      expect(one(subrequest, "x-request-id")).toBe(one(passed(target)[0] as UpstreamRequest, "x-request-id"));
    });

    it("tells who is calling when `auth` has proven it", async () => {
      answers("/caller", `${PASS}X-Consumer-Tier: gold\r\n\r\n`);
      const target = below("caller");
      expect((await ask(engine, target, { headers: [`X-Api-Key: ${KEY}`] })).status).toBe(200);
      expect(one(service.to("/caller").at(-1) as UpstreamRequest, "x-consumer-id")).toBe("ann");
      expect(one(passed(target)[0] as UpstreamRequest, "x-consumer-tier")).toBe("gold");
      const before = service.to("/caller").length;
      expect((await ask(engine, below("caller"))).status).toBe(401);
      expect(service.to("/caller").length).toBe(before);
    });
  });

  describe("an answer that lets pass", () => {
    it("gives the upstream the headers that are named, and none of them comes from the client", async () => {
      answers("/plain", `${PASS}X-User: ann\r\nX-Group: a\r\nX-Group: b\r\nX-Other: no\r\n\r\n`);
      const target = below("plain");
      const forged = ["X-User: root", "X-Group: wheel", "Authorization: Bearer mine"];
      expect((await ask(engine, target, { headers: forged })).status).toBe(200);
      const got = passed(target)[0] as UpstreamRequest;
      expect([valuesOf(got, "x-user"), valuesOf(got, "x-group"), valuesOf(got, "authorization"), valuesOf(got, "x-other")]).toEqual([
        ["ann"],
        ["a", "b"],
        [],
        [],
      ]);
    });

    it("without a header that is named leaves none of the client's in its place, in no spelling", async () => {
      answers("/plain", `${PASS}\r\n`);
      const target = below("plain");
      expect((await ask(engine, target, { headers: ["X-User: root", "x_user: root", "X-uSER: root", "x.group: wheel"] })).status).toBe(200);
      const got = passed(target)[0] as UpstreamRequest;
      expect(got.fields.filter(([, value]) => value === "root" || value === "wheel")).toEqual([]);
    });

    it("may give the upstream a credential in the place of the client's", async () => {
      answers("/plain", `${PASS}Authorization: Bearer internal\r\n\r\n`);
      const target = below("plain");
      await ask(engine, target, { headers: ["Authorization: Bearer mine"] });
      expect(valuesOf(passed(target)[0] as UpstreamRequest, "authorization")).toEqual(["Bearer internal"]);
    });

    it("lets pass whatever its body is, also one that is too long", async () => {
      answers("/large", `HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n${"x".repeat(5000)}`);
      expect((await ask(engine, below("large"))).status).toBe(200);
    });

    it("lets a WebSocket pass, or not", async () => {
      origin.on("/bare/ws", (connection) =>
        connection.write(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        ),
      );
      const headers = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
      ];
      report();
      for (const [answer, status] of [
        [`${PASS}\r\n`, 101],
        ["HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403],
      ] as const) {
        answers("/bare", answer);
        await using client = await connect(engine);
        client.send(requestText("/bare/ws", { headers }));
        expect((await client.head()).status).toBe(status);
      }
    });
  });

  describe("a refusal", () => {
    it("is the service's answer, with the gateway's own framing, and the upstream never hears of the request", async () => {
      const body = "<h1>no</h1>";
      answers(
        "/bare",
        `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="s"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\nX-Request-Id: theirs\r\n\r\nb\r\n${body}\r\n0\r\n\r\n`,
      );
      const target = below("bare");
      const response = await ask(engine, target);
      expect([response.status, response.body.toString(), one(response, "content-type")]).toEqual([401, body, "text/html"]);
      expect(valuesOf(response, "set-cookie")).toEqual(["a=1", "b=2"]);
      expect(one(response, "www-authenticate")).toBe('Bearer realm="s"');
      expect([one(response, "content-length"), one(response, "cache-control")]).toEqual([String(body.length), "no-store"]);
      expect(valuesOf(response, "x-request-id")).toHaveLength(1);
      expect(passed(target)).toEqual([]);
    });

    it("may be a redirect to a login page", async () => {
      answers("/bare", "HTTP/1.1 302 Found\r\nLocation: https://login.example.com/?rd=x\r\nContent-Length: 0\r\n\r\n");
      const response = await ask(engine, below("bare"));
      expect([response.status, one(response, "location")]).toEqual([302, "https://login.example.com/?rd=x"]);
    });

    it("of a HEAD request has no body", async () => {
      answers("/bare", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      expect((await ask(engine, below("bare"), { method: "HEAD" })).status).toBe(403);
    });

    it("loses a page that is too long, and not its status", async () => {
      answers(
        "/large",
        `HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nX-Why: quota\r\nTransfer-Encoding: chunked\r\n\r\n${`400\r\n${"x".repeat(1024)}\r\n`.repeat(20)}0\r\n\r\n`,
      );
      const response = await ask(engine, below("large"));
      expect([response.status, response.body.length, one(response, "x-why"), one(response, "content-type")]).toEqual([403, 0, "quota", ""]);
    });

    it("is a problem where that is wanted; and a success without what is expected is one, too", async () => {
      const check = async (bytes: string, status: number, code: string) => {
        answers("/strict", bytes);
        const target = below("strict");
        const response = await ask(engine, target);
        expect([response.status, codeOf(response), passed(target).length]).toEqual([status, code, 0]);
        return response;
      };
      const challenge = 'WWW-Authenticate: Bearer realm="s"\r\nContent-Length: 0\r\n\r\n';
      expect(one(await check(`HTTP/1.1 401 Unauthorized\r\n${challenge}`, 401, "credentials_invalid"), "www-authenticate")).toBe(
        'Bearer realm="s"',
      );
      await check("HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", 403, "access_denied");
      await check("HTTP/1.1 200 OK\r\nX-Decision: allow\r\nContent-Length: 7\r\n\r\nwelcome", 403, "access_denied");
      await check(`${PASS}X-Decision: deny\r\n\r\n`, 403, "access_denied");
      await check(`${PASS}\r\n`, 403, "access_denied");
      answers("/strict", `${PASS}X-Decision: allow\r\n\r\n`);
      expect((await ask(engine, below("strict"))).status).toBe(200);
    });
  });

  /** What a service may do that decides nothing. */
  const FAULTS: readonly (readonly [string, RequestHandler, 503 | 504])[] = [
    ["hangs", () => {}, 504],
    ["hangs in the middle of its head", (connection) => connection.write("HTTP/1.1 204 No Content\r\nX-User: ro"), 504],
    ["hangs behind a head that would let pass", (connection) => connection.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), 504],
    ["sends a byte now and then", (connection) => drip(connection), 504],
    ["resets the connection", (connection) => connection.reset(), 503],
    ["closes the connection without a word", (connection) => connection.end(), 503],
    ["breaks off in the middle of its head", (connection) => connection.end("HTTP/1.1 204 No Co"), 503],
    ["breaks off behind a head that would let pass", (connection) => connection.end("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), 503],
    [
      "breaks off a chunked body behind such a head",
      (connection) => connection.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
      503,
    ],
    ["answers something else than HTTP", (connection) => connection.end("SSH-2.0-OpenSSH_9.9\r\n"), 503],
    ["answers with bytes", (connection) => connection.end(Buffer.from([0, 1, 2, 255, 254, 13, 10, 13, 10])), 503],
    ["answers with two lengths", (connection) => connection.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n"), 503],
    ["answers with a status that is none", (connection) => connection.end("HTTP/1.1 999 Sure\r\nContent-Length: 0\r\n\r\n"), 503],
    [
      "answers with a header that is none",
      (connection) => connection.end("HTTP/1.1 200 OK\r\nX User: root\r\nContent-Length: 0\r\n\r\n"),
      503,
    ],
    [
      "switches protocols",
      (connection) => connection.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
      503,
    ],
    ["never gets beyond 100 (Continue)", (connection) => connection.write("HTTP/1.1 100 Continue\r\n\r\n"), 504],
    ["answers 500", (connection) => connection.write("HTTP/1.1 500 Oops\r\nX-User: root\r\nContent-Length: 0\r\n\r\n"), 503],
    ["answers 503", (connection) => connection.write("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"), 503],
    ["answers 304 to a subrequest without conditions", (connection) => connection.write("HTTP/1.1 304 Not Modified\r\n\r\n"), 503],
  ];

  function drip(connection: UpstreamConnection): void {
    const bytes = "HTTP/1.1 204 No Content\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n";
    let sent = 0;
    const timer = setInterval(() => {
      if (connection.closed || sent === bytes.length) return clearInterval(timer);
      connection.write(bytes[sent++] as string);
    }, 20);
  }

  describe("a service that decides nothing", () => {
    it.each(FAULTS)("and %s: nothing passes", async (_, handler, status) => {
      service.on("/broken", handler);
      const before = await decisions("forwardAuth:broken", "error");
      const target = below("broken");
      const response = await ask(engine, target, { headers: ["X-User: root"] });
      expect([response.status, codeOf(response)]).toEqual([status, status === 504 ? "forward_auth_timeout" : "forward_auth_unavailable"]);
      expect(response.body.toString()).not.toMatch(/127\.0\.0\.1|broken|busy/);
      expect(passed(target)).toEqual([]);
      expect(await decisions("forwardAuth:broken", "error")).toBe(before + 1);
    });

    it.each(FAULTS)("and %s: all passes where the operator wants that, marked and counted", async (_, handler) => {
      service.on("/open", handler);
      const before = await decisions("forwardAuth:open", "failed_open");
      const target = below("open");
      const response = await ask(engine, target, { headers: ["X-User: root", "X-Forward-Auth: fine"] });
      expect(response.status).toBe(200);
      const [got] = passed(target) as [UpstreamRequest];
      expect([valuesOf(got, "x-forward-auth"), valuesOf(got, "x-user")]).toEqual([["failed-open"], []]);
      expect(await decisions("forwardAuth:open", "failed_open")).toBe(before + 1);
    });

    it("nobody there: nothing passes", async () => {
      const target = below("nobody");
      const response = await ask(engine, target);
      expect([response.status, codeOf(response), passed(target).length]).toEqual([503, "forward_auth_unavailable", 0]);
    });

    it("a refusal is one also where failures let pass", async () => {
      answers("/open", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
      const target = below("open");
      expect([(await ask(engine, target)).status, passed(target).length]).toEqual([403, 0]);
    });

    it("the mark is no client's to send, wherever it sends it", async () => {
      answers("/open", `${PASS}\r\n`);
      for (const target of [below("public"), below("open"), below("bare")]) {
        answers("/bare", `${PASS}\r\n`);
        expect((await ask(engine, target, { headers: ["X-Forward-Auth: failed-open"] })).status).toBe(200);
        expect(valuesOf(passed(target)[0] as UpstreamRequest, "x-forward-auth")).toEqual([]);
      }
    });
  });

  describe("the body", () => {
    const BINARY = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("");
    const CHUNKED = (bytes: string) => `${bytes.length.toString(16)}\r\n${bytes}\r\n0\r\n\r\n`;

    async function askChunked(target: string, bytes: string): Promise<RawResponse> {
      report();
      await using client = await connect(engine);
      client.send(`POST ${target} HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED(bytes)}`);
      return await client.response();
    }

    it("reaches the service and the upstream byte for byte", async () => {
      answers("/body", `${PASS}\r\n`);
      const target = below("body");
      const headers = ["Content-Type: application/octet-stream"];
      expect((await ask(engine, target, { method: "PUT", headers, body: BINARY })).status).toBe(200);
      const subrequest = service.to("/body").at(-1) as UpstreamRequest;
      expect([subrequest.method, one(subrequest, "x-forwarded-method"), one(subrequest, "content-type")]).toEqual([
        "POST",
        "PUT",
        "application/octet-stream",
      ]);
      expect(subrequest.body.toString("latin1")).toBe(BINARY);
      expect((passed(target)[0] as UpstreamRequest).body.toString("latin1")).toBe(BINARY);
      const chunked = below("body");
      expect((await askChunked(chunked, BINARY)).status).toBe(200);
      expect((service.to("/body").at(-1) as UpstreamRequest).body.toString("latin1")).toBe(BINARY);
      expect((passed(chunked)[0] as UpstreamRequest).body.toString("latin1")).toBe(BINARY);
    });

    it("that is too long is 413, and nobody is asked", async () => {
      const before = service.to("/body").length;
      const target = below("body");
      expect(codeOf(await ask(engine, target, { method: "POST", body: "x".repeat(1025) }))).toBe("body_too_large");
      expect(codeOf(await askChunked(target, "x".repeat(1025)))).toBe("body_too_large");
      expect([service.to("/body").length - before, passed(target).length]).toEqual([0, 0]);
    });

    it("that is too long is left out of the subrequest, with a mark, where that is wanted", async () => {
      answers("/omit", `${PASS}\r\n`);
      for (const [send, length] of [
        [(target: string) => ask(engine, target, { method: "POST", body: "x".repeat(2000) }), 2000],
        [(target: string) => askChunked(target, "y".repeat(3000)), 3000],
      ] as const) {
        const target = below("omit");
        expect((await send(target)).status).toBe(200);
        const subrequest = service.to("/omit").at(-1) as UpstreamRequest;
        expect([subrequest.body.length, one(subrequest, "x-forwarded-body")]).toEqual([0, "omitted"]);
        expect((passed(target)[0] as UpstreamRequest).body.length).toBe(length);
      }
      await ask(engine, below("omit"), { method: "POST", body: "short", headers: ["X-Forwarded-Body: omitted"] });
      const subrequest = service.to("/omit").at(-1) as UpstreamRequest;
      expect([subrequest.body.toString(), valuesOf(subrequest, "x-forwarded-body")]).toEqual(["short", []]);
    });

    it("is not waited for where the service is not shown it", async () => {
      report();
      answers("/bare", `${PASS}\r\n`);
      const target = below("bare");
      const early = new Promise<void>((resolve) => origin.onHead(target, () => resolve()));
      origin.on(target, (connection) => connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
      await using client = await connect(engine);
      client.send(`POST ${target} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 200000\r\n\r\n${"x".repeat(100_000)}`);
      await early;
      client.send("x".repeat(100_000));
      expect((await client.response()).status).toBe(200);
    });
  });

  describe("cookies of an answer that lets pass", () => {
    it("reach the client beside the upstream's, line by line, and no shared cache keeps the response", async () => {
      answers("/cookies", `${PASS}Set-Cookie: s=1; Path=/\r\nSet-Cookie: t=2\r\nSet-Cookie: other=3\r\n\r\n`);
      const target = below("cookies");
      origin.answer(
        target,
        "HTTP/1.1 200 OK\r\nSet-Cookie: own=4\r\nCache-Control: public, max-age=60, s-maxage=600\r\nContent-Length: 2\r\n\r\nok",
      );
      const response = await ask(engine, target);
      expect([valuesOf(response, "set-cookie"), one(response, "cache-control")]).toEqual([
        ["own=4", "s=1; Path=/", "t=2"],
        "private, max-age=60",
      ]);
    });
    it("reach it on errors, too", async () => {
      answers("/cookies", `${PASS}Set-Cookie: s=9\r\n\r\n`);
      const target = below("cookies");
      origin.on(target, (connection) => connection.end("garbage\r\n\r\n"));
      const response = await ask(engine, target);
      expect([response.status, valuesOf(response, "set-cookie")]).toEqual([502, ["s=9"]]);
    });
    it("reach nobody where that is not wanted", async () => {
      answers("/bare", `${PASS}Set-Cookie: s=1\r\n\r\n`);
      expect(valuesOf(await ask(engine, below("bare")), "set-cookie")).toEqual([]);
    });
  });

  describe("decisions that are kept", () => {
    const asked = () => service.to("/kept").length;
    it("belong to one caller, and come with the headers that belong to them", async () => {
      service.on("/kept", (connection, request) => connection.write(`${PASS}X-User: ${one(request, "authorization").slice(7)}\r\n\r\n`));
      const target = below("kept");
      const before = asked();
      for (const who of ["ann", "ben", "ann", "ben", "ann"])
        expect((await ask(engine, target, { headers: [`Authorization: Bearer ${who}`, "X-User: root"] })).status).toBe(200);
      expect(passed(target).map((request) => valuesOf(request, "x-user"))).toEqual([["ann"], ["ben"], ["ann"], ["ben"], ["ann"]]);
      expect(asked() - before).toBe(2);
      await ask(engine, `${target}?q`, { headers: ["Authorization: Bearer ann"] });
      expect(asked() - before).toBe(3);
    });
    it("are refusals, too, and never failures", async () => {
      const target = below("kept");
      const before = asked();
      answers("/kept", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
      for (let i = 0; i < 2; i++) expect((await ask(engine, target)).status).toBe(503);
      expect(asked() - before).toBe(2);
      answers("/kept", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      for (let i = 0; i < 3; i++) {
        const response = await ask(engine, target);
        expect([response.status, response.body.toString()]).toEqual([403, "no"]);
      }
      expect(asked() - before).toBe(3);
      expect(passed(target)).toEqual([]);
    });
    it("are none that came with cookies", async () => {
      const target = below("kept");
      const before = asked();
      answers("/kept", `${PASS}Set-Cookie: s=1\r\n\r\n`);
      for (let i = 0; i < 2; i++) expect((await ask(engine, target)).status).toBe(200);
      expect(asked() - before).toBe(2);
    });
  });

  it("a client that goes ends the subrequest, and nothing is held against the service", async () => {
    report();
    const target = below("broken");
    let seen: UpstreamConnection | null = null;
    service.on("/broken", (connection) => {
      seen = connection;
    });
    const before = await decisions("forwardAuth:broken", "error");
    const client = await connect(engine);
    client.send(requestText(target, {}));
    await until("the service is asked", () => seen !== null);
    client.cut();
    await until("the subrequest is given up", () => (seen as UpstreamConnection | null)?.closed === true);
    await until("it is in the access log", () =>
      gateway.lines().some((line) => line["path"] === target && line["code"] === "client_aborted"),
    );
    expect(await decisions("forwardAuth:broken", "error")).toBe(before);
    expect(passed(target)).toEqual([]);
  });

  describe("in a tree of authenticators", () => {
    const session = (value: string): Sent => ({ headers: [`Cookie: theme=dark; session=${value}; lang=en`] });
    it("says who is calling, by the headers of its answer", async () => {
      answers("/who", `${PASS}X-User: eve\r\nX-Roles: admin, user\r\nX-Scopes: a b\r\nX-Tenant: t7\r\n\r\n`);
      const target = below("tree");
      expect((await ask(engine, target, session("abc"))).status).toBe(200);
      const subrequest = service.to("/who").at(-1) as UpstreamRequest;
      expect(Number(one(subrequest, "x-request-deadline-ms"))).toBeGreaterThan(0);
      expect([valuesOf(subrequest, "cookie"), one(subrequest, "x-forwarded-uri")]).toEqual([["session=abc"], target]);
      const got = passed(target)[0] as UpstreamRequest;
      const told = ["x-consumer-id", "x-consumer-roles", "x-consumer-scopes", "x-told-tenant", "cookie"];
      expect(told.map((name) => one(got, name))).toEqual(["eve", "admin,user", "a b", "t7", "theme=dark; lang=en"]);
    });
    it("is not asked without its credential, nor where another one has proven the caller", async () => {
      const before = service.to("/who").length;
      const response = await ask(engine, below("tree"));
      expect([response.status, codeOf(response)]).toEqual([401, "credentials_missing"]);
      expect((await ask(engine, below("tree"), { headers: [`X-Api-Key: ${KEY}`, "Cookie: session=abc"] })).status).toBe(403);
      expect(service.to("/who").length).toBe(before);
    });
    it.each([
      ["refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 401, "credentials_invalid"],
      ["sent to a login page", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 401, "credentials_invalid"],
      ["let pass without a name", `${PASS}X-Roles: admin\r\n\r\n`, 401, "credentials_invalid"],
      ["let pass with two names", `${PASS}X-User: a\r\nX-User: b\r\nX-Roles: admin\r\n\r\n`, 401, "credentials_invalid"],
      ["let pass without the role", `${PASS}X-User: eve\r\n\r\n`, 403, "access_denied"],
      ["not decided about", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", 503, "forward_auth_unavailable"],
    ])("lets nobody pass who is %s", async (_, bytes, status, code) => {
      answers("/who", bytes);
      const target = below("tree");
      const response = await ask(engine, target, session("abc"));
      expect([response.status, codeOf(response), passed(target).length]).toEqual([status, code, 0]);
    });
  });
});

it("an upstream of its own has targets, a breaker and metrics as any other, and its breaker spares the service", async () => {
  report();
  answers("/fuse", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
  for (let i = 0; i < 5; i++) expect((await ask("uws", below("fuse"))).status).toBe(503);
  expect(service.to("/fuse").length).toBe(2);
  const response = await ask("uws", below("fuse"));
  expect([codeOf(response), Number(one(response, "retry-after")) > 1]).toEqual(["forward_auth_unavailable", true]);
  const upstreams = (await gateway.admin("GET", "/upstreams")).body as {
    readonly name: string;
    readonly breaker: object;
    readonly targets: object[];
  }[];
  expect(upstreams.find(({ name }) => name === "forwardAuth:fuse")).toMatchObject({
    breaker: { state: "open" },
    targets: [{ key: `http://127.0.0.1:${service.port}`, attempts: 2, serverErrors: 2 }],
  });
  const metrics = String((await gateway.admin("GET", "/metrics")).body);
  expect(metrics).toContain('sluice_breaker_state{upstream="forwardAuth:fuse"} 1');
  expect(metrics).toMatch(/^sluice_forward_auth_decisions_total\{name="forwardAuth:plain",outcome="allowed"\} [1-9]/m);
  expect(metrics).toMatch(/^sluice_forward_auth_decisions_total\{name="auth:sso",outcome="denied"\} [1-9]/m);
  expect(await gateway.admin("POST", "/breakers/forwardAuth:fuse/close")).toMatchObject({ status: 200 });
  answers("/fuse", `${PASS}\r\n`);
  expect((await ask("uws", below("fuse"))).status).toBe(200);
});

it("a reload asks another service from then on, and what others decided stays", async () => {
  report();
  await using other = await RawUpstream.start();
  other.answer("/there", "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n");
  answers("/moved", `${PASS}\r\n`);
  expect((await ask("uws", below("moved"))).status).toBe(200);
  answers("/kept", `${PASS}X-User: ann\r\n\r\n`);
  const kept = below("kept");
  expect((await ask("uws", kept)).status).toBe(200);
  const askedBefore = service.to("/kept").length;
  fs.writeFileSync(gateway.configFile, configuration(`http://127.0.0.1:${other.port}/there`));
  process.kill(gateway.pid, "SIGHUP");
  await untilAsync("the other service is asked", async () => expect((await ask("uws", below("moved"))).status).toBe(418));
  expect(gateway.output).toContain("upstream changed: forwardAuth:moved");
  expect((await ask("uws", kept)).status).toBe(200);
  expect(service.to("/kept").length).toBe(askedBefore);
});

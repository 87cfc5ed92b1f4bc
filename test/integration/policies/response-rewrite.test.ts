// What reaches clients of a service behind a prefix or TLS: its addresses and cookies mapped back, on both engines, over retries, mirrors and WebSockets; what
// the gateway says itself left alone; and which prefix the service hears of.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { type RawHead, valuesOf } from "../../support/raw-message.ts";
import { OK, RawUpstream } from "../../support/raw-upstream.ts";
import { accept, handshake } from "../../support/raw-web-socket.ts";

let rig: BothEngines;
/** Gets copies, and answers `auth` requests. */
let other: RawUpstream;

beforeAll(async () => {
  other = await RawUpstream.start();
  rig = await BothEngines.start(
    (port) => `trustedProxies: [127.0.0.2]
upstreams:
  u: { targets: [{ url: "http://127.0.0.1:${port}" }], retry: { attempts: 1, on: [503], budget: 100% } }
  named: { targets: [{ url: "http://127.0.0.1:${port}" }], host: cms.example }
  stuck: { targets: [{ url: "http://127.0.0.1:${port}" }], sticky: { cookie: node, secret: "0123456789abcdef0123456789abcdef", secure: true } }
  copy: { targets: [{ url: "http://127.0.0.1:${other.port}" }] }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: shop, match: { path: "/shop/**" }, rewrite: { stripPrefix: /shop, response: auto }, to: u }
  - { name: bare, match: { path: "/bare/**" }, rewrite: { stripPrefix: /bare }, to: u }
  - { name: silent, match: { path: "/silent/**" }, rewrite: { stripPrefix: /silent, forwardPrefix: false, response: auto }, to: u }
  - { name: named, match: { path: "/named/**" }, rewrite: { stripPrefix: /named, response: auto }, to: named }
  - { name: listed, match: { path: "/listed/**" }, rewrite: { stripPrefix: /listed, response: { location: [{ from: "http://login.internal", to: "https://login.example.com" }] } }, to: u }
  - name: flags
    match: { path: "/flags/**" }
    rewrite: { response: { cookies: [{ secure: auto, httpOnly: true, sameSite: { ifAbsent: lax } }, { names: [XSRF-TOKEN], secure: auto }] } }
    to: u
  - { name: stuck, match: { path: "/stuck/**" }, rewrite: { stripPrefix: /stuck, response: { cookies: { path: auto, httpOnly: true, sameSite: strict } } }, to: stuck }
  - { name: mirrored, match: { path: "/mirrored/**" }, rewrite: { stripPrefix: /mirrored, response: auto }, to: named, mirror: { upstream: copy } }
  - name: asked
    match: { path: "/asked/**" }
    forwardAuth: { to: copy, path: /verify, addCookies: true }
    rewrite: { stripPrefix: /asked, response: auto }
    to: u
  - name: added
    match: { path: "/added/**" }
    rewrite: { stripPrefix: /added, response: auto }
    headers: { response: { set: { refresh: "5; url=/own", content-location: /own } } }
    to: u
  - { name: fixed, match: { path: "/fixed/**" }, rewrite: { stripPrefix: /fixed, response: auto }, headers: { response: { set: { location: /x, set-cookie: "a=1; Path=/" } } }, respond: { status: 302 } }
  - { name: parts, match: { path: "/parts/**" }, rewrite: { stripPrefix: /parts, response: auto }, aggregate: { legs: { a: { to: copy, path: /leg } } } }
`,
  );
  other.answer("/verify", "HTTP/1.1 204 No Content\r\nSet-Cookie: auth=1; Path=/\r\n\r\n");
  other.answer("/leg", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

let runs = 0;

describe.each(ENGINES)("%s", (engine) => {
  /** @param fields of the service's answer; `PORT` is its own @returns what the client gets, and what the service got */
  async function ask(route: string, fields: string, { request = "", status = 302 } = {}) {
    rig.report();
    const path = `/rr-${++runs}`;
    const upstreamPath = route === "/flags" ? `${route}${path}` : path;
    rig.upstream.answer(
      upstreamPath,
      `HTTP/1.1 ${status} X\r\n${fields.replaceAll("PORT", String(rig.upstream.port))}Content-Length: 0\r\n\r\n`,
    );
    await using client = await rig.connect(engine);
    client.send(`GET ${route}${path} HTTP/1.1\r\nHost: shop.example.com\r\n${request}\r\n`);
    const response = await client.response();
    const sent = rig.upstream.to(upstreamPath).at(-1);
    return {
      response,
      get: (name: string) => valuesOf(response, name),
      sent: (name: string) => (sent === undefined ? null : valuesOf(sent, name)),
    };
  }

  it("addresses and cookies of a service behind a prefix are the client's", async () => {
    const { response, get, sent } = await ask(
      "/shop",
      "Location: http://127.0.0.1:PORT/login?next=/\r\nContent-Location: /en/login\r\nRefresh: 3; url=/login\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; path=/cart; domain=127.0.0.1\r\nSet-Cookie: __Host-c=3; Secure; Path=/\r\n",
    );
    expect([response.status, get("location"), get("content-location"), get("refresh")]).toEqual([
      302,
      ["/shop/login?next=/"],
      ["/shop/en/login"],
      ["3; url=/shop/login"],
    ]);
    expect(get("set-cookie")).toEqual(["a=1; Path=/shop", "b=2; Path=/shop/cart", "__Host-c=3; Secure; Path=/"]);
    expect(sent("x-forwarded-prefix")).toEqual(["/shop"]);
  });
  it("other hosts and broken lines stay as they are", async () => {
    for (const location of ["https://other.example/login", "//other.example", "/%0d%0aSet-Cookie:%20x=1", "http://127.0.0.1:1/x", "?\\"]) {
      const { get } = await ask("/shop", `Location: ${location}\r\nSet-Cookie: ;;;\r\nSet-Cookie: a\r\n`);
      expect([get("location"), get("set-cookie")]).toEqual([[location.startsWith("/%") ? `/shop${location}` : location], [";;;", "a"]]);
    }
  });
  it("what would break the line of an answer is no answer", async () => {
    const { response, get } = await ask("/shop", "Location: /a\rSet-Cookie: x=1\r\n");
    expect([response.status, get("set-cookie")]).toEqual([502, []]);
  });
  it("without `response` nothing is changed, and the service still hears of the prefix", async () => {
    const { get, sent } = await ask("/bare", "Location: /login\r\nSet-Cookie: a=1; Path=/; Domain=127.0.0.1\r\n");
    expect([get("location"), get("set-cookie"), sent("x-forwarded-prefix")]).toEqual([
      ["/login"],
      ["a=1; Path=/; Domain=127.0.0.1"],
      ["/bare"],
    ]);
  });
  it("a service that puts the prefix there itself is understood, unless it is told nothing of it", async () => {
    expect((await ask("/shop", "Location: /shop/login\r\n")).get("location")).toEqual(["/shop/login"]);
    const { get, sent } = await ask("/silent", "Location: /silent/login\r\n");
    expect([get("location"), sent("x-forwarded-prefix")]).toEqual([["/silent/silent/login"], []]);
  });
  it("a service that gets a Host of its own may name it", async () => {
    const { get } = await ask("/named", "Location: https://cms.example/login\r\nSet-Cookie: a=1; Domain=.cms.example; HttpOnly\r\n");
    expect([get("location"), get("set-cookie")]).toEqual([["/named/login"], ["a=1; HttpOnly"]]);
  });
  it("replacements are made where they fit", async () => {
    expect((await ask("/listed", "Location: http://login.internal/x\r\n")).get("location")).toEqual(["https://login.example.com/x"]);
    expect((await ask("/listed", "Location: http://login.internal.evil.example/x\r\n")).get("location")).toEqual([
      "http://login.internal.evil.example/x",
    ]);
  });

  it("a prefix is not believed of a client", async () => {
    const forged = { request: "X-Forwarded-Prefix: /evil\r\nX_Forwarded_Prefix: /evil\r\n" };
    const { get, sent } = await ask("/shop", "Location: /login\r\nSet-Cookie: a=1; Path=/\r\n", forged);
    expect([sent("x-forwarded-prefix"), sent("x_forwarded_prefix"), get("location"), get("set-cookie")]).toEqual([
      ["/shop"],
      [],
      ["/shop/login"],
      ["a=1; Path=/shop"],
    ]);
  });

  it("cookies get the flags that a route asks for, those it names by themselves", async () => {
    const { get } = await ask("/flags", "Set-Cookie: a=1\r\nSet-Cookie: b=2; samesite=None; Secure\r\nSet-Cookie: XSRF-TOKEN=3\r\n", {
      status: 200,
    });
    expect(get("set-cookie")).toEqual(["a=1; HttpOnly; SameSite=Lax", "b=2; samesite=None; Secure; HttpOnly", "XSRF-TOKEN=3"]);
  });
  it("the gateway's own cookie of affinity is not touched", async () => {
    const { get } = await ask("/stuck", "Set-Cookie: a=1; Path=/\r\nSet-Cookie: node=theirs; Path=/\r\n", { status: 200 });
    expect(get("set-cookie")).toEqual([
      "a=1; Path=/stuck; HttpOnly; SameSite=Strict",
      "node=theirs; Path=/stuck; HttpOnly; SameSite=Strict",
      expect.stringMatching(/^node=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax; Secure$/),
    ]);
  });
  it("a copy to a mirror does not change whose answer it is", async () => {
    const { get } = await ask("/mirrored", "Location: http://cms.example/login\r\n");
    expect(get("location")).toEqual(["/mirrored/login"]);
    expect(valuesOf(await other.received(`/rr-${runs}`), "x-forwarded-prefix")).toEqual(["/mirrored"]);
  });
  it("the answer of a second attempt is mapped, and nothing of the first is there", async () => {
    const path = `/rr-${++runs}`;
    let attempts = 0;
    rig.upstream.on(path, (connection) => {
      const first = ++attempts === 1;
      connection.write(
        first
          ? "HTTP/1.1 503 X\r\nSet-Cookie: first=1; Path=/\r\nContent-Length: 0\r\n\r\n"
          : "HTTP/1.1 302 X\r\nSet-Cookie: second=2; Path=/\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
      );
    });
    await using client = await rig.connect(engine);
    client.send(`GET /shop${path} HTTP/1.1\r\nHost: shop.example.com\r\n\r\n`);
    const response = await client.response();
    expect([attempts, valuesOf(response, "location"), valuesOf(response, "set-cookie")]).toEqual([
      2,
      ["/shop/login"],
      ["second=2; Path=/shop"],
    ]);
  });

  it("what policies add is the operator's, and stays", async () => {
    const asked = await ask("/asked", "Set-Cookie: own=1; Path=/\r\n", { status: 200 });
    expect(asked.get("set-cookie")).toEqual(["own=1; Path=/asked", "auth=1; Path=/"]);
    const added = await ask("/added", "Location: /x\r\nRefresh: 1; url=/y\r\n");
    expect([added.get("location"), added.get("refresh"), added.get("content-location")]).toEqual([["/added/x"], ["5; url=/own"], ["/own"]]);
    const fixed = await ask("/fixed", "");
    expect([fixed.response.status, fixed.get("location"), fixed.get("set-cookie")]).toEqual([302, ["/x"], ["a=1; Path=/"]]);
  });
  it("a leg of an aggregated answer has a path of its own: it hears of no prefix", async () => {
    const before = other.to("/leg").length;
    expect((await ask("/parts", "")).response.status).toBe(200);
    expect(valuesOf((await other.received("/leg", before + 1)) as RawHead, "x-forwarded-prefix")).toEqual([]);
  });

  it("the answer to a WebSocket's handshake is a response like any other, accepted or refused", async () => {
    const [accepted, refused] = [`/rr-${++runs}`, `/rr-${++runs}`];
    rig.upstream.on(accepted, (connection, request) => {
      const key = valuesOf(request, "sec-websocket-key")[0] ?? "";
      connection.write(
        `HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(key)}\r\nSet-Cookie: a=1; Path=/\r\n\r\n`,
      );
    });
    rig.upstream.answer(refused, "HTTP/1.1 302 X\r\nLocation: /login\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 0\r\n\r\n");
    await using one = await rig.connect(engine);
    one.send(handshake(`/shop${accepted}`));
    const opened = await one.head();
    expect([opened.status, valuesOf(opened, "set-cookie")]).toEqual([101, ["a=1; Path=/shop"]]);
    expect(valuesOf(await rig.upstream.received(accepted), "x-forwarded-prefix")).toEqual(["/shop"]);
    await using two = await rig.connect(engine);
    two.send(handshake(`/shop${refused}`));
    const answer = await two.head();
    expect([answer.status, valuesOf(answer, "location"), valuesOf(answer, "set-cookie")]).toEqual([
      302,
      ["/shop/login"],
      ["a=1; Path=/shop"],
    ]);
  });
});

describe("behind a trusted proxy", () => {
  let behind: BothEngines;
  beforeAll(async () => {
    behind = await BothEngines.start(
      (port) => `trustedProxies: [127.0.0.1]
upstreams: { u: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: shop, match: { path: "/shop/**" }, rewrite: { stripPrefix: /shop, response: { location: auto, cookies: { path: auto, secure: auto } } }, to: u }
`,
    );
    behind.upstream.answer(
      "/x",
      "HTTP/1.1 302 X\r\nLocation: http://public.example/login\r\nSet-Cookie: a=1; Path=/\r\nContent-Length: 0\r\n\r\n",
    );
    behind.upstream.answer("/y", OK);
  });
  afterAll(() => behind[Symbol.asyncDispose]());

  it.each(ENGINES)("its prefix, host and scheme are the client's: %s", async (engine) => {
    behind.report();
    await using client = await behind.connect(engine);
    const from = behind.upstream.requests.length;
    client.send(
      "GET /shop/x HTTP/1.1\r\nHost: gateway.internal\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Host: public.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /outer/\r\n\r\n",
    );
    const response = await client.response();
    expect([valuesOf(response, "location"), valuesOf(response, "set-cookie")]).toEqual([
      ["/outer/shop/login"],
      ["a=1; Path=/outer/shop; Secure"],
    ]);
    client.send("GET /shop/y HTTP/1.1\r\nHost: gateway.internal\r\nX-Forwarded-Prefix: //evil.example\r\n\r\n");
    await client.response();
    expect(behind.upstream.requests.slice(from).map((request) => valuesOf(request, "x-forwarded-prefix"))).toEqual([
      ["/outer/shop"],
      ["/shop"],
    ]);
  });
});

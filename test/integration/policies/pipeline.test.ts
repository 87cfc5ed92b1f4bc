// Policies as clients and services see them, through the whole pipeline and on both engines. Their rules alone are proved by unit tests.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { field, type RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";

let rig: BothEngines;
const NOBODY = "http://127.0.0.1:1";

beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `trustedProxies: [ 127.0.0.1, 198.51.100.0/24 ]
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false } }
  gone: { targets: [ { url: "${NOBODY}" } ], health: { passive: false }, retry: { attempts: 0 } }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: allow, match: { path: "/ip/allow/**" }, ip: { allow: [203.0.113.0/24], deny: [203.0.113.66] }, to: u }
  - { name: deny, match: { path: "/ip/deny/**" }, ip: { deny: [203.0.113.66, "2001:db8::/32"] }, to: u }
  - name: cors
    match: { path: "/cors/**", methods: [GET, PUT] }
    cors: { origins: ["https://app.example.com", "https://*.example.org"], credentials: true, maxAge: 10m, headers: [x-token], exposeHeaders: [x-total] }
    to: u
  - { name: cors-any, match: { path: "/cors-any/**" }, cors: { origins: ["*"] }, to: u }
  - { name: cors-gone, match: { path: "/cors-gone/**" }, cors: { origins: ["https://app.example.com"] }, to: gone }
  - { name: cors-guarded, match: { path: "/cors-guarded/**" }, ip: { allow: [203.0.113.0/24] }, cors: { origins: ["https://app.example.com"] }, to: u }
  - { name: moved, match: { path: "/moved/{id}" }, redirect: { to: "https://www.example.com/new/{path.id}", status: 301 } }
  - { name: moved-here, match: { path: "/moved-here/**" }, redirect: { to: "/now/{path.**}", status: 307, keepQuery: false } }
  - { name: to-https, match: { path: "/secure/**" }, redirect: { https: true, httpsPort: 8443 }, to: u }
  - { name: mock, match: { path: "/mock" }, respond: { status: 201, json: { ok: true }, headers: { x-mock: "yes" } } }
  - { name: maintenance, match: { path: "/shop/**" }, respond: { status: 503, retryAfter: 90s, body: "later" } }
  - { name: empty, match: { path: "/empty" }, respond: { status: 204 } }
  - { name: rewrite, match: { path: "/users/{id}/{part}" }, rewrite: { path: "/v2/{path.part}?user={path.id}" }, to: u }
  - { name: strip, match: { path: "/api/**" }, rewrite: { stripPrefix: /api, addPrefix: /inner }, to: u }
  - { name: regex, match: { path: "/r/**" }, rewrite: { regex: "^/r/([^/]+)/(.*)$", to: "/$2/of/$1" }, to: u }
  - name: headers
    match: { path: "/h/{id}" }
    headers:
      request: { remove: [x-internal-*, cookie], set: { x-tenant: "{path.id}", x-who: "{client.ip} {scheme} {method} {route}", x-lang: "{query.lang}", x-fixed: a }, add: { x-many: gateway } }
      response: { remove: [server], set: { x-served-by: "{route}/{request.id}", x-frame-options: DENY }, add: { set-cookie: "gw=1" } }
    to: u
  - { name: headers-gone, match: { path: "/h-gone/{id}" }, headers: { response: { set: { x-tenant: "{path.id}" }, remove: [retry-after] } }, to: gone }
  - { name: headers-mock, match: { path: "/h-mock/{id}" }, headers: { response: { set: { x-tenant: "{path.id}" } } }, respond: { body: x } }
  - { name: all-together, match: { path: "/all/{id}" }, ip: { deny: [203.0.113.66] }, cors: { origins: ["*"] }, rewrite: { path: "/z/{path.id}" }, headers: { request: { set: { x-a: b } }, response: { set: { x-c: d } } }, compress: { minBytes: 1 }, to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;
const fresh = (prefix: string): string => `${prefix}/pol-${++runs}`;

describe.each(ENGINES)("%s", (engine) => {
  async function ask(target: string, fields = "", method = "GET"): Promise<RawResponse> {
    rig.report();
    await using client = await rig.connect(engine);
    client.send(`${method} ${target} HTTP/1.1\r\nHost: shop.example\r\n${fields}\r\n`);
    return await client.response(method === "HEAD"); // the client is closed when this returns
  }
  const code = (response: RawResponse): unknown => JSON.parse(response.body.toString()).code;

  describe("ip", () => {
    it.each([
      ["the only hop", "203.0.113.7", 200, 200],
      ["denied, though allowed too", "203.0.113.66", 403, 403],
      ["not allowed", "192.0.2.1", 403, 200],
      ["through two proxies that are trusted", "203.0.113.7, 198.51.100.9", 200, 200],
      ["what a client says is before what the proxy saw", "203.0.113.7, 192.0.2.1", 403, 200],
      ["denied behind a client's own claim", "203.0.113.7, 203.0.113.66, 198.51.100.9", 403, 403],
      ["IPv6", "2001:db8::5", 403, 403],
      ["IPv4 in IPv6", "::ffff:203.0.113.66", 403, 403],
      ["nonsense behind the proxy", "203.0.113.7, nonsense", 400, 400],
    ])("%s: %s", async (_, forwarded, allow, deny) => {
      for (const [route, status] of [
        ["/ip/allow", allow],
        ["/ip/deny", deny],
      ] as const) {
        const target = fresh(route);
        const response = await ask(target, `X-Forwarded-For: ${forwarded}\r\n`);
        expect([route, response.status]).toEqual([route, status]);
        if (status === 403) expect(code(response)).toBe("ip_denied");
        expect(rig.upstream.to(target)).toHaveLength(status === 200 ? 1 : 0);
      }
    });

    it("goes by the header's lines as one list, and by Forwarded when it is alone", async () => {
      const two = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 198.51.100.9\r\n";
      expect((await ask(fresh("/ip/allow"), two)).status).toBe(200);
      expect((await ask(fresh("/ip/allow"), "Forwarded: for=203.0.113.7\r\n")).status).toBe(200);
      expect((await ask(fresh("/ip/allow"), 'Forwarded: for="[2001:db8::5]:80"\r\n')).status).toBe(403);
      expect((await ask(fresh("/ip/allow"))).status).toBe(403);
    });
  });

  describe("cors", () => {
    const allowed = (response: RawResponse): Record<string, string> =>
      Object.fromEntries(
        response.fields.filter(([name]) => /^(access-control-|vary)/i.test(name)).map(([name, value]) => [name.toLowerCase(), value]),
      );

    it("answers a preflight itself, for the route of the method that is asked about", async () => {
      const target = fresh("/cors");
      const asks = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-token\r\n";
      const response = await ask(target, asks, "OPTIONS");
      expect(response.status).toBe(204);
      expect(allowed(response)).toMatchObject({
        "access-control-allow-origin": "https://app.example.com",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "x-token",
        "access-control-max-age": "600",
      });
      expect(rig.upstream.to(target)).toEqual([]);
    });

    it("gives a preflight of another origin, or for another method, no permission", async () => {
      const target = fresh("/cors");
      const asks = (origin: string, method: string): string => `Origin: ${origin}\r\nAccess-Control-Request-Method: ${method}\r\n`;
      for (const origin of ["https://evil.example", "https://example.org", "https://app.example.com.evil.example", "null"]) {
        const response = await ask(target, asks(origin, "GET"), "OPTIONS");
        expect([response.status, allowed(response)["access-control-allow-origin"]]).toEqual([204, undefined]);
      }
      expect((await ask(target, asks("https://app.example.com", "DELETE"), "OPTIONS")).status).toBe(405);
      expect(rig.upstream.to(target)).toEqual([]);
    });

    it("replaces the service's own headers on the actual request", async () => {
      const target = fresh("/cors");
      const own = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: false\r\nVary: Accept\r\n";
      rig.upstream.answer(target, `HTTP/1.1 200 OK\r\n${own}Content-Length: 2\r\n\r\nok`);
      for (const [origin, granted] of [
        ["https://app.example.com", "https://app.example.com"],
        ["https://a.b.example.org", "https://a.b.example.org"],
        ["https://evil.example", undefined],
      ] as const) {
        const response = await ask(target, `Origin: ${origin}\r\n`);
        expect([response.status, field(response, "access-control-allow-origin")]).toEqual([200, granted]);
        expect(field(response, "access-control-allow-credentials")).toBe(granted === undefined ? undefined : "true");
        expect(field(response, "access-control-expose-headers")).toBe(granted === undefined ? undefined : "x-total");
        expect(valuesOf(response, "vary").join(", ").toLowerCase()).toMatch(/accept.*origin/);
      }
      expect(field(await ask(fresh("/cors-any"), "Origin: https://anyone.example\r\n"), "access-control-allow-origin")).toBe("*");
    });

    it("lets pages read the gateway's own errors too", async () => {
      for (const [target, status] of [
        [fresh("/cors-gone"), 502],
        [fresh("/cors-guarded"), 403],
      ] as const) {
        const response = await ask(target, "Origin: https://app.example.com\r\n");
        expect([response.status, field(response, "access-control-allow-origin")]).toEqual([status, "https://app.example.com"]);
      }
    });

    it("passes on OPTIONS that is no preflight", async () => {
      const target = fresh("/cors-any");
      expect((await ask(target, "", "OPTIONS")).status).toBe(200);
      expect(rig.upstream.to(target)).toHaveLength(1);
    });
  });

  it.each([
    ["/moved/7?a=b", "", 301, "https://www.example.com/new/7?a=b"],
    ["/moved/a%2Bb%20c", "", 301, "https://www.example.com/new/a%2Bb%20c"],
    ["/moved-here/x/y?a=b", "", 307, "/now/x/y"],
    ["/secure/x?a=b", "", 308, "https://shop.example:8443/secure/x?a=b"],
  ])("redirect: %s", async (target, fields, status, location) => {
    const response = await ask(target, fields);
    expect([response.status, field(response, "location")]).toEqual([status, location]);
  });

  it("redirect: who came by https goes on", async () => {
    expect((await ask(fresh("/secure"), "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n")).status).toBe(200);
    expect((await ask(fresh("/secure"), "X-Forwarded-For: 192.0.2.1, 192.0.2.2\r\nX-Forwarded-Proto: https, http\r\n")).status).toBe(308);
  });

  it("respond: fixed answers, for HEAD too, and with a body in the request", async () => {
    const mock = await ask("/mock");
    expect([mock.status, field(mock, "content-type"), field(mock, "x-mock"), mock.body.toString()]).toEqual([
      201,
      "application/json",
      "yes",
      '{"ok":true}',
    ]);
    const head = await ask("/mock", "", "HEAD");
    expect([head.status, field(head, "content-length"), head.body.length]).toEqual([201, "11", 0]);
    const maintenance = await ask(fresh("/shop"), "Content-Length: 0\r\n", "POST");
    expect([maintenance.status, field(maintenance, "retry-after"), maintenance.body.toString()]).toEqual([503, "90", "later"]);
    const empty = await ask("/empty");
    expect([empty.status, empty.body.length, field(empty, "content-length") ?? "0"]).toEqual([204, 0, "0"]);
    rig.report();
    await using client = await rig.connect(engine);
    for (let i = 0; i < 3; i++) {
      client.send("POST /mock HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello");
      expect((await client.response()).status).toBe(201);
    }
  });

  it.each([
    ["/users/7/orders?a=b", "/v2/orders?user=7&a=b"],
    ["/users/a&b=c/orders", "/v2/orders?user=a%26b%3Dc"],
    ["/api/x/y?q=1", "/inner/x/y?q=1"],
    ["/api", "/inner"],
    ["/r/one/two/three", "/two/three/of/one"],
    ["/r/one", "/r/one"],
  ])("rewrite: %s -> %s", async (target, sent) => {
    const from = rig.upstream.requests.length;
    expect((await ask(target)).status).toBe(200);
    expect((await rig.targetsSince(from, engine)).at(-1)).toBe(sent);
  });

  it("rewrite: never makes a path unsafe", async () => {
    const from = rig.upstream.requests.length;
    const response = await ask("/r/x/..%2f..%2fetc");
    expect([response.status, code(response)]).toEqual([400, "bad_path"]);
    expect(await rig.targetsSince(from, engine)).toEqual([]);
  });

  it("headers: what the service gets", async () => {
    const id = `caf%C3%A9-${++runs}`;
    const sent =
      "X-Internal-Role: admin\r\nCookie: secret=1\r\nX-Tenant: forged\r\nX-Many: client\r\nX-Lang: forged\r\nX-Kept: yes\r\nX-Forwarded-For: 192.0.2.9\r\n";
    await ask(`/h/${id}`, sent);
    const got = await rig.upstream.received(`/h/${id}`);
    const value = (name: string): string => valuesOf(got, name).join(" | ");
    expect([value("x-internal-role"), value("cookie"), value("x-kept"), value("x-fixed")]).toEqual(["", "", "yes", "a"]);
    expect(Buffer.from(value("x-tenant"), "latin1").toString("utf8")).toBe(decodeURIComponent(id));
    expect(value("x-who")).toBe("192.0.2.9 http GET headers");
    expect(value("x-many")).toBe("client | gateway");
    // A template without a value takes away what the client said under that name.
    expect(value("x-lang")).toBe("");
  });

  it("headers: what the client gets, also with answers that the gateway makes", async () => {
    const target = fresh("/h");
    rig.upstream.answer(
      target,
      "HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Frame-Options: SAMEORIGIN\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    const response = await ask(target, "X-Request-Id: id-1\r\n");
    expect(["server", "x-frame-options", "set-cookie", "x-served-by"].map((name) => valuesOf(response, name))).toEqual([
      [],
      ["DENY"],
      ["a=1", "b=2", "gw=1"],
      ["headers/id-1"],
    ]);
    for (const [path, status] of [
      ["/h-gone/t7", 502],
      ["/h-mock/t7", 200],
    ] as const) {
      const made = await ask(path);
      expect([made.status, field(made, "x-tenant")]).toEqual([status, "t7"]);
    }
  });

  it("headers: values of clients cannot break out of a field", async () => {
    const from = rig.upstream.requests.length;
    for (const id of ["a%0d%0aX-Evil:1", "a%00b", "a%7fb"]) {
      const response = await ask(`/h-mock/${id}`);
      expect(valuesOf(response, "x-evil")).toEqual([]);
      if (response.status === 200) expect(valuesOf(response, "x-tenant")).toEqual([]);
    }
    expect(await rig.targetsSince(from, engine)).toEqual([]);
  });

  it("all together, in their fixed order", async () => {
    const id = `both-${++runs}`;
    rig.upstream.answer(`/z/${id}`, `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\n${"a".repeat(40)}`);
    const response = await ask(`/all/${id}`, "Origin: https://a.example\r\nAccept-Encoding: gzip\r\nX-Forwarded-For: 192.0.2.1\r\n");
    expect(response.status).toBe(200);
    expect(["access-control-allow-origin", "x-c", "content-encoding", "vary"].map((name) => field(response, name))).toEqual([
      "*",
      "d",
      "gzip",
      "accept-encoding",
    ]);
    expect(valuesOf(await rig.upstream.received(`/z/${id}`), "x-a")).toEqual(["b"]);
    expect((await ask(`/all/${id}`, "X-Forwarded-For: 203.0.113.66\r\n")).status).toBe(403);
  });
});

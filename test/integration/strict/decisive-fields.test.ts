// What decides is what services get: a field that Connection names is gone before anything is decided or the request is refused, what is there twice is not
// there, and nobody's words make a trusted proxy's unreadable.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import { signMessage } from "../../support/message-signer.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `trustedProxies: [ 127.0.0.1, 10.0.0.0/8 ]
auth:
  signed: { signature: { components: [ "@method", "@path", x-order ], body: unsigned } }
  keys: { apiKey: { name: x-shop-key } }
consumers:
  - id: shop
    signingSecrets: [ { keyId: shop-1, secret: "${SECRET}" } ]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
defaults: { auth: none }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: signed, match: { path: "/signed/**" }, auth: signed, to: u }
  - { name: keyed, match: { path: "/keyed/**" }, auth: keys, to: u }
  - { name: beta, match: { path: "/beta/**", headers: { x-beta: "1" } }, headers: { request: { set: { x-route: beta } } }, to: u }
  - { name: copied, match: { path: "/copied/**" }, headers: { request: { set: { x-copy: "{header.x-tenant}{query.tenant}" } } }, to: u }
  - { name: by-header, match: { path: "/by-header/**" }, rateLimit: [ { per: { header: x-key }, rate: 1/hour } ], to: u }
  - { name: by-query, match: { path: "/by-query/**" }, rateLimit: [ { per: { key: "{query.key}" }, rate: 1/hour } ], to: u }
  - { name: inside, match: { path: "/inside/**" }, ip: { deny: [ 6.6.6.0/24 ] }, to: u }
  - { name: browsers, match: { path: "/browsers/**" }, cors: { origins: [ "https://app.example" ] }, to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

/** @returns status and, when the request went upstream, its fields there as `name: value` */
async function send(engine: Engine, path: string, lines: readonly string[]): Promise<{ status: number; fields: readonly string[] }> {
  rig.report();
  runs++;
  const mark = path.includes("?") ? path.replace("?", `/${runs}?`) : `${path}/${runs}`;
  await using client = await rig.connect(engine);
  client.send(`GET ${mark} HTTP/1.1\r\nHost: a.example\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`);
  const { status } = await client.response();
  if (status !== 200) return { status, fields: [] };
  const { fields } = await rig.upstream.received(mark.split("?", 1)[0] as string);
  return { status, fields: fields.map(([name, value]) => `${name}: ${value}`) };
}

const WEB_SOCKET = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

describe.each(ENGINES)("%s", (engine) => {
  describe("a field that Connection names", () => {
    it.each(["x-order", "X_Order", "signature", "signature-input", "content-digest", "x-shop-key"])(
      "is refused when an authenticator reads it: %s",
      async (name) => {
        expect((await send(engine, "/x", [`Connection: ${name}`, "X-Order: 1"])).status).toBe(400);
      },
    );

    it("is no longer there for a signature that covers it", async () => {
      const signed = (): readonly string[] => {
        const { signature, "signature-input": input } = signMessage({
          components: { "@method": "GET", "@path": `/signed/${runs + 1}`, "x-order": "7", "x-amount": "100" },
          secret: SECRET,
          parameters: `created=${Math.floor(Date.now() / 1000)};keyid="shop-1";nonce="${engine}-${runs}"`,
        });
        return ["X-Order: 7", "X-Amount: 100", `Signature: ${signature}`, `Signature-Input: ${input}`];
      };
      let passed = await send(engine, "/signed", signed());
      // In the gateway's first second nobody can know whether a nonce is new.
      while (passed.status === 503) passed = await send(engine, "/signed", signed());
      expect(passed.fields).toContain("x-amount: 100");
      expect((await send(engine, "/signed", ["Connection: x-amount", ...signed()])).status).toBe(401);
    });

    it("decides about no route, template or limit", async () => {
      expect((await send(engine, "/beta", ["X-Beta: 1"])).fields).toContain("x-route: beta");
      const unnamed = await send(engine, "/beta", ["Connection: x-beta", "X-Beta: 1"]);
      expect(unnamed.fields.filter((line) => /^x-(beta|route):/.test(line))).toEqual([]);
      const copied = await send(engine, "/copied", ["Connection: x-tenant", "X-Tenant: a"]);
      expect(copied.fields.filter((line) => /^x-(tenant|copy):/.test(line))).toEqual([]);
      const statuses = [];
      for (const key of ["a", "b"])
        statuses.push((await send(engine, "/by-header", ["Connection: x-key", `X-Key: ${engine}-named-${key}`])).status);
      expect(statuses.at(-1)).toBe(429);
    });

    it("never changes who the client is", async () => {
      const forwarded = ["X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6"];
      expect((await send(engine, "/inside", forwarded)).status).toBe(403);
      for (const name of ["x-forwarded-for", "Forwarded", "x_forwarded_for", "x-forwarded-host"])
        expect((await send(engine, "/inside", [`Connection: ${name}`, ...forwarded])).status).toBe(400);
    });
  });

  describe("what is there twice", () => {
    it("is not there for limits", async () => {
      const key = (text: string): string => `X-Key: ${engine}-${text}`;
      const first = (await send(engine, "/by-header", [])).status; // the bucket of those without a key, whoever was first
      expect([200, 429]).toContain(first);
      expect((await send(engine, "/by-header", [key("a"), key("b")])).status).toBe(429);
      expect((await send(engine, "/by-header", [key("c"), key("d")])).status).toBe(429);
      expect((await send(engine, "/by-header", [key("a")])).status).toBe(200);
      expect([200, 429]).toContain((await send(engine, "/by-query?x=1", [])).status);
      expect((await send(engine, `/by-query?key=${engine}1&key=${engine}2`, [])).status).toBe(429);
      expect((await send(engine, `/by-query?key=${engine}3&x=1;key=${engine}4`, [])).status).toBe(429);
      expect((await send(engine, `/by-query?key=${engine}1`, [])).status).toBe(200);
    });

    it("is not there for templates", async () => {
      const { fields } = await send(engine, "/copied?tenant=a&tenant=b", ["X-Tenant: a", "X-Tenant: b"]);
      expect(fields.filter((line) => line.startsWith("x-copy:"))).toEqual([]);
    });

    it("is no origin that a WebSocket may come from", async () => {
      const origins = ["Origin: https://app.example", "Origin: https://evil.example"];
      expect((await send(engine, "/browsers", [...WEB_SOCKET, ...origins])).status).toBe(403);
      expect((await send(engine, "/browsers", [...WEB_SOCKET, ...origins.toReversed()])).status).toBe(403);
    });
  });

  describe("behind a trusted proxy", () => {
    it("a client's own line does not swallow the proxy's", async () => {
      expect((await send(engine, "/inside", ["Forwarded: for=6.6.6.6"])).status).toBe(403);
      for (const lines of [
        ['Forwarded: for="', "Forwarded: for=6.6.6.6"],
        ['Forwarded: for=", for=6.6.6.6'],
        ["Forwarded: for=6.6.6.6, for=elsewhere"],
        ["X-Forwarded-For: 6.6.6.6, elsewhere"],
      ])
        expect((await send(engine, "/inside", lines)).status, lines.join()).toBe(400);
    });

    it("services are told scheme, host, port and client of the same hop", async () => {
      const { fields } = await send(engine, "/x", [
        "X-Forwarded-For: 198.51.100.1, 10.0.0.2",
        "X-Forwarded-Proto: https, http",
        "X-Forwarded-Host: shop.example, inner.example:8080",
        "X-Forwarded-Port: 443, 8080",
      ]);
      expect(fields.filter((line) => line.startsWith("x-forwarded-"))).toEqual([
        "x-forwarded-for: 198.51.100.1, 10.0.0.2, 127.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: shop.example",
        "x-forwarded-port: 443",
      ]);
    });

    it("what only proxies may say is passed on, but no order of another method", async () => {
      const { fields } = await send(engine, "/x", ["X-Azure-ClientIP: 1.1.1.1", "X-HTTP-Method-Override: DELETE"]);
      expect(fields).toContain("x-azure-clientip: 1.1.1.1");
      expect(fields.join()).not.toContain("DELETE");
    });
  });
});

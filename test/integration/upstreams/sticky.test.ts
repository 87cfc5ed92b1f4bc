// Session affinity as clients and services meet it: real gateways with two workers and both engines, a restart, a service that dies, WebSockets.
import { type IncomingHttpHeaders, request } from "node:http";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { Service, stopAll } from "../../support/service.ts";
import { WebSocketOrigin } from "../../support/web-socket-origin.ts";

const STICKY = 'cookie: node, secret: "0123456789abcdef0123456789abcdef"';
let services: Service[];
let sockets: WebSocketOrigin[];
let gateway: Gateway;

const config = (): string => `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net } ]
trustedProxies: [ 127.0.0.1 ]
upstreams:
  shop: { targets: [ ${services.map(({ url }) => `{ url: "${url}" }`).join(", ")} ], balance: random, sticky: { ${STICKY} } }
  chat: { targets: [ ${sockets.map(({ port }) => `{ url: "http://127.0.0.1:${port}" }`).join(", ")} ], balance: random, sticky: { ${STICKY}, lifetime: 1h } }
routes:
  - { name: chat, match: { path: /chat/** }, to: chat }
  - { name: shop, match: { path: /** }, to: shop }
`;

beforeAll(async () => {
  services = await Service.startAll(["a", "b", "c"]);
  sockets = await Promise.all([WebSocketOrigin.start(), WebSocketOrigin.start(), WebSocketOrigin.start()]);
  gateway = await Gateway.start({ config: config() });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await stopAll(services);
  for (const each of sockets) await each[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly setCookie: readonly string[];
}

/** One request on a connection of its own, so that any worker may get it. */
function ask(of: Gateway, engine: Engine, headers: Record<string, string> = {}, path = "/"): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request((of.urls[ENGINES.indexOf(engine)] ?? "") + path, { agent: false, headers });
    const setCookie = (fields: IncomingHttpHeaders) => fields["set-cookie"] ?? [];
    sent.once("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: 101, body: "", setCookie: setCookie(response.headers) });
    });
    sent.once("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body, setCookie: setCookie(response.headers) }));
    });
    sent.once("error", reject).end();
  });
}
const pairOf = (setCookie: readonly string[]): string => String(setCookie.find((text) => text.startsWith("node="))).split(";")[0] ?? "";

describe.each(ENGINES)("%s", (engine) => {
  it("a client comes back to the service that answered it, over all workers and after a restart of the gateway", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const clients = await Promise.all(Array.from({ length: 12 }, () => ask(gateway, engine)));
    expect(new Set(clients.map(({ body }) => body)).size).toBeGreaterThan(1);
    await using again = await Gateway.start({ config: config() });
    for (const { body, setCookie } of clients) {
      expect(setCookie).toEqual([expect.stringMatching(/^node=[A-Za-z0-9_-]{16}; Path=\/; HttpOnly; SameSite=Lax$/)]);
      const cookie = `theme=dark; ${pairOf(setCookie)}`;
      for (const of of [gateway, gateway, gateway, again])
        expect(await ask(of, engine, { cookie })).toEqual({ status: 200, body, setCookie: [] });
    }
  });

  it("the cookie is Secure when the client came by https to a trusted proxy", async () => {
    const { setCookie } = await ask(gateway, engine, { "x-forwarded-proto": "https", "x-forwarded-for": "198.51.100.1" });
    expect(setCookie).toEqual([expect.stringMatching(/; Secure$/)]);
  });

  it("a client whose service is down gets another, stays there, and gets no error", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const first = await ask(gateway, engine);
    const service = services.find(({ name }) => name === first.body);
    await service?.stop();
    try {
      const second = await ask(gateway, engine, { cookie: pairOf(first.setCookie) });
      expect(second.status).toBe(200);
      expect(second.body).not.toBe(first.body);
      expect(pairOf(second.setCookie)).not.toBe(pairOf(first.setCookie));
      const third = await ask(gateway, engine, { cookie: pairOf(second.setCookie) });
      expect(third).toEqual({ status: 200, body: second.body, setCookie: [] });
    } finally {
      await service?.listen();
    }
  });

  it("a WebSocket sets the cookie and goes by it", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const upgrade = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    };
    const served = () => sockets.map((each) => each.served.length);
    const first = await ask(gateway, engine, upgrade, "/chat/x");
    expect([first.status, first.setCookie.filter((text) => text.startsWith("node="))]).toEqual([
      101,
      [expect.stringMatching(/^node=[A-Za-z0-9_-]{16}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/)],
    ]);
    const before = served();
    for (let i = 0; i < 6; i++) {
      const next = await ask(gateway, engine, { ...upgrade, cookie: pairOf(first.setCookie) }, "/chat/x");
      expect([next.status, next.setCookie.some((text) => text.startsWith("node="))]).toEqual([101, false]);
    }
    expect(
      served()
        .map((count, i) => count - (before[i] ?? 0))
        .sort(),
    ).toEqual([0, 0, 6]);
  });
});

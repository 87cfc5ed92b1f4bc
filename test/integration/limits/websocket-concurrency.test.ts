// WebSockets hold a place of a concurrency limit for as long as they are open, and leave it once: however they end. A real gateway with two
// workers, on each engine.
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ask } from "../../support/burst.ts";
import { Gateway } from "../../support/gateway.ts";
import { until, untilAsync } from "../../support/until.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

const PLACES = 4;
const config = (port: number, strict: boolean) => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0", engine: ${strict ? "net" : "uws"} } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "http://127.0.0.1:${port}" } ], retry: { attempts: 0 } } }
routes: [ { name: all, match: { path: /** }, rateLimit: [ { per: ip, concurrency: ${PLACES} } ], to: origin } ]
`;

/** @returns a client whose handshake is over: open, or refused. */
async function attempt(gateway: Gateway, target = "/ws"): Promise<WebSocketClient> {
  const client = new WebSocketClient(gateway.url.replace("http", "ws") + target);
  const over = () => client.ws.readyState === WebSocket.OPEN || client.refusal !== null || client.closed !== null;
  await until("the handshake is answered", over, 10_000);
  return client;
}

const refusalOf = async (gateway: Gateway) => {
  await using client = await attempt(gateway);
  return client.refusal;
};

/** Takes all places, as soon as they are free, and shows that there is not one more. */
async function fill(gateway: Gateway): Promise<WebSocketClient[]> {
  const held: WebSocketClient[] = [];
  await untilAsync("all places can be taken", async () => {
    while (held.length < PLACES) {
      const client = await attempt(gateway);
      if (client.ws.readyState !== WebSocket.OPEN) throw new Error(`${held.length} of ${PLACES} places: ${JSON.stringify(client.refusal)}`);
      held.push(client);
    }
  });
  await expectFull(gateway);
  return held;
}

async function expectFull(gateway: Gateway): Promise<void> {
  for (let i = 0; i < 4; i++) {
    const refusal = await refusalOf(gateway);
    expect([refusal?.status, JSON.parse(refusal?.body ?? "null")]).toMatchObject([429, { code: "concurrency_limited" }]);
    expect((await ask(`${gateway.url}/plain`)).status).toBe(429);
  }
}

describe.each([
  ["uws", false],
  ["net", true],
] as const)("%s", (_engine, strict) => {
  it("an open WebSocket holds one place, as a request does", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port, strict) });
    expect((await ask(`${gateway.url}/plain`)).status).toBe(200);
    const [first, ...others] = await fill(gateway);
    for (const [i, client] of others.entries()) {
      client.ws.send(`still open ${i}`);
      await client.received(1);
    }
    await expectFull(gateway);
    first?.ws.close(1000);
    await untilAsync("one place is free", async () => expect((await ask(`${gateway.url}/plain`)).status).toBe(200));
    await using _next = await attempt(gateway);
    await expectFull(gateway);
    for (const client of others) client.ws.terminate();
  });

  it.each<[string, (held: WebSocketClient, origin: WebSocketOrigin, i: number) => void]>([
    ["the client closes", ({ ws }) => ws.close(1000)],
    ["the client goes away", ({ ws }) => ws.terminate()],
    ["the service closes", (_, { served }, i) => served.at(-1 - i)?.ws.close(1000)],
    ["the service goes away", (_, { served }, i) => served.at(-1 - i)?.ws.terminate()],
    [
      "both go away at once",
      ({ ws }, { served }) => {
        ws.terminate();
        for (const each of served) each.ws.terminate();
      },
    ],
  ])("leaves its place once when %s", async (_, end) => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port, strict) });
    for (let round = 0; round < 3; round++) {
      const held = await fill(gateway);
      for (const [i, client] of held.entries()) end(client, origin, i);
      await until("all are closed", () => held.every((each) => each.closed !== null), 10_000);
    }
    for (const client of await fill(gateway)) client.ws.terminate();
  });

  it("leaves its place when the service refuses it", async () => {
    await using origin = await WebSocketOrigin.start();
    origin.refusals.set("/refused", { status: 403, body: "no" });
    await using gateway = await Gateway.start({ config: config(origin.port, strict) });
    for (let i = 0; i < 3 * PLACES; i++) {
      await using client = await attempt(gateway, "/refused");
      // The place of the one before may be given back a moment after its answer.
      expect([403, 429]).toContain(client.refusal?.status);
    }
    for (const client of await fill(gateway)) client.ws.terminate();
  });

  it("leaves its place once when its worker dies", async () => {
    await using origin = await WebSocketOrigin.start();
    await using gateway = await Gateway.start({ config: config(origin.port, strict) });
    for (let round = 1; round <= 2; round++) {
      const held = await fill(gateway);
      for (const worker of [0, 1]) await gateway.admin("POST", `/debug/crash?worker=${worker}`);
      await gateway.said("a worker was replaced", 2 * round);
      await until("all are cut", () => held.every((each) => each.closed !== null), 10_000);
    }
    for (const client of await fill(gateway)) client.ws.terminate();
  });
});

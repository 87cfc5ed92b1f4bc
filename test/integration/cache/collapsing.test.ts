// Many clients of several workers miss the same response at once: one question, whoever leaves, whatever the answer turns out to be, and whoever dies.
import http from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { type Answering, CountingOrigin } from "../../support/counting-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

/** `npm run acceptance:cache` does it with 10,000. */
const CLIENTS = Number(process.env["CACHE_CLIENTS"] ?? 1000);
const WITHIN_MS = 20_000;
const BODY = Buffer.alloc(100_000, "0123456789");

let origin: CountingOrigin;
let gateway: Gateway;

beforeAll(async () => {
  origin = await CountingOrigin.start();
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${origin.port}" }], retry: { attempts: 0 }, timeouts: { attempt: 5m, total: 5m } } }
routes: [{ name: r, match: { path: /** }, cache: {}, to: o }]
`,
  });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await origin?.[Symbol.asyncDispose]();
});

/** A client that counts what it gets of a body. */
class Client {
  readonly request: http.ClientRequest;
  status = 0;
  how = "";
  bytes = 0;
  /** The whole of a response has come. */
  complete = false;
  closed = false;

  constructor(engine: Engine, target: string) {
    const port = new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port;
    this.request = http.get({ port, host: "127.0.0.1", path: target, headers: { host: "a.example" }, agent: false }, (response) => {
      this.status = response.statusCode ?? 0;
      this.how = String(response.headers["cache-status"]);
      response.on("data", (chunk: Buffer) => (this.bytes += chunk.length));
      response.on("end", () => (this.complete = response.complete));
      response.on("error", () => {});
    });
    this.request.on("error", () => {});
    this.request.on("close", () => (this.closed = true));
  }
}

async function clientsOf(engine: Engine, target: string, count = CLIENTS): Promise<readonly Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) {
    clients.push(new Client(engine, target));
    if (i % 200 === 199) await new Promise(setImmediate); // a backlog is finite
  }
  await until("all are connected", () => clients.every(({ request }) => request.socket?.connecting === false), WITHIN_MS);
  return clients;
}

const asked = (target: string): number => origin.asked.get(target) ?? 0;

/** The one question under way for a target. */
async function questionFor(target: string): Promise<Answering> {
  await until(`${target} is asked for`, () => asked(target) > 0, WITHIN_MS);
  const found = origin.open.find(({ request }) => request.url === target);
  if (found === undefined) throw new Error(`nobody asks for ${target}`);
  return found;
}

/** All requests have reached the gateway's workers. */
async function inFlight(count: number): Promise<void> {
  const seen = async (): Promise<number> => {
    const { body } = await gateway.admin("GET", "/metrics");
    return [...String(body).matchAll(/^sluice_worker_in_flight(?:\{[^}]*\})? (\d+)/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
  };
  const deadlineMs = performance.now() + WITHIN_MS;
  while ((await seen()) < count) if (performance.now() > deadlineMs) throw new Error(`not ${count} requests in flight but ${await seen()}`);
}

describe.each(ENGINES)("on engine %s", (engine) => {
  test.each([
    ["of known length", { "content-length": String(BODY.length) }],
    ["of unknown length", {}],
  ])(
    "concurrent misses of one response %s are one request upstream, and the client that came first may leave at half",
    { timeout: WITHIN_MS * 2, retry: 0 },
    async (name, length) => {
      const target = `/half-${engine}-${name.length}`;
      const clients = await clientsOf(engine, target);
      await inFlight(CLIENTS);
      const { response } = await questionFor(target);
      response.writeHead(200, { "cache-control": "max-age=60", ...length });
      response.write(BODY.subarray(0, BODY.length / 2));
      // Those of another worker wait for a body of unknown length until it is whole.
      await until("half of it has come", () => clients.some(({ bytes }) => bytes >= BODY.length / 2), WITHIN_MS);
      const leaving = clients[0] as Client;
      leaving.request.destroy();
      response.end(BODY.subarray(BODY.length / 2));
      await until("all have ended", () => clients.every(({ closed }) => closed), WITHIN_MS);
      expect(asked(target)).toBe(1);
      const others = clients.slice(1);
      expect(others.filter(({ status, bytes, complete }) => status === 200 && bytes === BODY.length && complete)).toHaveLength(
        others.length,
      );
      const late = new Client(engine, target);
      await until("it is answered", () => late.closed);
      expect(late.how).toMatch(/^sluice; hit/);
      expect(asked(target)).toBe(1);
    },
  );

  test("an answer that says private releases all who wait at once, and each asks for itself", {
    timeout: WITHIN_MS * 2,
    retry: 0,
  }, async () => {
    const target = `/private-${engine}`;
    const count = Math.min(CLIENTS, 200);
    const clients = await clientsOf(engine, target, count);
    await inFlight(count);
    const { response } = await questionFor(target);
    response.writeHead(200, { "cache-control": "private", "content-length": "2" }).end("me");
    await until("all the others ask", () => asked(target) === count, WITHIN_MS); // none of these has been answered
    for (const one of [...origin.open]) one.response.writeHead(200, { "cache-control": "private", "content-length": "2" }).end("me");
    await until("all are answered", () => clients.every(({ closed, status }) => closed && status === 200), WITHIN_MS);
    expect(asked(target)).toBe(count);
  });

  test("a worker that dies while it fetches leaves the other's clients to be served, and nothing half stored", {
    timeout: WITHIN_MS * 2,
    retry: 0,
  }, async () => {
    const target = `/crash-${engine}`;
    const clients = await clientsOf(engine, target, 40);
    await inFlight(40);
    const { response } = await questionFor(target);
    response.on("error", () => {});
    response.writeHead(200, { "cache-control": "max-age=60", "content-length": "10" });
    response.write("01234");
    await until("some have begun", () => clients.some(({ bytes }) => bytes > 0), WITHIN_MS);
    const crashes = gateway.lines("a worker failed").length;
    await gateway.admin("POST", "/debug/crash?worker=0");
    await gateway.said("a worker failed", crashes + 1);
    await until(
      "someone asks, or all are over",
      () => clients.every(({ closed }) => closed) || origin.open.some((one) => one.request.url === target),
      WITHIN_MS,
    );
    for (const one of origin.open.filter(({ request }) => request.url === target)) one.response.end("56789");
    const answers = (): void => {
      for (const one of [...origin.open])
        if (!one.response.headersSent)
          one.response.writeHead(200, { "cache-control": "max-age=60", "content-length": "10" }).end("0123456789");
    };
    // Who comes while the worker is still going may be cut with it: one of the next is served.
    let late = new Client(engine, target);
    await until(
      "one that comes later is served",
      () => {
        answers();
        if (late.closed && late.status === 0) late = new Client(engine, target);
        return late.closed && late.status !== 0;
      },
      WITHIN_MS,
    );
    await until("all are over", () => clients.every(({ closed }) => closed), WITHIN_MS);
    // Who lost its worker was cut; every whole answer is the whole.
    expect([late.status, late.bytes]).toEqual([200, 10]);
    expect(clients.filter(({ complete, bytes }) => complete && bytes !== 10 && bytes !== 0)).toEqual([]);
  });
});

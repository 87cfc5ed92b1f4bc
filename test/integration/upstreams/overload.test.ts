// An upstream that has more to do than it can: who is in flight, who waits, who is refused, and what is said of it.
import { describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CountingOrigin } from "../../support/counting-origin.ts";
import { GatedOrigin } from "../../support/gated-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";

const LIMIT = 2;

interface Further {
  readonly workers?: number;
  /** Keys of the upstream. */
  readonly more?: string;
}

async function start(origin: { readonly url: string }, overload: string, { workers = 1, more = "" }: Further = {}): Promise<Gateway> {
  const gateway = await Gateway.start({
    config: `version: 1
workers: ${workers}
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", strict: true } ]
upstreams: { u: { targets: [ { url: "${origin.url}" } ], timeouts: { attempt: 30s, total: 30s }, ${more}
  overload: { ${overload.includes("maximum") ? "" : `minimum: ${LIMIT}, maximum: ${LIMIT},`} ${overload} } } }
routes:
  - { name: urgent, match: { path: /urgent }, to: u, priority: critical }
  - { name: other, match: {}, to: u }
`,
  });
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

const portOf = (gateway: Gateway, engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

interface OverloadView {
  readonly limit: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly shadowed: number;
  readonly refused: readonly { readonly reason: string; readonly priority: string; readonly count: number }[];
}

async function overloadOf(gateway: Gateway): Promise<OverloadView> {
  const { body } = await gateway.admin("GET", "/upstreams");
  return (body as { overload: OverloadView }[])[0]?.overload as OverloadView; // the admin listener's documented form
}

const seen = async (gateway: Gateway, what: Partial<OverloadView>): Promise<void> => {
  await expect.poll(() => overloadOf(gateway), { timeout: 10_000 }).toMatchObject(what);
};

const ask = (port: number, path = "/x", headers: Record<string, string> = {}) =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close", ...headers } });

describe.each(ENGINES)("overload on the engine %s", (engine) => {
  it("who finds no place waits for one, and is refused at once where the line is full: with its own reason, and nothing is held against the service", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 0;
    await using gateway = await start(origin, "mode: on, queue: { length: 1, wait: 30s }");
    const port = portOf(gateway, engine);
    const inFlight = [ask(port), ask(port)];
    await expect.poll(() => origin.waiting, { timeout: 10_000 }).toBe(LIMIT);
    const first = ask(port);
    await seen(gateway, { inFlight: LIMIT, waiting: 1 });
    const second = ask(port, "/urgent");
    // The line has room for one: the one of lower priority gives up its place.
    const refused = await first;
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "overloaded", reason: "line" });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(origin.requests).toBe(LIMIT);
    origin.release(200);
    for (const each of inFlight) expect((await each).status).toBe(200);
    await expect.poll(() => origin.waiting, { timeout: 10_000 }).toBe(1);
    origin.release(200);
    expect((await second).status).toBe(200);
    await seen(gateway, { inFlight: 0, waiting: 0 });
    const { refused: counts } = await overloadOf(gateway);
    expect(counts.filter(({ count }) => count > 0)).toEqual([{ reason: "line", priority: "normal", count: 1 }]);
    const { body } = await gateway.admin("GET", "/upstreams");
    expect(body).toMatchObject([{ targets: [{ healthy: true, failures: {} }] }]);
    expect(JSON.stringify(body)).not.toContain('"overloaded"');
    const ready = await gateway.admin("GET", "/readyz");
    expect(ready.status).toBe(200);
    expect(JSON.stringify(ready.body)).toContain("requests are refused for upstream u");
  });

  it("who has waited as long as the line allows is refused, for want of a place", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 0;
    await using gateway = await start(origin, "mode: on, queue: { wait: 50ms }");
    const port = portOf(gateway, engine);
    const inFlight = [ask(port), ask(port)];
    await expect.poll(() => origin.waiting, { timeout: 10_000 }).toBe(LIMIT);
    const refused = await ask(port);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: "overloaded", reason: "limit" });
    origin.release(200);
    await Promise.all(inFlight);
  });

  it("a client that goes away leaves the line at once, and one in flight gives its place to who waits", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 0;
    await using gateway = await start(origin, "mode: on, queue: { wait: 30s }");
    const port = portOf(gateway, engine);
    const clients = await Promise.all([0, 1, 2].map(() => RawClient.connect(port)));
    for (const client of clients.slice(0, 2)) client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    await expect.poll(() => origin.waiting, { timeout: 10_000 }).toBe(LIMIT);
    clients[2]?.send("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n");
    await seen(gateway, { waiting: 1 });
    clients[2]?.cut();
    await seen(gateway, { waiting: 0, inFlight: LIMIT });
    const waits = ask(port, "/waits");
    await seen(gateway, { waiting: 1 });
    clients[0]?.cut();
    await expect.poll(() => origin.requests, { timeout: 10_000 }).toBe(3);
    origin.release(200);
    expect((await waits).status).toBe(200);
    clients[1]?.cut();
    await seen(gateway, { waiting: 0, inFlight: 0 });
  });

  it("a retry comes behind those that have not had a place yet", async () => {
    await using origin = await CountingOrigin.start();
    await using gateway = await start(
      { url: `http://127.0.0.1:${origin.port}` },
      "mode: on, minimum: 1, maximum: 1, queue: { wait: 30s }",
      {
        more: "retry: { attempts: 1, on: [503], budget: 100% },",
      },
    );
    const port = portOf(gateway, engine);
    const asked = (path: string) => expect.poll(() => origin.open.map(({ request }) => request.url), { timeout: 10_000 }).toEqual([path]);
    const failing = ask(port, "/failing");
    await asked("/failing");
    const next = ask(port, "/next");
    await seen(gateway, { waiting: 1 });
    origin.open[0]?.response.writeHead(503).end();
    await asked("/next");
    const last = ask(port, "/last");
    await seen(gateway, { waiting: 2 }); // the retry, too
    origin.open[0]?.response.end("next");
    await asked("/last");
    origin.open[0]?.response.end("last");
    await asked("/failing");
    origin.open[0]?.response.end("tried again");
    expect(await Promise.all([next, last, failing].map(async (each) => (await each).text()))).toEqual(["next", "last", "tried again"]);
    await seen(gateway, { inFlight: 0, waiting: 0 });
  });

  it("in shadow mode everybody passes", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 0;
    await using gateway = await start(origin, "mode: shadow");
    const port = portOf(gateway, engine);
    const all = Array.from({ length: 4 * LIMIT }, () => ask(port));
    await expect.poll(() => origin.waiting, { timeout: 10_000 }).toBe(4 * LIMIT);
    await seen(gateway, { inFlight: 4 * LIMIT, waiting: 0 });
    origin.release(200);
    for (const each of all) expect((await each).status).toBe(200);
    await seen(gateway, { inFlight: 0 });
  });
});

it("places are those of all workers together, and a freed one wakes whoever waits on another", async () => {
  await using origin = await GatedOrigin.start();
  origin.status = 0;
  await using gateway = await start(origin, "mode: on, queue: { wait: 30s }, fairBy: { header: x-flow }", { workers: 2 });
  const port = portOf(gateway, "uws");
  const all = Array.from({ length: 40 }, (_, i) => ask(port, "/x", { "x-flow": `${i}` }));
  await seen(gateway, { inFlight: LIMIT, waiting: 38 });
  for (let answered = 0; answered < 40; answered += LIMIT) {
    await expect.poll(() => origin.waiting, { timeout: 10_000 }).toBe(LIMIT);
    origin.release(200);
  }
  for (const each of all) expect((await each).status).toBe(200);
  expect(origin.requests).toBe(40);
  await seen(gateway, { inFlight: 0, waiting: 0 });
});

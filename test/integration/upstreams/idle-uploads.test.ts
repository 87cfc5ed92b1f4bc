// Uploads that stand still: they hold no connection before their first part is there, and what others then wait for is no fault of the service.
import { afterEach, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { FullBacklog } from "../../support/full-backlog.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { Service } from "../../support/service.ts";
import { until } from "../../support/until.ts";

const CONNECTIONS = 3;
const BREAKER =
  "breaker: { minimumRequests: 5, openFor: 60s }, health: { passive: { consecutiveFailures: 5, ejectFor: 60s, maxEjected: 100% } }";
const SHORT = "timeouts: { connect: 300ms, response: 300ms }, retry: { attempts: 0 }";

const clients: RawClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

interface Setup {
  readonly port: number;
  readonly settings?: string;
  readonly limits?: string;
  readonly client?: string;
  readonly more?: string;
}

async function start({ port, settings = SHORT, limits = "", client = "http1", more = "" }: Setup): Promise<Gateway> {
  const gateway = await Gateway.start({
    config: `version: 1
workers: 1
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
limits: { ${limits} }
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net } ]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ], pool: { client: ${client}, connections: ${CONNECTIONS} }, ${BREAKER}, ${settings} } }
routes: [ { name: all, match: {}, to: u } ]
${more}`,
  });
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

const portOf = (gateway: Gateway, engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

/** Begins an upload of 1 MB and stands still. @param first what comes of its body */
async function upload(port: number, first = "", fields = ""): Promise<RawClient> {
  const client = await RawClient.connect(port);
  clients.push(client);
  client.send(`POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n${fields}\r\n${first}`);
  return client;
}

async function underWay(gateway: Gateway, exchanges: number): Promise<void> {
  const inFlight = async (): Promise<unknown> => {
    const { body } = await gateway.admin("GET", "/workers");
    return Array.isArray(body) ? body[0]?.inFlight : body;
  };
  await expect.poll(inFlight, { timeout: 10_000 }).toBe(exchanges);
}

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly reason?: string;
}

async function ask(port: number): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}/x`, { headers: { connection: "close" } });
  const text = await response.text();
  return text.startsWith("{") ? JSON.parse(text) : { status: response.status };
}

const askTimes = (port: number, times: number): Promise<Answer[]> => Promise.all(Array.from({ length: times }, () => ask(port)));

interface TargetView {
  readonly healthy: boolean;
  readonly failures: Readonly<Record<string, number>>;
}

async function target(gateway: Gateway): Promise<TargetView> {
  const { body } = await gateway.admin("GET", "/upstreams");
  return (body as { targets: TargetView[] }[])[0]?.targets[0] as TargetView; // the admin listener's documented form
}

async function breakerStates(gateway: Gateway): Promise<string[]> {
  const { body } = await gateway.admin("GET", "/breakers");
  return (body as { status: { state: string } }[]).map(({ status }) => status.state); // the admin listener's documented form
}

describe.each(ENGINES)("%s", (engine) => {
  it("uploads that have not sent any of their body hold no connection", async () => {
    await using upstream = await RawUpstream.start();
    await using gateway = await start({ port: upstream.port, limits: "bodiesPerAddress: none" });
    const port = portOf(gateway, engine);
    await Promise.all(Array.from({ length: 140 - 1 }, () => upload(port)));
    const last = await upload(port);
    await underWay(gateway, 140);
    expect(upstream.connections).toHaveLength(0);
    expect(await askTimes(port, 20)).toEqual(Array(20).fill({ status: 200 }));
    last.send("x".repeat(1_000_000));
    expect((await last.response()).status).toBe(200);
    expect((await upstream.received("/up")).body).toHaveLength(1_000_000);
  });

  it("a chunked upload takes a connection with its first chunk, and one that ends without any with its end", async () => {
    await using upstream = await RawUpstream.start();
    await using gateway = await start({ port: upstream.port });
    const chunked = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const both = await Promise.all([0, 1].map(() => RawClient.connect(portOf(gateway, engine))));
    clients.push(...both);
    for (const client of both) client.send(chunked);
    await underWay(gateway, 2);
    expect(upstream.connections).toHaveLength(0);
    both[0]?.send("0\r\n\r\n");
    expect((await both[0]?.response())?.status).toBe(200);
    both[1]?.send("3\r\nabc\r\n");
    await until(
      "the upload is on its way",
      () => upstream.connections.length === 2 || upstream.connections.some(({ bytes }) => bytes > 300),
    );
    both[1]?.send("3\r\ndef\r\n0\r\n\r\n");
    expect((await both[1]?.response())?.status).toBe(200);
    expect(upstream.to("/up").map(({ body }) => body.toString())).toEqual(["", "abcdef"]);
  });

  it("100 (Continue) is sent before the first part is waited for", async () => {
    await using upstream = await RawUpstream.start();
    await using gateway = await start({ port: upstream.port });
    const client = await upload(portOf(gateway, engine), "", "Expect: 100-continue\r\n");
    expect((await client.response()).status).toBe(100);
    expect(upstream.connections).toHaveLength(0);
    client.send("x".repeat(1_000_000));
    expect((await client.response()).status).toBe(200);
  });

  describe.each(["http1", "undici"])("%s", (client) => {
    it("whoever waits for connections that uploads hold gets 503 with the reason, and nobody holds it against the service", async () => {
      await using upstream = await RawUpstream.start();
      await using gateway = await start({ port: upstream.port, client });
      const port = portOf(gateway, engine);
      await Promise.all(Array.from({ length: CONNECTIONS }, () => upload(port, "x")));
      await until("they hold the connections", () => upstream.connections.filter(({ bytes }) => bytes > 0).length === CONNECTIONS);
      const answers = await askTimes(port, 20);
      expect(new Set(answers.map(({ status, code, reason }) => `${status} ${code} ${reason}`))).toEqual(new Set(["503 overloaded pool"]));
      expect(await breakerStates(gateway)).toEqual(["closed", "closed"]);
      expect(await target(gateway)).toMatchObject({ healthy: true, failures: { overloaded: 20 } });
      for (const each of clients.splice(0)) each.destroy();
      await underWay(gateway, 0);
      expect(await askTimes(port, 5)).toEqual(Array(5).fill({ status: 200 }));
    });

    it("a target that accepts no further connection is found out all the same while uploads hold some", async () => {
      await using upstream = await FullBacklog.start(CONNECTIONS - 1);
      await using gateway = await start({ port: upstream.port, client });
      const port = portOf(gateway, engine);
      await Promise.all(Array.from({ length: CONNECTIONS - 1 }, () => upload(port, "x")));
      const connected = async (): Promise<unknown> =>
        ((await gateway.admin("GET", "/workers")).body as { poolConnections: number }[])[0]?.poolConnections;
      await expect.poll(connected, { timeout: 10_000 }).toBe(CONNECTIONS - 1);
      const answers = [...(await askTimes(port, 3)), ...(await askTimes(port, 3)), ...(await askTimes(port, 3))];
      const codes = new Set(answers.map(({ code }) => code));
      expect([...codes].filter((code) => code !== "connect_timeout" && code !== "no_healthy_target" && code !== "breaker_open")).toEqual(
        [],
      );
      expect(codes).toContain("connect_timeout");
      await expect.poll(() => target(gateway)).toMatchObject({ healthy: false });
      expect(await breakerStates(gateway)).toContain("open");
    });
  });

  it("the bytes of uploads in line are bounded for the whole instance", async () => {
    await using upstream = await RawUpstream.start();
    const settings = "timeouts: { connect: 20s, response: 20s, total: 0 }, retry: { attempts: 0 }";
    await using gateway = await start({ port: upstream.port, settings, limits: "bufferedBodyBytes: 1MiB" });
    const port = portOf(gateway, engine);
    await Promise.all(Array.from({ length: CONNECTIONS }, () => upload(port, "x")));
    await until("they hold the connections", () => upstream.connections.filter(({ bytes }) => bytes > 0).length === CONNECTIONS);
    const inLine = await Promise.all(Array.from({ length: 40 }, () => upload(port, "x".repeat(60_000))));
    const refused = (): RawClient[] => inLine.filter(({ bytes }) => bytes > 0);
    await until("those for whom there is no room are told", () => refused().length > 0);
    const answer = await (refused()[0] as RawClient).response(); // there is one
    expect([answer.status, JSON.parse(answer.body.toString())]).toMatchObject([503, { code: "overloaded", reason: "bodies" }]);
    // What the others hold is free again when they have gone.
    for (const each of clients.splice(0)) each.destroy();
    const again = async (): Promise<number> => (await (await upload(port, "x".repeat(1_000_000))).response()).status;
    await expect.poll(again, { timeout: 10_000 }).toBe(200); // the gateway learns by and by that they have
    expect(String((await gateway.admin("GET", "/metrics")).body)).toMatch(/^sluice_request_bodies_held_bytes \d+$/m);
  });
});

describe("whoever waits for a connection that others have", () => {
  const config = (upstreams: string, route: string): string => `version: 1
workers: 1
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams: { ${upstreams} }
routes: [ { name: all, match: {}, to: u, ${route} } ]
`;

  it.each(["http1", "undici"])("says nothing about a mirror, when it is a copy: %s", async (client) => {
    await using upstream = await RawUpstream.start();
    await using copies = await RawUpstream.start();
    copies.on("/x", () => {});
    const mirrored = `m: { targets: [ { url: "http://127.0.0.1:${copies.port}" } ], pool: { client: ${client}, connections: 1 }, timeouts: { total: 1s }, ${BREAKER.replaceAll(/: 5\b/g, ": 15")} }`;
    await using gateway = await Gateway.start({
      config: config(`u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] }, ${mirrored}`, "mirror: { upstream: m }"),
    });
    onTestFailed(() => console.error(gateway.report()));
    const port = Number(new URL(gateway.url).port);
    expect(await askTimes(port, 20)).toEqual(Array(20).fill({ status: 200 }));
    // Few copies were sent, whose answers are late; the others waited in vain.
    const views = async (): Promise<unknown> => {
      const { body } = await gateway.admin("GET", "/upstreams");
      return (body as { name: string; targets: { inFlight: number; healthy: boolean }[] }[]).find(({ name }) => name === "m")?.targets[0]; // the documented form
    };
    await expect.poll(views, { timeout: 10_000 }).toMatchObject({ inFlight: 0, healthy: true });
    expect(copies.to("/x").length).toBeLessThan(15);
    expect(await breakerStates(gateway)).toEqual(["closed", "closed"]);
  });

  it("is no slow call: its time counts from when it was sent", async () => {
    await using service = await Service.start("s");
    service.delayMs = 100;
    const breaker = "breaker: { minimumRequests: 5, slowCall: 500ms, slowCallRate: 20%, openFor: 60s }";
    await using gateway = await Gateway.start({
      config: config(`u: { targets: [ { url: "${service.url}" } ], pool: { connections: 1 }, ${breaker} }`, "accessLog: true"),
    });
    onTestFailed(() => console.error(gateway.report()));
    const port = Number(new URL(gateway.url).port);
    expect(await askTimes(port, 12)).toEqual(Array(12).fill({ status: 200 }));
    expect(await breakerStates(gateway)).toEqual(["closed", "closed"]);
  });
});

// Where a gateway can listen: several places at once, Unix sockets and IPv6, on both engines; and who the client is there.
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

let folder: string;
let upstream: RawUpstream;
const gateways = new Map<"trusting" | "wary", Gateway>();

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-addresses-"));
  upstream = await RawUpstream.start();
  for (const name of ["trusting", "wary"] as const) {
    const listeners = ENGINES.flatMap((engine) => {
      const named = `engine: ${engine}`;
      const places = [`unix:${folder}/${name}-${engine}.sock`, "[::1]:0", "127.0.0.1:0", "[::]:0", "127.0.0.2:0"];
      return places.map((place) => `{ address: "${place}", ${named} }`);
    });
    gateways.set(
      name,
      await Gateway.start({
        config: `version: 1
workers: 2
admin: false
trustedProxies: ${name === "trusting" ? "[ unix ]" : "[]"}
listeners: [ ${listeners.join(", ")} ]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] } }
routes:
  - { name: all, match: { path: /** }, to: u }
  - { name: inside, match: { path: /inside/** }, ip: { allow: [ 127.0.0.0/8, "::1" ] }, to: u }
  - { name: not-there, match: { path: /not-there/** }, ip: { deny: [ 127.0.0.1 ] }, to: u }
`,
      }),
    );
  }
});
afterAll(async () => {
  for (const gateway of gateways.values()) await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const PLACES = ["unix", "[::1]", "127.0.0.1", "[::]", "127.0.0.2"] as const;
type Place = (typeof PLACES)[number];

function gatewayOf(name: "trusting" | "wary"): Gateway {
  const gateway = gateways.get(name);
  if (gateway === undefined) throw new Error("not started");
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

/** @returns what to connect to: a port, or the path of a socket */
function where(gateway: Gateway, engine: Engine, place: Place): number | string {
  const url = gateway.urls[ENGINES.indexOf(engine) * PLACES.length + PLACES.indexOf(place)] ?? "";
  return place === "unix" ? url.replace(/^unix:/, "") : Number(new URL(url).port);
}

let runs = 0;
const fresh = (prefix = ""): string => `${prefix}/a-${++runs}`;

/** One request. @returns status, and X-Forwarded-For and Forwarded as the service got them */
async function ask(options: net.NetConnectOpts, target: string, fields = ""): Promise<{ status: number; seen: string[] }> {
  const socket = net.connect(options);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
  socket.write(`GET ${target} HTTP/1.1\r\nHost: a.test\r\n${fields}Connection: close\r\n\r\n`);
  await new Promise((resolve, reject) => socket.once("close", resolve).once("error", reject));
  const [request] = upstream.to(target);
  const seen = request === undefined ? [] : ["x-forwarded-for", "forwarded"].flatMap((name) => valuesOf(request, name));
  return { status: Number(text.slice(9, 12)), seen };
}

describe.each(ENGINES)("%s", (engine) => {
  it.each([
    ["[::1]", "::1", ["::1", 'for="[::1]";proto=http;host=a.test']],
    ["127.0.0.1", "127.0.0.1", ["127.0.0.1", "for=127.0.0.1;proto=http;host=a.test"]],
    ["127.0.0.2", "127.0.0.2", ["127.0.0.1", "for=127.0.0.1;proto=http;host=a.test"]],
    ["[::]", "::1", ["::1", 'for="[::1]";proto=http;host=a.test']],
    // The wildcard takes IPv4 too; the address is told as IPv4, not as ::ffff:127.0.0.1.
    ["[::]", "127.0.0.1", ["127.0.0.1", "for=127.0.0.1;proto=http;host=a.test"]],
  ] as const)("serves %s for %s", async (place, host, seen) => {
    const port = Number(where(gatewayOf("wary"), engine, place));
    const localAddress = host === "::1" ? "::1" : "127.0.0.1";
    expect(await ask({ host, port, localAddress }, fresh())).toEqual({ status: 200, seen });
    expect(await ask({ host, port, localAddress }, fresh("/inside"))).toMatchObject({ status: 200 });
    expect(await ask({ host, port, localAddress }, fresh("/not-there"))).toMatchObject({ status: host === "::1" ? 200 : 403 });
  });

  it("serves only what it listens on", async () => {
    const port = Number(where(gatewayOf("wary"), engine, "127.0.0.2"));
    await expect(ask({ host: "127.0.0.1", port }, fresh())).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("has no client address on a Unix socket, believes nothing it is told there, and denies where an address is asked for", async () => {
    const socket = { path: String(where(gatewayOf("wary"), engine, "unix")) };
    const told = "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1;proto=https\r\n";
    expect(await ask(socket, fresh(), told)).toEqual({ status: 200, seen: ["for=unknown;proto=http;host=a.test"] });
    expect(await ask(socket, fresh("/inside"), told)).toEqual({ status: 403, seen: [] });
    expect(await ask(socket, fresh("/not-there"), told)).toMatchObject({ status: 200 });
  });

  it("believes who connects over a Unix socket with trustedProxies: [unix], and nobody else", async () => {
    const gateway = gatewayOf("trusting");
    const socket = { path: String(where(gateway, engine, "unix")) };
    const told = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    const { status, seen } = await ask(socket, fresh(), told);
    expect([status, seen[0]]).toEqual([200, "203.0.113.9"]);
    expect(seen[1]).toBe("for=203.0.113.9;proto=https;host=a.test, for=unknown");
    const local = "X-Forwarded-For: 127.0.0.1\r\n";
    expect(await ask(socket, fresh("/inside"), local)).toMatchObject({ status: 200 });
    expect(await ask(socket, fresh("/not-there"), local)).toMatchObject({ status: 403 });
    const port = Number(where(gateway, engine, "127.0.0.1"));
    expect((await ask({ host: "127.0.0.1", port }, fresh(), told)).seen[0]).toBe("127.0.0.1");
  });

  it("carries bodies both ways over a Unix socket, and notices when a client goes", async () => {
    const target = fresh();
    const body = "x".repeat(1_000_000);
    upstream.on(target, (connection, request) => {
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${request.body.length}\r\n\r\n`);
      connection.write(request.body);
    });
    await using client = await RawClient.connect(where(gatewayOf("wary"), engine, "unix"));
    client.send(`POST ${target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    expect((await client.response()).body.toString()).toBe(body);
    const hanging = fresh();
    let held: net.Socket | null = null;
    upstream.on(hanging, (connection) => {
      held = connection.socket;
    });
    client.send(`GET ${hanging} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
    await upstream.received(hanging);
    client.destroy();
    await until("the service's connection is closed", () => held?.closed === true);
  });
});

it("two instances do not share a Unix socket; one that a dead instance left is taken", async () => {
  const place = path.join(folder, "left.sock");
  const config = `version: 1
workers: 1
admin: false
listeners: [ { address: "unix:${place}" } ]
routes: [ { name: all, match: {}, respond: { body: here } } ]
`;
  // Somebody who binds the path and dies without removing it.
  const script = `require("node:net").createServer().listen(${JSON.stringify(place)}, () => process.kill(process.pid, "SIGKILL"))`;
  await new Promise((resolve) => spawn(process.execPath, ["-e", script]).once("close", resolve));
  expect(fs.existsSync(place)).toBe(true);
  await using gateway = await Gateway.start({ config });
  onTestFailed(() => console.error(gateway.report()));
  const second = Gateway.spawn({ config });
  expect(await second.exited).toEqual({ code: 1, signal: null });
  expect(second.output).toContain(place);
  expect(await ask({ path: place }, "/x")).toMatchObject({ status: 200 });
});

it.each(ENGINES)(
  "a Unix socket is there at every moment while its listener is opened anew and while workers come and go: %s",
  async (engine) => {
    const place = path.join(folder, `steady-${engine}.sock`);
    const config = (idle: number): string => `version: 1
workers: 2
listeners: [ { address: "unix:${place}", engine: ${engine} } ]
admin: { address: "127.0.0.1:0" }
limits: { idleTimeout: ${idle}s }
routes: [ { name: all, match: {}, respond: { body: here } } ]
`;
    await using gateway = await Gateway.start({ config: config(10) });
    onTestFailed(() => console.error(gateway.report()));
    const failures: string[] = [];
    let answers = 0;
    let stopped = false;
    const client = (async () => {
      while (!stopped) {
        await ask({ path: place }, "/x").then(
          ({ status }) => (status === 200 ? answers++ : failures.push(`status ${status}`)),
          (error) => failures.push(String(error)),
        );
      }
    })();
    for (let round = 1; round <= 5; round++) {
      const before = answers;
      gateway.writeConfig(config(10 + round));
      await gateway.said("reloaded", round);
      await until("traffic goes on", () => answers > before + 20 || failures.length > 0);
    }
    // The listeners before are closed once they are idle: the path must outlive them.
    const old = answers;
    await until("traffic goes on", () => answers > old + 200 || failures.length > 0);
    stopped = true;
    await client;
    expect(failures).toEqual([]);
    await gateway.admin("POST", "/debug/crash?worker=0");
    await gateway.said("a worker was replaced");
    await expect.poll(() => ask({ path: place }, "/x").catch(String), { timeout: 10_000 }).toMatchObject({ status: 200 });
  },
);

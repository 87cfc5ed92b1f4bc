// Where requests go besides their upstream: mirrors, canaries and maintenance, switched while traffic goes on.
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { expect, it, onTestFailed } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { parsePrometheus } from "../../support/prometheus-parser.ts";
import { OK, RawUpstream } from "../../support/raw-upstream.ts";
import { Service } from "../../support/service.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

/** MIRRORED_MAX of proxy/mirror.ts. */
const MIRRORED_MAX = 256;

const config = (upstreams: string, routes: string): string => `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams: ${upstreams}
routes: ${routes}
`;
const target = (port: number): string => `targets: [ { url: "http://127.0.0.1:${port}" } ]`;

async function metric(gateway: Gateway, name: string): Promise<number> {
  const { body } = await gateway.admin("GET", "/metrics");
  return parsePrometheus(String(body)).get(name)?.samples[0]?.value ?? -1;
}

it("a mirror gets what the service gets: rewritten, with bodies up to what is kept for another attempt", async () => {
  await using main = await RawUpstream.start();
  await using shadow = await RawUpstream.start();
  const upstreams = `{ main: { ${target(main.port)}, retry: { bufferBytes: 4KiB } }, shadow: { ${target(shadow.port)}, preserveHost: true } }`;
  const route = `{ name: all, match: { path: "/m/**" }, rewrite: { stripPrefix: /m }, headers: { request: { set: { x-set: yes } } }, to: main, mirror: { upstream: shadow } }`;
  await using gateway = await Gateway.start({ config: config(upstreams, `[ ${route} ]`) });
  onTestFailed(() => console.error(gateway.report()));
  const send = async (name: string, init: RequestInit): Promise<void> => {
    const response = await fetch(`${gateway.url}/m/${name}?q=1`, { ...init, headers: { "x-request-id": name } });
    expect(await response.text()).toBe("ok");
  };
  await send("get", {});
  await send("post", { method: "POST", body: "hello" });
  await send("put", { method: "PUT", body: "x".repeat(4096) });
  await send("large", { method: "POST", body: "x".repeat(5000) });
  const chunked = new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("streamed"));
      controller.close();
    },
  });
  await send("chunked", { method: "POST", body: chunked, duplex: "half" } as RequestInit); // `duplex` is not in the type yet
  await send("last", {});
  await shadow.received("/last");
  expect(shadow.requests.map(({ method, target: where, body }) => `${method} ${where} ${body.length}`)).toEqual([
    "GET /get?q=1 0",
    "POST /post?q=1 5",
    "PUT /put?q=1 4096",
    "GET /last?q=1 0",
  ]);
  const value = (list: readonly (readonly [string, string])[] | undefined, name: string) => list?.find(([each]) => each === name)?.[1];
  for (const name of ["x-set", "x-request-id", "x-forwarded-for"])
    expect(value(shadow.to("/post")[0]?.fields, name)).toBe(value(main.to("/post")[0]?.fields, name));
  expect(shadow.faults).toEqual([]);
});

it("a mirror that is down, resets, stalls or answers without end is not seen by anybody, and its copies are bounded", async () => {
  await using main = await RawUpstream.start();
  await using shadow = await RawUpstream.start();
  const kept = "timeouts: { total: 60s, response: 50s }";
  const upstreams = `{ main: { ${target(main.port)} }, shadow: { ${target(shadow.port)}, ${kept} }, nobody: { ${target(1)} } }`;
  const routes = ["shadow", "nobody"].map(
    (name) => `{ name: ${name}, match: { path: "/${name}/**" }, to: main, mirror: { upstream: ${name} } }`,
  );
  await using gateway = await Gateway.start({ config: config(upstreams, `[ ${routes.join(", ")} ]`) });
  onTestFailed(() => console.error(gateway.report()));
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const ask = (where: string): Promise<number> =>
    new Promise((resolve, reject) => {
      http
        .get(gateway.url + where, { agent }, (response) => response.resume().once("end", () => resolve(response.statusCode ?? 0)))
        .once("error", reject);
    });
  for (let i = 0; i < 20; i++) expect(await ask("/nobody/x")).toBe(200);
  shadow.on("/shadow/reset", (connection) => connection.reset());
  shadow.on("/shadow/endless", (connection) => {
    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const more = (): void => {
      while (!connection.closed && connection.socket.write(`10000\r\n${"x".repeat(0x10000)}\r\n`));
      if (!connection.closed) connection.socket.once("drain", more);
    };
    more();
  });
  shadow.on("/shadow/half", (connection) => connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
  for (const kind of ["reset", "endless", "half"]) for (let i = 0; i < 5; i++) expect(await ask(`/shadow/${kind}`)).toBe(200);
  // What nobody wants to read is given up soon, its connection too.
  await until("their connections are closed", () => shadow.connections.every(({ closed }) => closed), 10_000);
  shadow.on("/shadow/stall", () => {});
  const [sent, dropped] = [await metric(gateway, "sluice_mirrored_total"), await metric(gateway, "sluice_mirror_dropped_total")];
  const count = MIRRORED_MAX + 50;
  const statuses = await Promise.all(Array.from({ length: count }, () => ask("/shadow/stall")));
  expect(new Set(statuses)).toEqual(new Set([200]));
  expect(await metric(gateway, "sluice_mirrored_total")).toBe(sent + MIRRORED_MAX);
  expect(await metric(gateway, "sluice_mirror_dropped_total")).toBe(dropped + 50);
  agent.destroy();
  // A drain waits for nobody's copies.
  expect(await gateway.stop()).toBe(0);
  expect(gateway.lines("stopped")).toMatchObject([{ cut: 0 }]);
});

it("a mirror takes its share by percent, and its failures eject nobody else", async () => {
  await using main = await Service.start("main");
  await using shadow = await Service.start("shadow");
  shadow.status = 500;
  const upstreams = `{ main: { ${target(main.port)} }, shadow: { ${target(shadow.port)}, health: { passive: false } } }`;
  const routes = `[ { name: all, match: {}, to: main, mirror: { upstream: shadow, percent: 25 } } ]`;
  await using gateway = await Gateway.start({ config: config(upstreams, routes) });
  onTestFailed(() => console.error(gateway.report()));
  for (let i = 0; i < 400; i++) expect((await fetch(gateway.url)).status).toBe(200);
  // 400 draws with p = 1/4: five standard deviations.
  expect(Math.abs(shadow.requests - 100)).toBeLessThan(44);
});

it("a canary grows by reload, share by share, and no request fails", async () => {
  await using stable = await Service.start("stable");
  await using canary = await Service.start("canary");
  const upstreams = `{ stable: { ${target(stable.port)} }, canary: { ${target(canary.port)} } }`;
  const routes = (share: number): string => `
  - { name: all, match: {}, weighted: [ { upstream: stable, weight: ${100 - share} }, { upstream: canary, weight: ${share} } ] }
  - { name: testers, match: { headers: { x-canary: always } }, to: canary }`;
  await using gateway = await Gateway.start({ config: config(upstreams, routes(0)) });
  onTestFailed(() => console.error(gateway.report()));
  expect(await (await fetch(gateway.url, { headers: { "x-canary": "always" } })).text()).toBe("canary");
  canary.requests = 0;
  const client = new SteadyClient({ url: gateway.url, connections: 4, keepAlive: true });
  for (const [i, share] of [0, 5, 50, 100].entries()) {
    if (i > 0) {
      gateway.writeConfig(config(upstreams, routes(share)));
      await gateway.said("reloaded", i);
    }
    // Those under way finish as they began.
    const [s, c] = [stable.requests, canary.requests];
    await until("traffic goes on", () => stable.requests - s + canary.requests - c >= 400, 20_000);
    const [toStable, toCanary] = [stable.requests - s, canary.requests - c];
    const expected = ((toStable + toCanary) * share) / 100;
    const deviation = Math.sqrt(((toStable + toCanary) * share * (100 - share)) / 10_000);
    expect(Math.abs(toCanary - expected)).toBeLessThanOrEqual(5 * deviation + 4);
  }
  await client.stop();
  expect(client.failures).toEqual([]);
});

it("maintenance mode: an overlay is switched on and off by reload, and requests under way finish", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-overlay-"));
  const overlay = path.join(folder, "overlay.yaml");
  const off = "version: 1\n";
  fs.writeFileSync(overlay, off);
  await using main = await RawUpstream.start();
  const upstreams = `{ main: { ${target(main.port)} } }`;
  const routes = `[ { name: shop, match: { path: "/shop/**" }, to: main }, { name: rest, match: { path: "/**" }, to: main } ]`;
  await using gateway = await Gateway.start({ config: config(upstreams, routes), args: ["-c", overlay] });
  onTestFailed(() => console.error(gateway.report()));
  const ask = async (where: string): Promise<string> => {
    const response = await fetch(gateway.url + where);
    return `${response.status} ${response.headers.get("retry-after")} ${await response.text()}`;
  };
  expect(await ask("/shop/x")).toBe("200 null ok");
  let answer: (() => void) | null = null;
  main.on("/shop/slow", (connection) => {
    answer = () => connection.write(OK);
  });
  const slow = ask("/shop/slow");
  await main.received("/shop/slow");
  const page = `{ status: 503, retryAfter: 2m, body: "back soon" }`;
  fs.writeFileSync(
    overlay,
    `version: 1\nroutes: [ { name: shop, match: { path: "/shop/**" }, to: main, respond: ${page} }, { name: rest, match: { path: "/**" }, to: main } ]\n`,
  );
  await gateway.said("reloaded");
  expect(await ask("/shop/x")).toBe("503 120 back soon");
  expect(await ask("/else")).toBe("200 null ok");
  const answerNow: (() => void) | null = answer;
  (answerNow as (() => void) | null)?.(); // set by the handler, which the compiler does not see
  expect(await slow).toBe("200 null ok");
  fs.writeFileSync(overlay, off);
  await gateway.said("reloaded", 2);
  expect(await ask("/shop/x")).toBe("200 null ok");
  fs.rmSync(folder, { recursive: true });
});

// Start, ready line, drain, signals, refusals at start: real processes.
import { request } from "node:http";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { isAlive } from "../../../src/control/instance/process-status.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { until } from "../../support/until.ts";

const config = (upstream: string, more = "") => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${upstream}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
${more}`;

test("says once that it is ready, serves, drains what is under way on SIGTERM and exits 0", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  expect(gateway.stdout).toMatch(new RegExp(`^ready http://127\\.0\\.0\\.1:\\d+ pid ${gateway.pid} version 1\\n`));
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({ status: 200, body: { status: "ready", concerns: [] } });
  const slow = fetch(`${gateway.url}/x?ms=700`);
  await until("the slow request has arrived", () => origin.requests === 2);
  gateway.signal("SIGTERM");
  await gateway.said("stopping");
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({ status: 503, body: { status: "draining" } });
  const answer = await slow;
  expect(answer.status).toBe(200);
  expect(await answer.text()).toBe("one");
  expect(await gateway.stop()).toBe(0);
  expect(gateway.lines("stopped")).toMatchObject([{ cut: 0 }]);
  expect(gateway.stdout.match(/^ready /gm)).toHaveLength(1);
});

test("a keep-alive connection is told to close while draining", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  const closed = new Promise<string | undefined>((resolve, reject) => {
    request(`${gateway.url}/x?ms=500`, { headers: { connection: "keep-alive" } }, (response) => {
      response.resume().once("end", () => resolve(response.headers.connection));
    })
      .once("error", reject)
      .end();
  });
  await until("the request has arrived", () => origin.requests === 1);
  gateway.signal("SIGTERM");
  expect(await closed).toBe("close");
  expect(await gateway.stop()).toBe(0);
});

test("a second request to stop cuts what is under way", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  const slow = fetch(`${gateway.url}/x?ms=30000`).then(
    () => "answered",
    () => "cut",
  );
  await until("the slow request has arrived", () => origin.requests === 1);
  gateway.signal("SIGTERM");
  await gateway.said("stopping");
  // Signals that come together are one request: the second counts once some time has passed, so it is repeated until it does.
  while (gateway.lines("stopping at once").length === 0 && !gateway.gone) {
    gateway.signal("SIGTERM");
    await Promise.race([gateway.exited, new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  expect(await slow).toBe("cut");
  expect(await gateway.stop()).toBe(0);
  expect(gateway.lines("stopped")).toMatchObject([{ cut: 1 }]);
});

test("drainTimeout bounds the drain", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url, "drainTimeout: 200ms") });
  const slow = fetch(`${gateway.url}/x?ms=30000`).catch(() => "cut");
  await until("the slow request has arrived", () => origin.requests === 1);
  expect(await gateway.stop()).toBe(0);
  expect(await slow).toBe("cut");
});

test("a wrong configuration is exit status 1, with every error and no restart", async () => {
  const gateway = Gateway.spawn({ config: "version: 1\nadmin: false\nlisteners: []\nroots: []\n" });
  expect(await gateway.exited).toEqual({ code: 1, signal: null });
  expect(gateway.output).toContain("routes");
  expect(gateway.output).not.toContain("the primary died");
});

test("a port that another process holds is refused, naming it", async () => {
  const server = createServer();
  // Shared ports too: SO_REUSEPORT alone must not let two gateways run by mistake.
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, reusePort: true }, resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const gateway = Gateway.spawn({ config: config("http://127.0.0.1:1").replace("127.0.0.1:0", `127.0.0.1:${port}`) });
  expect(await gateway.exited).toEqual({ code: 1, signal: null });
  expect(gateway.output).toContain(`127.0.0.1:${port}: process ${process.pid}`);
  expect(gateway.output).toContain("--takeover");
  server.close();
});

test("without supervisor it is one process, and the ready line names it", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url), args: ["--no-supervisor"] });
  expect(gateway.stdout).toContain(` pid ${gateway.pid} version 1\n`);
  expect(gateway.primaryPid).toBe(gateway.pid);
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  expect(await gateway.stop()).toBe(0);
});

test("a primary whose supervisor is gone drains and ends", async () => {
  await using origin = await Origin.start("one");
  const gateway = await Gateway.start({ config: config(origin.url) });
  const primary = gateway.primaryPid;
  gateway.signal("SIGKILL");
  await until("the primary has ended", () => !isAlive(primary), 10_000);
  await gateway.exited;
  expect(gateway.lines("stopped")).toMatchObject([{ cut: 0 }]);
});

test("unknown commands and arguments are exit status 2, with the nearest name", async () => {
  const gateway = Gateway.spawn({ config: "admin: false", args: ["--takeovr"] });
  expect(await gateway.exited).toEqual({ code: 2, signal: null });
  expect(gateway.output).toContain("--takeovr");
});

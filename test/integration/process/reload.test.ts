// Reload under traffic: nothing fails, a bad configuration changes nothing, listeners come and go.
import { connect } from "node:net";
import { expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

const config = (upstream: string, listeners = `[ { address: "127.0.0.1:0" } ]`) => `
version: 1
workers: 2
listeners: ${listeners}
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${upstream}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
`;

/** @returns `connected`, or the code of what came instead */
function connectionTo(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve("connected");
    });
    socket.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
  });
}

test("reloads by admin call, signal and file change lose no request", async () => {
  await using one = await Origin.start("one");
  await using two = await Origin.start("two");
  await using gateway = await Gateway.start({ config: config(one.url) });
  const client = new SteadyClient({ url: `${gateway.url}/x`, connections: 8, keepAlive: true });
  await until("traffic flows", () => client.ok > 50);
  for (let i = 0; i < 10; i++) expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200, body: { version: i + 2 } });
  gateway.signal("SIGHUP");
  await gateway.said("reloaded", 11);
  gateway.writeConfig(config(two.url));
  const reloaded = await gateway.said("reloaded", 12);
  expect(reloaded).toMatchObject({ changes: ["upstream changed: origin"], reasons: [expect.stringContaining("changed: ")] });
  await until("the new upstream is used", () => (client.bodies.get("two") ?? 0) > 50);
  await client.stop();
  expect(client.failures).toEqual([]);
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("two");
});

test("in-flight requests finish on the plan they began with", async () => {
  await using one = await Origin.start("one");
  await using two = await Origin.start("two");
  await using gateway = await Gateway.start({ config: config(one.url) });
  const slow = fetch(`${gateway.url}/x?ms=800`);
  await until("the slow request has arrived", () => one.requests === 1);
  gateway.writeConfig(config(two.url));
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("two");
  expect(await (await slow).text()).toBe("one");
});

test("a bad configuration is refused whole, with every error, and the old plan serves on", async () => {
  await using one = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(one.url) });
  gateway.writeConfig(config(one.url).replace("to: origin", "to: nowhere").replace("workers: 2", "wrkers: 2"));
  const { status, body } = await gateway.admin("POST", "/reload");
  expect(status).toBe(422);
  expect(JSON.stringify(body)).toContain("wrkers");
  expect(JSON.stringify(body)).toContain("nowhere");
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  expect((await gateway.admin("GET", "/metrics")).body).toContain('sluice_reloads_total{result="failed"}');
  const concern = expect.stringMatching(/^the last reload was refused \(problems: 2\): plan 1 stays in force/);
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({ status: 200, body: { concerns: [concern] } });
  gateway.writeConfig(config(one.url));
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({ body: { concerns: [] } });
});

test("a listener is added, one with a held port is refused, one is removed; the others stay", async () => {
  await using one = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(one.url) });
  await using other = await Gateway.start({ config: config(one.url) });
  const client = new SteadyClient({ url: `${gateway.url}/x`, connections: 4, keepAlive: true });
  gateway.writeConfig(config(one.url, `[ { address: "127.0.0.1:0" }, { address: "127.0.0.1:${other.port}" } ]`));
  const refused = await gateway.admin("POST", "/reload");
  expect(refused.status).toBe(422);
  expect(JSON.stringify(refused.body)).toContain(`127.0.0.1:${other.port}`);
  const { port } = other;
  expect(await other.stop()).toBe(0);
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200, body: { changes: [`listener added: 127.0.0.1:${port}`] } });
  expect(await (await fetch(`http://127.0.0.1:${port}/x`)).text()).toBe("one");
  gateway.writeConfig(config(one.url));
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });
  expect(await connectionTo(port)).toBe("ECONNREFUSED");
  const before = client.ok;
  await until("traffic goes on", () => client.ok > before + 50);
  await client.stop();
  expect(client.failures).toEqual([]);
});

test("a setting that needs a restart is said, not silently ignored", async () => {
  await using one = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(one.url) });
  gateway.writeConfig(config(one.url).replace("workers: 2", "workers: 1"));
  expect(await gateway.admin("POST", "/reload")).toMatchObject({
    status: 200,
    body: { warnings: [expect.stringContaining("workers changed")] },
  });
});

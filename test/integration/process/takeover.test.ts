// The upgrade procedure: a new instance takes the port over while clients keep connecting.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { takeTurn } from "../../../src/control/instance/turn.ts";
import { Gateway, type GatewayOptions } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

const config = (upstream: string, port = 0, adminPort = 0) => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:${port}" } ]
admin: { address: "127.0.0.1:${adminPort}" }
upstreams: { origin: { targets: [ { url: "${upstream}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
`;

test("a new instance takes over port and admin address; the old one drains; no request is lost", async () => {
  await using origin = await Origin.start("one");
  const old = await Gateway.start({ config: config(origin.url) });
  const next = config(origin.url, old.port, Number(new URL(old.adminUrl).port));
  const refused = Gateway.spawn({ config: next, runDirectory: old.runDirectory });
  expect(await refused.exited).toEqual({ code: 1, signal: null });
  const keepAlive = new SteadyClient({ url: `${old.url}/x`, connections: 4, keepAlive: true });
  const connecting = new SteadyClient({ url: `${old.url}/x`, connections: 2, keepAlive: false });
  await until("traffic flows", () => keepAlive.ok > 50 && connecting.ok > 50);
  await using successor = await Gateway.start({ config: next, runDirectory: old.runDirectory, args: ["--takeover"] });
  expect(await old.exited).toEqual({ code: 0, signal: null });
  expect(successor.adminUrl).toBe(old.adminUrl);
  expect(await successor.admin("GET", "/readyz")).toMatchObject({ status: 200 });
  const before = [keepAlive.ok, connecting.ok];
  await until("traffic goes on", () => keepAlive.ok > (before[0] ?? 0) + 50 && connecting.ok > (before[1] ?? 0) + 50);
  await Promise.all([keepAlive.stop(), connecting.stop()]);
  expect(keepAlive.failures).toEqual([]);
  // Never refused. Where the kernel does not migrate connections out of a closing accept queue, it may reset them: the log says so.
  const migrates = readFileSync("/proc/sys/net/ipv4/tcp_migrate_req", "utf8").trim() === "1";
  expect(connecting.failures.filter((failure) => migrates || !failure.startsWith("ECONNRESET"))).toEqual([]);
  if (!migrates) expect(successor.output).toContain("tcp_migrate_req");
});

test("--takeover where nobody is to be replaced just starts; a stranger's port stays refused", async () => {
  await using origin = await Origin.start("one");
  await using first = await Gateway.start({ config: config(origin.url), args: ["--takeover"] });
  expect(await (await fetch(`${first.url}/x`)).text()).toBe("one");
  const stranger = Gateway.spawn({ config: config(origin.url, Number(new URL(origin.url).port)), args: ["--takeover"] });
  expect(await stranger.exited).toEqual({ code: 1, signal: null });
  expect(stranger.output).toContain("holds the port");
});

/** None of them goes on before all of them have looked who is there. */
async function startedAtOnce(count: number, options: GatewayOptions & { readonly runDirectory: string }, port: number): Promise<Gateway[]> {
  const directory = options.runDirectory;
  using _turn = await takeTurn({ directory, waitMsMax: 10_000, about: [`127.0.0.1:${port}`] });
  const all = Array.from({ length: count }, () => Gateway.spawn(options));
  await until("all wait", () => readdirSync(directory).filter((name) => name.endsWith(".turn")).length === 1 + count, 20_000);
  return all;
}

test("of takeovers at once one wins, and the others say so", async () => {
  await using origin = await Origin.start("one");
  const old = await Gateway.start({ config: config(origin.url) });
  const next = { config: config(origin.url, old.port), runDirectory: old.runDirectory, args: ["--takeover"] };
  const all = await startedAtOnce(3, next, old.port);
  await until("but one are gone", () => all.filter((each) => each.gone).length === 2, 30_000);
  expect(await old.exited).toEqual({ code: 0, signal: null });
  const winner = all.find((each) => !each.gone);
  await until("the winner is ready", () => winner?.stdout.includes("ready ") === true, 30_000);
  for (const loser of all.filter((each) => each.gone)) {
    expect(await loser.exited).toEqual({ code: 1, signal: null });
    expect(loser.output).toContain(
      `sluice: process ${winner?.pid} has just taken over 127.0.0.1:${old.port}: of two takeovers at once, one wins`,
    );
  }
  expect(await (await fetch(`${old.url}/x`)).text()).toBe("one");
  // Not for ever: the winner can be taken over in its turn.
  await using last = await Gateway.start(next);
  expect(await winner?.exited).toEqual({ code: 0, signal: null });
  expect(await (await fetch(`${last.url}/x`)).text()).toBe("one");
});

test("of plain starts at once on one port, one wins", async () => {
  await using origin = await Origin.start("one");
  await using first = await Gateway.start({ config: config(origin.url) });
  const { port, runDirectory } = first;
  expect(await first.stop()).toBe(0);
  const all = await startedAtOnce(3, { config: config(origin.url, port), runDirectory }, port);
  await until("but one are gone", () => all.filter((each) => each.gone).length === 2, 30_000);
  const winner = all.find((each) => !each.gone);
  await until("the winner is ready", () => winner?.stdout.includes("ready ") === true, 30_000);
  for (const loser of all.filter((each) => each.gone)) expect(loser.output).toMatch(/holds the port|in use/);
  expect(await winner?.stop()).toBe(0);
});

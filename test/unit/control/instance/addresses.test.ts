import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { boundAddress, checkAddressesFree, listenerUrl, REMEDIES, resolvePorts } from "../../../../src/control/instance/addresses.ts";
import { portHolder } from "../../../../src/control/instance/port-holder.ts";
import type { ListenerPlan } from "../../../../src/plan/listener-plan.ts";
import type { Plan } from "../../../../src/plan/plan.ts";

const listener = (host: string, port: number, unixPath: string | null = null): ListenerPlan => ({
  address: unixPath === null ? `${host}:${port}` : `unix:${unixPath}`,
  host,
  port,
  unixPath,
  engine: "uws",
  engineReason: "",
  tls: null,
  http2: false,
  h2c: false,
  proxyProtocol: false,
  name: "",
  redirectToHttps: null,
  paths: null,
});
const NONE: readonly string[] = [];

test("port 0 becomes a free port, and stays it", async () => {
  // Only the listeners matter here.
  const plan = { listeners: [listener("127.0.0.1", 0), listener("127.0.0.1", 0), listener("127.0.0.1", 8080)] } as unknown as Plan;
  const first = await resolvePorts(plan, {});
  const [a, b, c] = first.plan.listeners.map((each) => each.port);
  expect(a).toBeGreaterThan(0);
  expect(b).toBeGreaterThan(0);
  expect(c).toBe(8080);
  expect(first.picked).toEqual({ "127.0.0.1:0#0": a, "127.0.0.1:0#1": b });
  expect((await resolvePorts(plan, first.picked)).plan).toEqual(first.plan);
});

test("of many listeners with port 0 no two get the same one, nor one that another names", async () => {
  // The system gives any free port, and none of these is held: of so many it gives one twice, as good as certainly.
  const picked = { "127.0.0.1:0#0": 20_001 };
  const plan = { listeners: Array.from({ length: 800 }, () => listener("127.0.0.1", 0)) } as unknown as Plan; // only the listeners matter here
  const ports = (await resolvePorts(plan, picked)).plan.listeners.map((each) => each.port);
  expect(ports[0]).toBe(20_001);
  expect(new Set(ports).size).toBe(800);
});

test("a held port is refused with holder and remedy, also one shared by SO_REUSEPORT", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0, reusePort: true }, resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const held = listener("127.0.0.1", port);
  await expect(checkAddressesFree([held], NONE)).rejects.toThrow(
    new RegExp(`127\\.0\\.0\\.1:${port}: process ${process.pid} .*--takeover`),
  );
  await checkAddressesFree([held], [`127.0.0.1:${port}`]);
  server.close();
});

test("an address written twice is refused, one that this machine does not have is explained", async () => {
  await expect(checkAddressesFree([listener("127.0.0.1", 1), listener("127.0.0.1", 1)], ["127.0.0.1:1"])).rejects.toThrow(/twice/);
  await expect(checkAddressesFree([listener("192.0.2.1", 8080)], NONE)).rejects.toThrow(/no such address/);
});

test("a Unix socket in use is refused, a stale one is cleared", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "sluice-sock-")), "a.sock");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await expect(checkAddressesFree([listener("", 0, path)], NONE)).rejects.toThrow(/another process listens/);
  server.close();
  await checkAddressesFree([listener("", 0, path)], NONE);
});

test("what stands at a Unix socket's path and is no socket is left alone", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-sock-"));
  const file = join(directory, "important");
  writeFileSync(file, "do not lose me");
  await expect(checkAddressesFree([listener("", 0, file)], NONE)).rejects.toThrow(`unix:${file}: there is something other than a socket`);
  expect(readFileSync(file, "utf8")).toBe("do not lose me");
  await expect(checkAddressesFree([listener("", 0, directory)], NONE)).rejects.toThrow(/something other than a socket/);
  const missing = join(directory, "no", "a.sock");
  await expect(checkAddressesFree([listener("", 0, missing)], NONE)).rejects.toThrow(`there is no directory ${join(directory, "no")}`);
});

test("the holder of a port is shown by its command line", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  expect(portHolder(port)).toEqual({ pid: process.pid, command: expect.stringMatching(/node/) });
  await expect(checkAddressesFree([listener("127.0.0.1", port)], NONE, REMEDIES.takeover)).rejects.toThrow(/can't be taken over/);
  await expect(checkAddressesFree([listener("127.0.0.1", port)], NONE, REMEDIES.reload)).rejects.toThrow(/^(?!.*takeover)/);
  server.close();
});

test("addresses as text", () => {
  expect(boundAddress(listener("::1", 80))).toBe("[::1]:80");
  expect(listenerUrl(listener("127.0.0.1", 80))).toBe("http://127.0.0.1:80");
  expect(listenerUrl(listener("", 0, "/a.sock"))).toBe("unix:/a.sock");
});

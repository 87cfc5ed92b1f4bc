import { mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { boundAddress, checkAddressesFree, listenerUrl, resolvePorts } from "../../../../src/control/instance/addresses.ts";
import type { ListenerPlan, Plan } from "../../../../src/plan/plan.ts";

const listener = (host: string, port: number, unixPath: string | null = null): ListenerPlan => ({
  address: unixPath === null ? `${host}:${port}` : `unix:${unixPath}`,
  host,
  port,
  unixPath,
  engine: "uws",
  engineReason: "",
  tls: null,
  proxyProtocol: false,
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

test("addresses as text", () => {
  expect(boundAddress(listener("::1", 80))).toBe("[::1]:80");
  expect(listenerUrl(listener("127.0.0.1", 80))).toBe("http://127.0.0.1:80");
  expect(listenerUrl(listener("", 0, "/a.sock"))).toBe("unix:/a.sock");
});

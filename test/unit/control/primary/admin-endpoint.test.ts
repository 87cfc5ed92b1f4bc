import { type AddressInfo, createServer } from "node:net";
import { afterEach, expect, test } from "vitest";
import { OperatorError } from "../../../../src/base/errors.ts";
import type { AdminDeps } from "../../../../src/control/admin/deps.ts";
import { parseListenAddress } from "../../../../src/control/config/source/address.ts";
import { AdminEndpoint } from "../../../../src/control/primary/admin-endpoint.ts";
import { createLog } from "../../../../src/observe/log.ts";
import { cacheControl, instanceState, instanceTotals } from "../../../support/instance.ts";
import { until } from "../../../support/until.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const DEPS: AdminDeps = {
  token: () => null,
  state: () => instanceState(),
  totals: instanceTotals(),
  plan: () => null,
  config: () => ({}),
  reload: async () => ({ ok: true, version: 1, changes: [], warnings: [] }),
  drain: () => {},
  breakers: () => [],
  cache: cacheControl(),
  warmUp: { state: () => null, order: () => null },
  purge: async () => ({ removed: null, fleet: null }),
  forceBreaker: async () => false,
};

function endpointWithLog() {
  const lines: string[] = [];
  const log = createLog({ output: { write: (text) => lines.push(text) } });
  const endpoint = new AdminEndpoint({ log, deps: DEPS, retryMs: 10 });
  ends.push(() => endpoint.close());
  return { endpoint, said: (): string[] => lines.map((line) => JSON.parse(line).message) };
}

/** A port that somebody else listens on. */
async function held() {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const letGo = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  ends.push(letGo);
  const address = parseListenAddress(`127.0.0.1:${port}`);
  if (address === null) throw new Error("no address");
  return { address, port, letGo };
}

test("an address that somebody else holds is an error of a start", async () => {
  const { address } = await held();
  const { endpoint } = endpointWithLog();
  await expect(endpoint.listen(address, "once")).rejects.toThrow(OperatorError);
});

test("after a restart it is served without the admin address, which is told once, tried again, and taken when it is free", async () => {
  const { address, port, letGo } = await held();
  const { endpoint, said } = endpointWithLog();
  await endpoint.listen(address, "later");
  expect(endpoint.trouble).toContain(`127.0.0.1:${port}`);
  expect(said()).toEqual(["the admin listener is not reachable: serving without it and trying again"]);
  await letGo();
  await until("the address is taken", () => endpoint.trouble === null);
  expect(said()).toEqual(["the admin listener is not reachable: serving without it and trying again", "admin listens"]);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
});

test("a control socket that cannot be made holds up a restart no more than the address does", async () => {
  const { endpoint } = endpointWithLog();
  await endpoint.listenUnix("/proc/no/such.sock", "later");
  expect(endpoint.trouble).toContain("/proc/no/such.sock");
});

test("once closed it tries no more", async () => {
  const { address, port, letGo } = await held();
  const { endpoint, said } = endpointWithLog();
  await endpoint.listen(address, "later");
  await endpoint.close();
  await letGo();
  const again = createServer();
  await new Promise<void>((resolve) => again.listen(port, "127.0.0.1", resolve));
  ends.push(() => new Promise<void>((resolve) => again.close(() => resolve())));
  expect(said()).toHaveLength(1);
});

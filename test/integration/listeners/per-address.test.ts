// limits.connectionsPerAddress: over both engines and two workers, by the peer's address; who stands for many is not counted.
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { NetNamespace } from "../../support/net-namespace.ts";

const LIMIT = 20;
const PROXY = "203.0.113.1";
const PROXY_CONNECTIONS = 5000;
/** Attempts to get more than is allowed. */
const ATTEMPTS = 60;
const HOSTS = { 4: "203.0.113.254", 6: "2001:db8:0:1::254" } as const;

let network: NetNamespace;
let gateway: Gateway;

beforeAll(async () => {
  const addresses = ["1", "2", "3", "4", "5", "254"].map((last) => `203.0.113.${last}/24`);
  network = await NetNamespace.start([
    ...addresses,
    "2001:db8:0:1::254/64",
    "2001:db8:0:2::1/64",
    "2001:db8:0:2::2/64",
    "2001:db8:0:3::1/64",
  ]);
  gateway = await Gateway.start({ config: config(String(LIMIT)), within: network.within });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await network[Symbol.asyncDispose]();
});

const config = (limit: string): string => `version: 1
workers: 2
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
trustedProxies: [ ${PROXY} ]
limits: { connectionsPerAddress: ${limit} }
listeners: [ { address: "[::]:0" }, { address: "[::]:0", engine: net } ]
defaults: { accessLog: false }
routes: [ { name: all, match: {}, respond: { body: here } } ]
`;

function at(engine: Engine, family: 4 | 6 = 4): { readonly host: string; readonly port: number } {
  onTestFailed(() => console.error(gateway.report()));
  return { host: HOSTS[family], port: Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port) };
}

const otherThan = (engine: Engine): Engine => (engine === "uws" ? "net" : "uws");

/** What is closed counts on for a moment, so that it may take several attempts. */
async function openUpTo(from: string, to: { readonly host: string; readonly port: number }, wanted: number): Promise<void> {
  let open = 0;
  await expect
    .poll(
      async () => {
        open += await network.open(from, to, Math.max(0, wanted - open));
        return open;
      },
      { timeout: 20_000 },
    )
    .toBe(wanted);
}

describe.each(ENGINES)("%s", (engine) => {
  it("takes so many from an address and no more, whichever worker and listener they come to, and others as before", async () => {
    const [one, other] = engine === "uws" ? ["203.0.113.2", "203.0.113.3"] : ["203.0.113.4", "203.0.113.5"];
    await openUpTo(one, at(engine), LIMIT / 2);
    await openUpTo(one, at(otherThan(engine)), LIMIT / 2);
    expect(await network.open(one, at(engine), ATTEMPTS)).toBe(0);
    expect(await network.open(one, at(otherThan(engine)), ATTEMPTS)).toBe(0);
    await openUpTo(other, at(engine), LIMIT);
    await network.close(one);
    await openUpTo(one, at(engine), LIMIT);
    expect(await network.open(one, at(engine), ATTEMPTS)).toBe(0);
    await network.close(one);
    await network.close(other);
  });

  it("takes an IPv6 network of 64 bits for one address", async () => {
    await openUpTo("2001:db8:0:2::1", at(engine, 6), LIMIT / 2);
    await openUpTo("2001:db8:0:2::2", at(engine, 6), LIMIT / 2);
    expect(await network.open("2001:db8:0:2::2", at(engine, 6), ATTEMPTS)).toBe(0);
    await openUpTo("2001:db8:0:3::1", at(engine, 6), LIMIT);
    for (const each of ["2001:db8:0:2::1", "2001:db8:0:2::2", "2001:db8:0:3::1"]) await network.close(each);
  });

  it("counts neither peers on loopback nor trusted proxies: one may have 5,000", async () => {
    expect(await network.open("127.0.0.1", { ...at(engine), host: "127.0.0.1" }, ATTEMPTS)).toBe(ATTEMPTS);
    expect(await network.open("::1", { ...at(engine), host: "::1" }, ATTEMPTS)).toBe(ATTEMPTS);
    expect(await network.open(PROXY, at(engine), PROXY_CONNECTIONS)).toBe(PROXY_CONNECTIONS);
    for (const each of ["127.0.0.1", "::1", PROXY]) await network.close(each);
  }, 60_000);
});

it("is told in the log and the metrics, and can be switched off by a reload", async () => {
  await openUpTo("203.0.113.2", at("uws"), LIMIT);
  expect(await gateway.said("an address has limits.connectionsPerAddress connections open: further ones are closed")).toMatchObject({
    level: "warn",
    address: expect.any(String),
    connections: expect.any(Number),
  });
  const metrics = await network.get(`${gateway.adminUrl}/metrics`);
  expect(metrics).toMatch(/^sluice_connections_refused_total\{limit="connectionsPerAddress"\} [1-9]/m);
  gateway.writeConfig(config("none"));
  await gateway.said("reloaded");
  expect(await network.open("203.0.113.2", at("uws"), ATTEMPTS)).toBe(ATTEMPTS);
});

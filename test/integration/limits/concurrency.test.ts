// Places that are held and given back: when answers end, when clients go away, when a worker dies. A real gateway with two workers.
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { expect, test } from "vitest";
import { ask, burst, byStatus } from "../../support/burst.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { until } from "../../support/until.ts";

const PLACES = 6;
const config = (upstream: string) => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${upstream}" } ], timeouts: { response: 60s, total: 60s }, retry: { attempts: 0 } } }
routes: [ { name: all, match: { path: /** }, rateLimit: [ { per: ip, concurrency: ${PLACES} } ], to: origin } ]
`;

/** Requests that are under way at the service and stay so. */
async function hold(gateway: Gateway, origin: Origin): Promise<ClientRequest[]> {
  const before = origin.requests;
  const held = Array.from({ length: PLACES }, () => {
    const asked = request(`${gateway.url}/held?ms=120000`, { agent: false });
    asked.on("error", () => {}); // they are cut
    asked.end();
    return asked;
  });
  await until("all are under way", () => origin.requests === before + PLACES);
  return held;
}

const status = async (gateway: Gateway): Promise<number> => (await ask(`${gateway.url}/x`)).status;

/** Asks until all places are free: every attempt holds its place for a moment only. */
async function allFree(gateway: Gateway): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (byStatus(await burst({ url: `${gateway.url}/x`, requests: PLACES, connections: PLACES }))[200] === PLACES) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("the places never came free");
}

test("as many as there are places at once, over all workers, and never one more", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  const refused: IncomingMessage[] = [];
  const asked = Array.from({ length: 60 }, () =>
    request(`${gateway.url}/held?ms=120000`, { agent: false }, (response) => refused.push(response.resume()))
      .on("error", () => {}) // they are cut
      .end(),
  );
  await until("all others are refused", () => refused.length === 60 - PLACES);
  await until("all places are taken", () => origin.requests === PLACES);
  expect(new Set(refused.map((each) => `${each.statusCode} ${each.headers["retry-after"]}`))).toEqual(new Set(["429 1"]));
  expect(JSON.parse((await ask(`${gateway.url}/x`)).body)).toMatchObject({ code: "concurrency_limited" });
  for (const each of asked) each.destroy();
  await allFree(gateway);
});

test("clients that go away leave their places", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  for (let round = 0; round < 3; round++) {
    const held = await hold(gateway, origin);
    expect(await status(gateway)).toBe(429);
    for (const each of held) each.destroy();
    await allFree(gateway);
  }
  // No place came free twice.
  const held = await hold(gateway, origin);
  expect(byStatus(await burst({ url: `${gateway.url}/x`, requests: 20, connections: 20 }))).toEqual({ 429: 20 });
  for (const each of held) each.destroy();
});

test("a worker that dies leaves the places that it held", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  await hold(gateway, origin);
  expect(await status(gateway)).toBe(429);
  for (const worker of [0, 1]) await gateway.admin("POST", `/debug/crash?worker=${worker}`);
  await gateway.said("a worker was replaced", 2);
  await allFree(gateway);
  const held = await hold(gateway, origin);
  expect(await status(gateway)).toBe(429);
  for (const each of held) each.destroy();
  await allFree(gateway);
});

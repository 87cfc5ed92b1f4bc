// Many HTTP/2 requests in line: the bounds of the line hold, all others are refused, and what they held comes back. test/acceptance/waiting-streams.ts has 100,000.
import { describe, expect, it, onTestFailed } from "vitest";
import { GatedOrigin } from "../../support/gated-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { H2Crowd } from "../../support/h2-crowd.ts";
import { request } from "../../support/raw-h2-client.ts";

const CONNECTIONS = 4;
const STREAMS = 250;
const LIMIT = 2;

describe("the line of an upstream that answers nobody", () => {
  it.each([
    ["requests", "length: 300, bytes: 64MiB", 300],
    ["bytes", "length: 10000, bytes: 400KiB", 100],
  ])("has no more HTTP/2 requests than its bound of %s, and the others are refused", async (_, queue, room) => {
    await using origin = await GatedOrigin.start();
    origin.status = 0;
    await using gateway = await Gateway.start({
      config: `version: 1
workers: 1
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
limits: { streamsPerConnection: ${STREAMS} }
listeners: [ { address: "127.0.0.1:0", h2c: true } ]
upstreams: { u: { targets: [ { url: "${origin.url}" } ], timeouts: { attempt: 60s, total: 60s },
  overload: { mode: on, minimum: ${LIMIT}, maximum: ${LIMIT}, fairBy: { header: x-caller }, queue: { ${queue}, flows: 4096, wait: 60s } } } }
routes: [ { name: all, match: {}, to: u } ]
`,
    });
    onTestFailed(() => console.error(gateway.report()));
    const view = async () => {
      const { body } = await gateway.admin("GET", "/upstreams");
      return (body as { overload: { inFlight: number; waiting: number } }[])[0]?.overload; // the admin listener's documented form
    };
    await using crowd = await H2Crowd.open(Number(new URL(gateway.url).port), CONNECTIONS);
    for (let i = 0; i < CONNECTIONS * STREAMS; i++) crowd.ask(i % CONNECTIONS, request("/x", "GET", ["x-caller", `${i}`]));
    await expect.poll(() => crowd.answered, { timeout: 20_000 }).toBe(CONNECTIONS * STREAMS - room - LIMIT);
    expect(crowd.answers.counts).toEqual({ 503: crowd.answered });
    expect(await view()).toMatchObject({ inFlight: LIMIT, waiting: room });
    expect(origin.requests).toBe(LIMIT);
    crowd.cancelAll();
    await expect.poll(view, { timeout: 20_000 }).toMatchObject({ inFlight: 0, waiting: 0 });
    expect(crowd.closed).toBe(0);
  });
});

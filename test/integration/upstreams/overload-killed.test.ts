// Limit and line over workers that are killed: what they held comes back, and who waits on the others goes on.
import { expect, it, onTestFailed } from "vitest";
import { GatedOrigin } from "../../support/gated-origin.ts";
import { Gateway } from "../../support/gateway.ts";

const LIMIT = 2;
const CLIENTS = 16;

it("places and the line of a killed worker come back, and whoever waits on another is let through", { timeout: 60_000 }, async () => {
  await using origin = await GatedOrigin.start();
  origin.status = 0;
  await using gateway = await Gateway.start({
    config: `version: 1
workers: 2
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams: { u: { targets: [ { url: "${origin.url}" } ], timeouts: { attempt: 50s, total: 50s },
  overload: { mode: on, minimum: ${LIMIT}, maximum: ${LIMIT}, fairBy: { header: x-flow }, queue: { wait: 60s } } } }
routes: [ { name: all, match: {}, to: u } ]
`,
  });
  onTestFailed(() => console.error(gateway.report()));
  const view = async () => {
    const { body } = await gateway.admin("GET", "/upstreams");
    return (body as { overload: object }[])[0]?.overload; // the admin listener's documented form
  };
  for (const worker of [0, 1]) {
    let ended = 0;
    const clients = Array.from({ length: CLIENTS }, (_, i) =>
      fetch(`${gateway.url}/x`, { headers: { connection: "close", "x-flow": `${i}` } })
        .then(({ status }) => status)
        .catch(() => 0)
        .finally(() => ended++),
    );
    await expect.poll(view, { timeout: 10_000 }).toMatchObject({ limit: LIMIT, inFlight: LIMIT, waiting: CLIENTS - LIMIT });
    await gateway.admin("POST", `/debug/crash?worker=${worker}`);
    await gateway.said("a worker was replaced", worker + 1);
    // Answers one after the other: each place that comes free must go to somebody who still waits.
    await expect
      .poll(
        () => {
          origin.release(200);
          return ended;
        },
        { timeout: 30_000 },
      )
      .toBe(CLIENTS);
    expect((await Promise.all(clients)).every((status) => status === 200 || status === 0)).toBe(true);
    await expect.poll(view, { timeout: 10_000 }).toMatchObject({ limit: LIMIT, inFlight: 0, waiting: 0 });
  }
});

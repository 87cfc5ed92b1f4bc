// A primary whose event loop does not turn hears nothing: not that it has to stop, and not that its supervisor is gone.
import { expect, test } from "vitest";
import { isAlive } from "../../../src/control/instance/process-status.ts";
import { Gateway } from "../../support/gateway.ts";
import { until, untilAsync } from "../../support/until.ts";

const CONFIG = `
version: 1
workers: 1
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
routes: [ { name: all, match: { path: /** }, respond: {} } ]
`;

/** The admin listener answers no more. */
async function blocked(gateway: Gateway): Promise<void> {
  await gateway.admin("POST", "/debug/block-primary?ms=100000");
  await untilAsync("the primary is blocked", () =>
    expect(fetch(`${gateway.adminUrl}/healthz`, { signal: AbortSignal.timeout(300) })).rejects.toThrow(),
  );
}

test("a second request to stop ends a stuck primary", async () => {
  const gateway = await Gateway.start({ config: CONFIG });
  const primary = gateway.primaryPid;
  await blocked(gateway);
  expect((await fetch(gateway.url)).status).toBe(200); // workers serve on
  gateway.signal("SIGTERM");
  // Signals that come together are one request: the second counts once some time has passed, so it is repeated until it does.
  while (!gateway.gone) {
    await Promise.race([gateway.exited, new Promise((resolve) => setTimeout(resolve, 500))]);
    if (!gateway.gone) gateway.signal("SIGTERM");
  }
  expect(await gateway.exited).toEqual({ code: 1, signal: null });
  expect(isAlive(primary)).toBe(false);
  expect(gateway.lines("the primary does not stop: killing it")).toMatchObject([{ pid: primary }]);
});

test("a stuck primary does not outlive its supervisor", async () => {
  const gateway = await Gateway.start({ config: CONFIG });
  const primary = gateway.primaryPid;
  await blocked(gateway);
  gateway.signal("SIGKILL");
  await until("the primary is gone", () => !isAlive(primary), 30_000);
  await gateway.exited;
});

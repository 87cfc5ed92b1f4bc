// Thousands of aggregated requests whose legs end by the roll of dice: each answer is what it must be, and nothing is left behind.
import { expect, test } from "vitest";
import { leftBehind, runStorm, startStormService, stormRoutes } from "../../support/aggregate-storm.ts";
import { bothListeners, ENGINES } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";

test("random failures of legs: every answer is right, no call is left, and counters return to zero", async () => {
  await using service = await startStormService();
  await using gateway = await Gateway.start({
    config: bothListeners.replace("admin: false", 'admin: { address: "127.0.0.1:0" }') + stormRoutes(service.url),
  });
  for (const i of ENGINES.keys()) {
    const { answers, wrong, aborted } = await runStorm(gateway.urls[i] ?? "", { requests: 1500, concurrency: 24, seed: 40 + i });
    expect(wrong).toEqual([]);
    expect([answers["200"], answers["502"], answers["504"], aborted].every((count) => (count ?? 0) > 0)).toBe(true);
  }
  expect(await leftBehind(service, async () => String((await gateway.admin("GET", "/metrics")).body))).toBe("");
});

// When a connection has served enough.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { KeptTerms } from "../../../../../src/data/listener/net/connection-terms.ts";
import { PlayedWorker } from "../../../../support/played-worker.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

async function terms(limits: string, random: number): Promise<KeptTerms> {
  const { runtime } = await PlayedWorker.start(
    `version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\nlimits: ${limits}\nroutes: [{ name: r, match: {}, respond: { status: 204 } }]\n`,
  );
  return new KeptTerms({ current: () => runtime }, { certificates: null, serverName: "" }, () => random);
}

const countUntilLast = (kept: KeptTerms, most: number): number => {
  for (let count = 1; count <= most; count++) if (kept.nextIsLast()) return count;
  return Number.POSITIVE_INFINITY;
};

it.each([
  ["{ requestsPerConnection: 100 }", 0, 100],
  ["{ requestsPerConnection: 100 }", 0.5, 95],
  ["{ requestsPerConnection: 100 }", 0.999, 91],
  ["{ requestsPerConnection: 1 }", 0.999, 1],
  ["{ requestsPerConnection: 3 }", 0.999, 3],
  ["{ requestsPerConnection: none }", 0.999, Number.POSITIVE_INFINITY],
])("with limits %s and chance %d the last request is number %d", async (limits, random, last) => {
  expect(countUntilLast(await terms(limits, random), 1000)).toBe(last);
});

it("a request is the last one from a tenth before the age on, at the earliest", async () => {
  const [early, late] = [await terms("{ connectionAge: 10s }", 0.9999999), await terms("{ connectionAge: 10s }", 0)];
  vi.advanceTimersByTime(8999);
  expect([early.nextIsLast(), late.nextIsLast()]).toEqual([false, false]);
  vi.advanceTimersByTime(2);
  expect([early.nextIsLast(), late.nextIsLast()]).toEqual([true, false]);
  vi.advanceTimersByTime(998);
  expect(late.nextIsLast()).toBe(false);
  vi.advanceTimersByTime(1);
  expect(late.nextIsLast()).toBe(true);
});

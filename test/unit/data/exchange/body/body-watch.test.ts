// The patience with a body, by a clock of the test's own.
import { afterEach, expect, test, vi } from "vitest";
import { TimerWheel } from "../../../../../src/base/timer-wheel.ts";
import { BodyWatch, type WatchedBody } from "../../../../../src/data/exchange/body/body-watch.ts";

const SILENCE_MS = 3000;
afterEach(() => vi.restoreAllMocks());

function rig() {
  let nowMs = 1000;
  vi.spyOn(performance, "now").mockImplementation(() => nowMs);
  const wheel = new TimerWheel(() => nowMs);
  const refused: string[] = [];
  const limits = { bodyTimeoutMs: SILENCE_MS, bodyRate: { bytesPerSecond: 100, afterMs: 1000, graceMs: 1000 } };
  const x = { runtime: { limits, services: { wheel } }, route: null, finished: false, closed: false, bytesIn: 0 };
  const body = { x, reading: true, bodyRefused: (_: string, detail: string) => refused.push(detail) } as unknown as WatchedBody; // all of it that is looked at
  const watch = new BodyWatch(body, -1);
  const pass = (ms: number): void => {
    nowMs += ms;
    wheel.advance();
  };
  const come = (bytes: number): void => {
    x.bytesIn += bytes;
    watch.moved();
  };
  return { pass, come, refused, stop: () => wheel.stop() };
}

test("time in which the whole thread stood still is not held against a client: what it sent meanwhile is still to be read", () => {
  const { pass, come, refused, stop } = rig();
  pass(100);
  come(500);
  pass(60_000);
  expect(refused).toEqual([]);
  for (let i = 0; i < 150; i++) {
    come(2);
    pass(10);
  }
  expect(refused).toEqual([]);
  stop();
});

test("after such a time a client that stays silent is held to the limits as before", () => {
  const { pass, refused, stop } = rig();
  pass(60_000);
  expect(refused).toEqual([]);
  for (let i = 0; i < 100; i++) pass(10);
  expect(refused).toEqual(["the body came more slowly than 100 bytes a second (limits.bodyRate)"]);
  stop();
});

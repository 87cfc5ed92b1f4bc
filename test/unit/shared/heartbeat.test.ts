import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { Heartbeat, heartbeatBytes, WORKER_STATES } from "../../../src/shared/heartbeat.ts";

const WORKERS = 3;
const create = (): { buffer: SharedArrayBuffer; heartbeat: Heartbeat } => {
  const buffer = new SharedArrayBuffer(heartbeatBytes(WORKERS));
  return { buffer, heartbeat: new Heartbeat(buffer) };
};

test("cells do not touch each other", () => {
  const { heartbeat } = create();
  for (let i = 0; i < WORKERS; i++) heartbeat.reset(i);
  heartbeat.setState(1, "draining");
  expect([0, 1, 2].map((i) => [heartbeat.state(i), heartbeat.beats(i)])).toEqual([
    ["starting", 0],
    ["draining", 1],
    ["starting", 0],
  ]);
});

test.each(WORKER_STATES.map((state) => [state]))("state %s survives the crossing", (state) => {
  const { heartbeat } = create();
  heartbeat.setState(2, state);
  expect(heartbeat.state(2)).toBe(state);
});

test("a cell that never beat is very old, a reset one is young and starting", () => {
  const { heartbeat } = create();
  heartbeat.setState(0, "failed");
  const never = heartbeat.ageMs(1);
  heartbeat.reset(1);
  heartbeat.reset(0);
  expect(heartbeat.ageMs(1)).toBeLessThan(never);
  expect([heartbeat.state(0), heartbeat.beats(0)]).toEqual(["starting", 0]);
});

test("beats of another thread are on the same clock", async () => {
  const { buffer, heartbeat } = create();
  heartbeat.reset(0);
  const before = process.hrtime.bigint();
  const module = new URL("../../../src/shared/heartbeat.ts", import.meta.url).href;
  const worker = new Worker(
    `const { workerData } = require("node:worker_threads");
     import(workerData.module).then(({ Heartbeat }) => new Heartbeat(workerData.buffer).setState(0, "serving"));`,
    { eval: true, workerData: { buffer, module } },
  );
  await new Promise((resolve) => worker.once("exit", resolve));
  // The age counts from a beat that was made after `before` and before now, whatever the thread's own time origin.
  expect(heartbeat.ageMs(0)).toBeLessThanOrEqual(Number(process.hrtime.bigint() - before) / 1e6);
  expect([heartbeat.state(0), heartbeat.beats(0)]).toEqual(["serving", 1]);
});

test("an index out of range is an error, not someone else's cell", () => {
  expect(() => create().heartbeat.beat(WORKERS)).toThrow(RangeError);
});

test("the policy that a worker is in is read from its own cell, and gone for its replacement", () => {
  const { heartbeat } = create();
  const mark = heartbeat.policyMark(1);
  mark[0] = 7;
  expect([0, 1, 2].map((i) => heartbeat.policySlot(i))).toEqual([0, 7, 0]);
  heartbeat.reset(1);
  expect(heartbeat.policySlot(1)).toBe(0);
});

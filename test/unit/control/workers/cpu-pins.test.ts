// Real threads of this process, really moved; and programs that do not do what they are asked.
import fs from "node:fs";
import { Worker } from "node:worker_threads";
import { afterEach, expect, test, vi } from "vitest";
import { allowedCpusOf, formatCpuList } from "../../../../src/base/cpu-list.ts";
import { CpuPins } from "../../../../src/control/workers/cpu-pins.ts";
import { createLog } from "../../../../src/observe/log.ts";

const WITHIN = { timeout: 8000 };
const ALLOWED = allowedCpusOf(fs.readFileSync("/proc/self/status", "utf8")) ?? [];
const LAST = ALLOWED.at(-1) ?? 0;
const SAYS_ITS_NUMBER = `
const { readlinkSync } = require("node:fs");
const { parentPort } = require("node:worker_threads");
parentPort.postMessage(Number(readlinkSync("/proc/thread-self").split("/").at(-1)));
parentPort.on("message", () => {});`;

const started: Worker[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((each) => each.terminate()));
});

async function startThread(): Promise<number> {
  const worker = new Worker(SAYS_ITS_NUMBER, { eval: true });
  started.push(worker);
  return await new Promise((resolve) => worker.once("message", resolve));
}

function pins(cpus: readonly number[], taskset?: string) {
  const lines: string[] = [];
  const log = createLog({ output: { write: (text) => lines.push(text) } });
  return { pins: new CpuPins({ cpus, log, ...(taskset === undefined ? {} : { taskset }) }), lines };
}

const affinity = (thread: number): string =>
  /^Cpus_allowed_list:\t(.*)$/m.exec(fs.readFileSync(`/proc/self/task/${thread}/status`, "utf8"))?.[1] ?? "";

test("seats take the CPUs in their order, from the first again when there are more", async () => {
  const seats: { readonly seat: number; readonly kernelThread: number }[] = [];
  for (const seat of [0, 1, 2]) seats.push({ seat, kernelThread: await startThread() });
  const { pins: it, lines } = pins([LAST, ALLOWED[0] ?? 0]);
  it.look(seats);
  await vi.waitFor(() => expect(seats.map((seat) => it.cpuOf(seat))).toEqual([LAST, ALLOWED[0], LAST]), WITHIN);
  expect(seats.map((seat) => affinity(seat.kernelThread))).toEqual([LAST, ALLOWED[0], LAST].map(String));
  expect(it.trouble).toBe(null);
  if (ALLOWED.length > 1) expect(lines).toHaveLength(3);
});

test("a seat's next thread is not where the one before was, until it is moved too", async () => {
  const [first, second] = [await startThread(), await startThread()];
  const { pins: it } = pins([LAST]);
  it.look([{ seat: 0, kernelThread: first }]);
  await vi.waitFor(() => expect(it.cpuOf({ seat: 0, kernelThread: first })).toBe(LAST), WITHIN);
  expect(it.cpuOf({ seat: 0, kernelThread: second })).toBe(null);
  expect(it.cpuOf({ seat: 0, kernelThread: 0 })).toBe(null);
  await vi.waitFor(() => {
    it.look([{ seat: 0, kernelThread: second }]);
    expect(it.cpuOf({ seat: 0, kernelThread: second })).toBe(LAST);
  }, WITHIN);
});

test.runIf(ALLOWED.length > 1).each([
  ["/bin/false", /^worker 0 is not pinned to CPU \d+: Command failed/],
  ["/bin/true", new RegExp(`^worker 0 is not pinned to CPU \\d+: it may run on ${formatCpuList(ALLOWED)}$`)],
  ["/no/such/taskset", /^worker 0 is not pinned to CPU \d+: \/no\/such\/taskset is not there \(Debian: util-linux\)$/],
])("%s does not pin: said once, not tried again, and the thread stays as it was", async (taskset, trouble) => {
  const seat = { seat: 0, kernelThread: await startThread() };
  const { pins: it, lines } = pins([LAST], taskset);
  it.look([seat]);
  await vi.waitFor(() => expect(it.trouble).toMatch(trouble), WITHIN);
  for (let i = 0; i < 20; i++) {
    it.look([seat]);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(lines).toHaveLength(1);
  expect(it.cpuOf(seat)).toBe(null);
  expect(affinity(seat.kernelThread)).toBe(formatCpuList(ALLOWED));
});

test("a worker that ends meanwhile is nobody's trouble", async () => {
  const seat = { seat: 0, kernelThread: await startThread() };
  await Promise.all(started.splice(0).map((each) => each.terminate()));
  const { pins: it, lines } = pins([LAST]);
  it.look([seat]);
  const next = { seat: 0, kernelThread: await startThread() };
  await vi.waitFor(() => {
    it.look([next]);
    expect(it.cpuOf(next)).toBe(LAST);
  }, WITHIN);
  expect(it.trouble).toBe(null);
  expect(lines.filter((line) => line.includes("cannot"))).toEqual([]);
});

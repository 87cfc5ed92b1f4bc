import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { semiSpaceMb } from "../../../../src/base/heap.ts";
import { WarmWorkerPool, workerEntry } from "../../../../src/control/workers/warm-worker-pool.ts";

test("run from the sources, a worker's entry is a file that exists", () => {
  expect(existsSync(workerEntry())).toBe(true);
});

test("a worker's young objects are bounded, and its old ones are not: reaching that bound would end the process", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-heap-"));
  const entry = join(folder, "entry.mjs");
  writeFileSync(entry, 'import { parentPort } from "node:worker_threads"; parentPort.on("message", () => {});\n');
  const worker = new WarmWorkerPool(entry, { supervisor: null }).acquire("a");
  const plain = new Worker(entry);
  const online = [worker, plain].map((each) => new Promise((resolve) => each.once("online", resolve)));
  await Promise.all(online);
  expect(worker.resourceLimits?.maxYoungGenerationSizeMb).toBe(3 * semiSpaceMb());
  expect(worker.resourceLimits?.maxOldGenerationSizeMb).toBe(plain.resourceLimits?.maxOldGenerationSizeMb);
  await Promise.all([worker.terminate(), plain.terminate()]);
  rmSync(folder, { recursive: true });
});

test.each([
  [[], "", 8],
  [["--max-semi-space-size=4"], "", 4],
  [["--max_semi_space_size=4"], "--max-semi-space-size=64", 4],
  [[], "--enable-source-maps --max-semi-space-size=64", 64],
  [[], "--max-semi-space-size=0", 8],
  [["--max-old-space-size=100"], "", 8],
] as const)("with flags %j and NODE_OPTIONS %j a semi-space is at most %i MiB", (flags, options, expected) => {
  expect(semiSpaceMb(flags, options)).toBe(expected);
});

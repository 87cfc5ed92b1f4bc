import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { PRIMARY_FLAGS, SEMI_SPACE_MB } from "../../../../src/base/heap.ts";
import { ThreadNursery } from "../../../../src/control/workers/nursery.ts";

test("a worker's young objects are bounded, and its old ones are not: reaching that bound would end the process", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-heap-"));
  const entry = join(folder, "entry.mjs");
  writeFileSync(entry, 'import { parentPort } from "node:worker_threads"; parentPort.on("message", () => {});\n');
  const worker = new ThreadNursery(entry).take("a");
  const plain = new Worker(entry);
  const online = [worker, plain].map((each) => new Promise((resolve) => each.once("online", resolve)));
  await Promise.all(online);
  expect(worker.resourceLimits?.maxYoungGenerationSizeMb).toBe(3 * SEMI_SPACE_MB);
  expect(worker.resourceLimits?.maxOldGenerationSizeMb).toBe(plain.resourceLimits?.maxOldGenerationSizeMb);
  expect(PRIMARY_FLAGS.join(" ")).not.toMatch(/old/);
  await Promise.all([worker.terminate(), plain.terminate()]);
  rmSync(folder, { recursive: true });
});

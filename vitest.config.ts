// Owns how tests run: first unit tests, which compute; then integration tests (real processes and sockets), which mostly wait, so that more
// files than cores run at once; last the few that load the whole machine.
import path from "node:path";
import { defineConfig } from "vitest/config";

// Threads and processes that tests start from sources spend most of their life on stripping types from them: each source once is enough.
process.env["NODE_COMPILE_CACHE"] ??= path.join(import.meta.dirname, "node_modules/.cache/sluice-tests");

/** They make as much load as they can, and so would disturb what runs beside them. */
const LOADS = ["bench/native-bench", "bench/tuning", "faults/*"].map((name) => `test/integration/${name}.test.ts`);

const integration = {
  testTimeout: 60_000,
  hookTimeout: 60_000,
  // Of one file's concurrent tests: they wait for deadlines of the gateway, so all may wait at once.
  maxConcurrency: 100,
  // Real processes on a machine that others load too: one stall must not fail the whole run. Whoever needs it twice is in the report.
  retry: 1,
};

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 10_000 } },
      {
        extends: true,
        test: {
          ...integration,
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          exclude: LOADS,
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { ...integration, name: "integration-load", include: LOADS, maxWorkers: 2, sequence: { groupOrder: 2 } },
      },
    ],
  },
});

// Owns how tests run: unit tests side by side, integration tests (real processes and sockets) one file at a time, as the cores are few.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 10_000 } },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          // Real processes on a machine that others load too: one stall must not fail the whole run. Whoever needs it twice is in the report.
          retry: 1,
        },
      },
    ],
  },
});

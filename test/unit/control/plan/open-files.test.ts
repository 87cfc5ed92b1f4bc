import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { fitOpenFiles, openFilesMax } from "../../../../src/control/plan/open-files.ts";
import { good } from "../../../support/config-text.ts";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max processes             96000                96000                processes
Max open files            1024                 524288               files
Max locked memory         8388608              8388608              bytes
`;

it("the limit of a process", () => {
  expect(openFilesMax(LIMITS)).toBe(1024);
  expect(openFilesMax(LIMITS.replace("1024  ", "unlimited"))).toBe(null);
  expect(openFilesMax("")).toBe(null);
  if (process.platform === "linux") expect(openFilesMax()).toBeGreaterThan(0);
});

/** One upstream with two targets and the room of its pools. */
const plan = (connections: number, pool: number) =>
  compilePlan(
    good([
      `version: 1
listeners: [{ address: 127.0.0.1:0 }]
limits: { connections: ${connections} }
upstreams: { a: { targets: [{ url: http://a }, { url: http://b }], pool: { connections: ${pool} } } }
routes: [{ name: all, match: {}, to: a }]
`,
    ]).config,
    { version: 1, metricSlot: () => 0 },
  );

describe("connections for which there are files", () => {
  // Two workers and two targets: 64 + 2 * 16 + 2 = 98 files are the instance's own.
  it.each([
    ["no limit", { connections: 50_000, pool: 128, files: null, fit: 50_000 }],
    ["just enough: pools are the smaller part", { connections: 1000, pool: 10, files: 1138, fit: 1000 }],
    ["one too few", { connections: 1000, pool: 10, files: 1137, fit: 999 }],
    ["just enough: clients are the smaller part", { connections: 1000, pool: 500, files: 2098, fit: 1000 }],
    ["one too few, half of them for upstreams", { connections: 1000, pool: 500, files: 2097, fit: 999 }],
    ["far too few", { connections: 50_000, pool: 128, files: 1024, fit: 463 }],
    ["none to speak of: one for each worker", { connections: 50_000, pool: 128, files: 50, fit: 2 }],
  ])("%s", (_, { connections, pool, files, fit }) => {
    const before = plan(connections, pool);
    const fitted = fitOpenFiles(before, 2, files);
    expect(fitted.plan).toEqual({ ...before, limits: { ...before.limits, connections: fit } });
    expect(fitted.warning === null).toBe(fit === connections);
  });

  it("what is wanting is said, and with it nothing more is wanting", () => {
    const { warning } = fitOpenFiles(plan(50_000, 128), 2, 1024);
    expect(warning).toBe(
      "limits.connections is 50000, but this process may open 1024 files only: at most 463 connections are taken; " +
        "allow 50610 open files (LimitNOFILE, ulimit -n), or lower limits.connections",
    );
    expect(fitOpenFiles(plan(50_000, 128), 2, 50_610).warning).toBe(null);
  });
});

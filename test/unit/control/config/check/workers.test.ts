// The `workers` key in all its forms, and CPUs that this process may not use.
import { describe, expect, it } from "vitest";
import { workersOf } from "../../../../../src/control/config/check/worker-count.ts";
import { parseConfig } from "../../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, check, good } from "../../../../support/config-text.ts";

const load = (workers: string, allowed: readonly number[] | null) =>
  parseConfig({ texts: [{ file: "c.yaml", text: `${BASE}workers: ${workers}\n` }], cpus: () => allowed });

/** Problems, or else warnings. */
const said = (workers: string, allowed: readonly number[] | null): readonly string[] => {
  const result = load(workers, allowed);
  return (result.ok ? result.warnings : result.problems).map(formatProblem);
};

describe("forms", () => {
  it.each([
    ["auto", { count: "auto", cpus: null }],
    ["3", { count: 3, cpus: null }],
    ["{}", { count: "auto", cpus: null }],
    ["{ count: 4 }", { count: 4, cpus: null }],
    ["{ cpus: auto }", { count: "auto", cpus: "auto" }],
    ["{ count: 2, cpus: [0, 1] }", { count: 2, cpus: [0, 1] }],
    ["{ cpus: 0-1 }", { count: "auto", cpus: [0, 1] }],
    ["{ cpus: '1,0' }", { count: "auto", cpus: [0, 1] }],
    ["{ cpus: [1, 0] }", { count: "auto", cpus: [1, 0] }],
  ])("%s", (text, expected) => {
    const result = load(text, [0, 1]);
    expect(result.ok && result.config.workers).toEqual(expected);
  });
  it("left out", () => expect(good([BASE]).config.workers).toEqual({ count: "auto", cpus: null }));

  check("unknown key", `${BASE}workers: { ‸cpu: [0] }`, "workers.cpu: unknown key; did you mean `cpus`?");
  check("no list", `${BASE}workers: { cpus: ‸0- }`, "workers.cpus: expected auto or CPUs such as 0-3,8 or [0, 1]");
  check("one number", `${BASE}workers: { cpus: ‸2 }`, "workers.cpus: expected auto or CPUs such as 0-3,8 or [0, 1]");
  check("no CPU", `${BASE}workers: { cpus: ‸[] }`, "workers.cpus: expected at least 1 entry");
  check("count out of range", `${BASE}workers: { count: ‸65 }`, "workers.count: expected at most 64");
});

describe("CPUs that this process may not use", () => {
  const refused = (cpus: string, list: string) =>
    `c.yaml:6:18: workers.cpus: this process may not run on CPU ${cpus}; it may run on ${list}; name those, or write auto; a file for another machine is to be validated there`;
  it("are refused, all of them at once", () => {
    expect(said("{ cpus: [0, 2, 3] }", [0, 1])).toEqual([refused("2-3", "0-1")]);
    expect(said("{ cpus: 0-1 }", [0, 4])).toEqual([refused("1", "0,4")]);
    expect(said("{ cpus: [0, 4] }", [0, 4])).toEqual([]);
  });
  it("cannot be told where there is no /proc", () => expect(said("{ cpus: [7000] }", null)).toEqual([]));
  it("are looked for only when the file names some", () => {
    const asked: string[] = [];
    const cpus = (): null => {
      asked.push("");
      return null;
    };
    for (const workers of ["2", "{ cpus: auto }"]) parseConfig({ texts: [{ file: "c.yaml", text: `${BASE}workers: ${workers}\n` }], cpus });
    expect(asked).toEqual([]);
  });
  it("of this machine: what no machine has is refused without being told", () => {
    const text = `${BASE}workers: { cpus: [8191] }\n`;
    const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
    expect(result.ok).toBe(process.platform !== "linux");
  });
});

it("more workers than CPUs deserve a look", () => {
  expect(said("{ count: 3, cpus: [0, 1] }", [0, 1])).toEqual([
    "c.yaml:6:28: workers.cpus: 3 workers share 2 CPUs; name a CPU for each worker",
  ]);
  expect(said("{ count: 1, cpus: [0, 1] }", [0, 1])).toEqual([]);
});

describe("how many workers", () => {
  it.each([
    ["a core each", { count: "auto", cpus: null }, { count: 8, cpus: null }],
    ["as many as said", { count: 3, cpus: null }, { count: 3, cpus: null }],
    ["one for each CPU that is named", { count: "auto", cpus: [1, 3] }, { count: 2, cpus: [1, 3] }],
    ["one for each CPU that may be used", { count: "auto", cpus: "auto" }, { count: 3, cpus: [2, 3, 5] }],
    ["as many as said, on those", { count: 4, cpus: "auto" }, { count: 4, cpus: [2, 3, 5] }],
  ] as const)("%s", (_, config, expected) => expect(workersOf(config, 8, [2, 3, 5])).toEqual(expected));
  it("CPUs are not known", () => expect(workersOf({ count: "auto", cpus: "auto" }, 8, null)).toEqual({ count: 8, cpus: null }));
  it("never more than there is room for", () => {
    const all = Array.from({ length: 128 }, (_, cpu) => cpu);
    expect(workersOf({ count: "auto", cpus: "auto" }, 128, all).count).toBe(64);
  });
});

// What /proc says of processes: parsing, and this process's own tree.
import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { cpuMicros, parseResident, parseStat, processTree, residentBytes } from "../../../../src/cli/bench/process-cost.ts";
import { until } from "../../../support/until.ts";

describe("parseStat", () => {
  const line = (name: string): string => `4242 (${name}) S 17 4242 4242 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 11 0 12345 1000 200`;
  it("adds user and system time, in ticks of 10 ms", () => {
    expect(parseStat(line("node"))).toEqual({ parent: 17, cpuMicros: 3_000_000 });
  });
  it("is not misled by a command's name", () => {
    expect(parseStat(line("a) S 99 (b"))).toEqual({ parent: 17, cpuMicros: 3_000_000 });
  });
  it.each(["", "4242", "4242 (x", "4242 (x) S"])("%j is none", (text) => {
    expect(parseStat(text)).toBeNull();
  });
});

describe("parseResident", () => {
  it("is VmRSS, in bytes", () => {
    expect(parseResident("VmSize:\t 9999 kB\nVmRSS:\t    2048 kB\nRssAnon:\t 1 kB\n")).toBe(2 * 1024 * 1024);
    expect(parseResident("Name:\tkthreadd\n")).toBe(0);
  });
});

describe("a tree of processes", () => {
  it("holds children and their children, and what they use", async () => {
    const child = spawn("sh", ["-c", "sleep 60 & sleep 60 & wait"], { stdio: "ignore" });
    try {
      const pid = child.pid ?? -1;
      await until("the shell has two children", () => processTree(pid).length === 3);
      const tree = processTree(pid);
      expect(tree[0]).toBe(pid);
      expect(processTree(process.pid)).toEqual(expect.arrayContaining([...tree]));
      expect(residentBytes(tree)).toBeGreaterThan(residentBytes([pid]));
      expect(cpuMicros(tree)).toBeGreaterThanOrEqual(cpuMicros([pid]));
    } finally {
      for (const pid of processTree(child.pid ?? -1)) process.kill(pid, "SIGKILL");
    }
  });
  it("of one that is gone costs nothing", () => {
    const gone = 2 ** 22 + 1; // above the kernel's largest pid
    expect([processTree(gone), cpuMicros([gone]), residentBytes([gone])]).toEqual([[gone], 0, 0]);
  });
});

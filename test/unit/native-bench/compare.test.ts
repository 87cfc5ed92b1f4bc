// Two checkouts of a repository: made, built and removed; and what their hot modules' numbers say.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isClear, microPairs, microPairsText, microRefusal } from "../../../native-bench/compare/micro-pairs.ts";
import { OldCheckout } from "../../../native-bench/compare/old-checkout.ts";

/** Several processes of git and Node, one after the other. */
const TIMEOUT_MS = 60_000;

let folder = "";
const git = (...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync("git", ["-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
};

/** A runner that reports a benchmark taking `ns`, and one that the other side has under another name. */
const runner = (ns: number): string =>
  `console.log(JSON.stringify({ file: process.argv[2], costs: [{ name: "both", medianNs: ${ns} }, { name: "only ${ns}", medianNs: 1 }] }));\n`;

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-repo-"));
  git("init", "-q");
  const write = (name: string, text: string): void => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    fs.writeFileSync(path.join(folder, name), text);
  };
  fs.mkdirSync(path.join(folder, "node_modules"));
  fs.writeFileSync(path.join(folder, "node_modules/keep"), "");
  write(".gitignore", "node_modules\ndist\n");
  write("package-lock.json", "{}");
  write("src/build.ts", 'import fs from "node:fs"; fs.mkdirSync("dist"); fs.writeFileSync("dist/main.js", "old");\n');
  write("bench/micro/run.ts", runner(200));
  git("add", "-A");
  git("commit", "-qm", "old");
  write("bench/micro/run.ts", runner(100));
  write("src/build.ts", 'throw new Error("it does not build");\n');
  git("commit", "-qam", "new");
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

describe("OldCheckout", { timeout: TIMEOUT_MS }, () => {
  it("builds the commit elsewhere, and leaves nothing behind", () => {
    let directory = "";
    {
      using old = OldCheckout.make(folder, "HEAD~1", () => {});
      directory = old.directory;
      expect(fs.readFileSync(path.join(directory, "dist/main.js"), "utf8")).toBe("old");
      expect(old.commit).toBe(git("rev-parse", "--short", "HEAD~1"));
    }
    expect(fs.existsSync(directory)).toBe(false);
    expect(git("worktree", "list").split("\n")).toHaveLength(1);
    expect(fs.existsSync(path.join(folder, "node_modules/keep"))).toBe(true); // only the link to it was removed
  });
  it("says why when there is no such commit", () => {
    expect(() => OldCheckout.make(folder, "nowhere", () => {})).toThrow(/rev-parse.*nowhere/);
  });
});

describe("microPairs", { timeout: TIMEOUT_MS }, () => {
  it("compares what both have, in turns", () => {
    using old = OldCheckout.make(folder, "HEAD~1", () => {});
    expect(microRefusal(old.directory)).toBeNull();
    const pairs = microPairs({ oldRoot: old.directory, newRoot: folder, files: ["a"], turns: 2, rounds: 1 });
    expect(pairs).toEqual([{ name: "a: both", oldNs: 200, newNs: 100, ratio: { median: 0.5, min: 0.5, max: 0.5, count: 2 } }]);
    expect(microPairsText(pairs)).toMatch(/a: both +200\.0 ns -> +100\.0 ns +0\.500x/);
  });
  it("says when the old commit has none", () => {
    expect(microRefusal(os.tmpdir())).toContain("bench/micro/run.ts");
  });
  it("calls a ratio clear only when all turns agree", () => {
    expect([isClear({ median: 0.9, min: 0.8, max: 0.95, count: 3 }), isClear({ median: 0.9, min: 0.8, max: 1.1, count: 3 })]).toEqual([
      true,
      false,
    ]);
  });
});

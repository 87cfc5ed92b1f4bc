// Processes that take turns: real ones, since what is held is that they are told apart and that the dead are not waited for.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { takeTurn } from "../../../../src/control/instance/turn.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-turn-"));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));
const module = path.join(import.meta.dirname, "../../../../src/control/instance/turn.ts");
let made = 0;

function fresh(): string {
  const directory = path.join(root, String(made++));
  fs.mkdirSync(directory);
  return directory;
}

/** @param during a statement that is done while it has the turn */
function taker(directory: string, during: string, about: readonly string[] = []) {
  const program = `
    import fs from "node:fs";
    import { takeTurn } from ${JSON.stringify(module)};
    using _ = await takeTurn({ directory: ${JSON.stringify(directory)}, waitMsMax: 20000, about: ${JSON.stringify(about)},
      conflicts: (own, other) => own.some((each) => other.includes(each)) || own.length === 0 });
    ${during}`;
  const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program], { stdio: ["pipe", "pipe", "inherit"] });
  return { child, ended: once(child, "close") as Promise<[number | null]>, says: once(child.stdout, "data") };
}

const HOLD = 'console.log("has it"); await new Promise((resolve) => process.stdin.once("end", resolve).resume());';

test("of several processes, one has the turn at a time", async () => {
  const directory = fresh();
  const inside = path.join(directory, "inside");
  // Exclusive creation fails when somebody else is there.
  const during = `
    fs.closeSync(fs.openSync(${JSON.stringify(inside)}, "wx"));
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    fs.rmSync(${JSON.stringify(inside)});`;
  const all = Array.from({ length: 6 }, () => taker(directory, during));
  expect(await Promise.all(all.map(({ ended }) => ended))).toEqual(all.map(() => [0, null]));
  expect(fs.readdirSync(directory)).toEqual([]);
});

test("one that is killed at it is not waited for, and what it left is removed", async () => {
  const directory = fresh();
  const first = taker(directory, HOLD);
  await first.says;
  await expect(takeTurn({ directory, waitMsMax: 0 })).rejects.toThrow(`process ${first.child.pid} has been at it`);
  first.child.kill("SIGKILL");
  await first.ended;
  (await takeTurn({ directory, waitMsMax: 0 }))[Symbol.dispose]();
  expect(fs.readdirSync(directory)).toEqual([]);
});

test("turns about different things go on at once", async () => {
  const directory = fresh();
  const first = taker(directory, HOLD, ["a"]);
  await first.says;
  const conflicts = (own: readonly string[], other: readonly string[]) => own.some((each) => other.includes(each));
  (await takeTurn({ directory, waitMsMax: 0, about: ["b"], conflicts }))[Symbol.dispose]();
  await expect(takeTurn({ directory, waitMsMax: 0, about: ["a", "b"], conflicts })).rejects.toThrow("has been at it");
  first.child.stdin.end();
  expect(await first.ended).toEqual([0, null]);
});

test("a ticket of an earlier process with the same pid does not count", async () => {
  const directory = fresh();
  fs.writeFileSync(path.join(directory, `${process.ppid}-1.turn`), JSON.stringify({ number: 1, about: [] }));
  (await takeTurn({ directory, waitMsMax: 0 }))[Symbol.dispose]();
  expect(fs.readdirSync(directory)).toEqual([]);
});

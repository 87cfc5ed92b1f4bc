// Configurations through pipes: what is taken whole, and what is refused.
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { isPiped, nothingToRead, packPiped, pipeName, unpackPiped } from "../../../../../src/control/config/source/piped.ts";
import { readPiped } from "../../../../../src/control/config/source/read-piped.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-piped-"));
afterAll(() => fs.rmSync(directory, { recursive: true }));
let made = 0;
function fifo(): string {
  const file = path.join(directory, `${made++}.fifo`);
  execFileSync("mkfifo", [file]);
  return file;
}

const input = (...chunks: readonly (string | Buffer)[]) => ({
  stdin: async function* () {
    for (const chunk of chunks) yield Buffer.from(chunk);
  },
});

test("standard input is taken whole, byte by byte", async () => {
  const texts = await readPiped(["a.yaml", "-"], input("ver", Buffer.from([0xff, 0xc3]), "sion"));
  expect([...texts]).toEqual([["-", Buffer.concat([Buffer.from("ver"), Buffer.from([0xff, 0xc3]), Buffer.from("sion")])]]);
  expect(unpackPiped(packPiped(texts))).toEqual(texts);
});

test("a pipe is read to its end, also when its writer comes later than its reader", async () => {
  const file = fifo();
  expect(isPiped(file)).toBe(true);
  const reading = readPiped([file], input());
  const text = "x".repeat(300_000); // more than a pipe holds
  const writer = spawn("sh", ["-c", 'cat > "$0"', file], { stdio: ["pipe", "ignore", "inherit"] });
  writer.stdin.end(text);
  expect((await reading).get(file)?.toString()).toBe(text);
});

test.each<[string, () => readonly string[], readonly (string | Buffer)[], RegExp]>([
  ["an empty one", () => ["-"], [], /-c -: no configuration came through the pipe/],
  ["one of more than 16 MiB", () => ["-"], Array.from({ length: 17 }, () => Buffer.alloc(1024 ** 2)), /larger than 16 MiB/],
  ["one that is named twice", () => ["-", "-"], ["x"], /named twice/],
])("%s is refused", async (_, files, chunks, said) => {
  await expect(readPiped(files(), input(...chunks))).rejects.toThrow(said);
});

test("one without an end is given up after its time, and is not held open", async () => {
  const file = fifo();
  await expect(readPiped([file], input(), 20)).rejects.toThrow(/has no end within 0\.02 s; whoever writes it must close the pipe/);
  const never = { stdin: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }) };
  await expect(readPiped(["-"], never, 20)).rejects.toThrow(/no end within/);
});

test("files are no pipes, whatever may be wrong with them", async () => {
  const file = path.join(directory, "a.yaml");
  fs.writeFileSync(file, "");
  const files = [file, directory, path.join(file, "x"), path.join(directory, "none")];
  expect(files.map(isPiped)).toEqual([false, false, false, false]);
  expect((await readPiped(files, input("x"))).size).toBe(0);
});

test("messages name a pipe without a slash, and say that it cannot be read again", () => {
  expect([pipeName("-"), pipeName("/dev/fd/63")]).toEqual(["stdin", "pipe 63"]);
  expect(nothingToRead(new Map([["-", Buffer.from("x")]]))).toEqual([expect.stringMatching(/\(stdin\): there is nothing to read again/)]);
});

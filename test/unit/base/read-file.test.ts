// Files that operators name, and what may lie there instead.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readRegularFile } from "../../../src/base/read-file.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-read-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const reason = (path: string, bytesMax?: number): string => {
  const found = readRegularFile(path, bytesMax);
  return found instanceof Error ? found.message : found.bytes.toString();
};

test("a regular file is read whole, through links, up to the bound and not beyond", () => {
  const file = join(folder, "a");
  writeFileSync(file, "x".repeat(1024 ** 2));
  symlinkSync("a", join(folder, "link"));
  expect(reason(join(folder, "link"), 1024 ** 2)).toHaveLength(1024 ** 2);
  expect(reason(file, 1024 ** 2 - 1)).toBe("it is larger than 0 MiB");
  writeFileSync(file, "");
  expect(reason(file)).toBe("");
});

test("a named pipe that nobody writes to is refused at once, and so is one behind a link", () => {
  const pipe = join(folder, "pipe");
  expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
  symlinkSync("pipe", join(folder, "link"));
  for (const path of [pipe, join(folder, "link")]) expect(reason(path)).toBe("it is a named pipe (FIFO), not a regular file");
});

test("devices, directories, sockets, circles of links and nothing at all are refused by name", async () => {
  const socket = join(folder, "socket");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  mkdirSync(join(folder, "directory"));
  symlinkSync("circle", join(folder, "circle"));
  expect([
    ...["/dev/zero", "/dev/tty", "/dev/null"].map((path) => reason(path)),
    ...["directory", "socket", "circle", "missing", "socket/below"].map((name) => reason(join(folder, name))),
  ]).toEqual([
    "it is a device, not a regular file",
    "it is a device, not a regular file",
    "it is a device, not a regular file",
    "it is a directory",
    "it is a socket, not a regular file",
    "its symbolic links lead in a circle",
    "there is no such file",
    "there is no such file",
  ]);
  server.close();
});

test("a file that says it is empty and is not (/proc) is read to its end, within the bound", () => {
  expect(reason("/proc/self/status")).toMatch(/^Name:/);
  expect(reason("/proc/self/smaps", 1000)).toBe("it is larger than 0 MiB");
});

test("the stamp of a file differs when it is written, or replaced by one with the same time and size", () => {
  const file = join(folder, "a");
  const stamps = ["one", "two"].map((text) => {
    rmSync(file, { force: true });
    writeFileSync(file, text);
    const found = readRegularFile(file);
    return found instanceof Error ? found.message : found.stamp;
  });
  expect(stamps[0]).not.toBe(stamps[1]);
});

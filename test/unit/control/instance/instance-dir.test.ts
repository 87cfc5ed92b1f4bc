import { chmodSync, mkdtempSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InstanceDir, instanceDirectory, overlaps } from "../../../../src/control/instance/instance-dir.ts";

const fresh = (): string => join(mkdtempSync(join(tmpdir(), "sluice-dir-")), "run");
/** A process that certainly lives, and is not this one. */
const LIVING_PID = process.ppid;

test("the directory comes from the environment", () => {
  expect(instanceDirectory({ SLUICE_RUN_DIR: "/a", XDG_RUNTIME_DIR: "/b" })).toBe("/a");
  expect(instanceDirectory({ XDG_RUNTIME_DIR: "/b" })).toBe("/b/sluice");
  expect(instanceDirectory({})).toMatch(/^\/tmp\/sluice-\d+$/);
});

test("it is private, and a file in its place is refused", () => {
  const path = fresh();
  expect(new InstanceDir(path).path).toBe(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  const file = `${path}-file`;
  writeFileSync(file, "");
  expect(() => new InstanceDir(file)).toThrow(/SLUICE_RUN_DIR/);
  expect(() => new InstanceDir(join(path, "x".repeat(120)))).toThrow(/too long/);
});

test("a directory that is there already keeps its mode; one that others may write to is refused", () => {
  const path = mkdtempSync(join(tmpdir(), "sluice-dir-"));
  chmodSync(path, 0o755);
  expect(new InstanceDir(path).path).toBe(path);
  expect(statSync(path).mode & 0o777).toBe(0o755);
  for (const mode of [0o1777, 0o770]) {
    chmodSync(path, mode);
    expect(() => new InstanceDir(path)).toThrow(/other users may write/);
    expect(statSync(path).mode & 0o7777).toBe(mode);
  }
});

test("instances find each other by address; dead ones are cleared away", () => {
  const path = fresh();
  const old = new InstanceDir(path, LIVING_PID);
  old.announce({ pid: LIVING_PID, signalPid: 1, addresses: ["127.0.0.1:8080", "unix:/run/a.sock"], socket: old.socket });
  const dead = new InstanceDir(path, 2 ** 22 + 1);
  dead.announce({ pid: 2 ** 22 + 1, signalPid: 1, addresses: ["127.0.0.1:8080"], socket: dead.socket });
  const own = new InstanceDir(path, process.pid);
  own.announce({ pid: process.pid, signalPid: 1, addresses: ["127.0.0.1:8080"], socket: own.socket });
  expect(own.holders(["127.0.0.1:8080"]).map((record) => record.pid)).toEqual([LIVING_PID]);
  expect(own.holders(["0.0.0.0:8080"]).map((record) => record.pid)).toEqual([LIVING_PID]);
  expect(own.holders(["127.0.0.1:8081"])).toEqual([]);
  own.withdraw();
  expect(readdirSync(path)).toEqual([`${LIVING_PID}.json`]);
});

test("which addresses overlap", () => {
  const check = (a: string, b: string, expected: boolean) =>
    expect([a, b, overlaps(a, b), overlaps(b, a)]).toEqual([a, b, expected, expected]);
  check("127.0.0.1:80", "127.0.0.1:80", true);
  check("127.0.0.1:80", "127.0.0.1:81", false);
  check("127.0.0.1:80", "127.0.0.2:80", false);
  check("127.0.0.1:80", "0.0.0.0:80", true);
  check("[::]:80", "10.0.0.1:80", true);
  check("unix:/a", "unix:/a", true);
  check("unix:/a", "unix:/b", false);
});

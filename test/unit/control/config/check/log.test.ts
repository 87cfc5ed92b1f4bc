import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parseConfig } from "../../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-log-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function check(file: string): string[] {
  const text = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
routes: [{ name: all, match: {}, respond: {} }]
log: { file: ${file} }
`;
  const result = parseConfig({ texts: [{ file: join(folder, "c.yaml"), text }] });
  return (result.ok ? result.warnings : result.problems).map((problem) => formatProblem(problem).replaceAll(folder, ""));
}

it.each(["stdout", "access.log", "there/access.log", "/dev/null", "/dev/full"])("%s can be written", (file) => {
  mkdirSync(join(folder, "there"));
  writeFileSync(join(folder, "there", "access.log"), "");
  expect(check(file)).toEqual([]);
});

it("a directory that does not exist is an error: the gateway would not start", () => {
  expect(check("missing/access.log")).toEqual(["/c.yaml:4:14: log.file: there is no directory /missing; create it"]);
});

it("what is no directory, a directory in place of the file, and a named pipe are errors", () => {
  writeFileSync(join(folder, "file"), "");
  mkdirSync(join(folder, "directory"));
  expect(spawnSync("mkfifo", [join(folder, "pipe")]).status).toBe(0);
  expect(["file/access.log", "directory", "pipe"].flatMap(check)).toEqual([
    "/c.yaml:4:14: log.file: /file is not a directory; name a file in one",
    "/c.yaml:4:14: log.file: /directory is a directory; name a file in it",
    "/c.yaml:4:14: log.file: /pipe is a pipe or a socket; use `stdout` and pipe that",
  ]);
});

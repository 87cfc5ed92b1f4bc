import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FileWatch } from "../../../../src/control/plan/file-watch.ts";

/** Watches one file; `next()` is the next report. */
function watched(file: string) {
  const reports: (readonly string[])[] = [];
  let wake: (() => void) | null = null;
  const watch = new FileWatch({
    changed: (files) => {
      reports.push(files);
      wake?.();
    },
    problem: (message) => {
      throw new Error(message);
    },
  });
  watch.update([file]);
  const next = async (): Promise<readonly string[] | undefined> => {
    if (reports.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return reports.shift();
  };
  return { watch, next, reports };
}

test("a written, a replaced and a removed-and-restored file are noticed; a touched one is not", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-watch-"));
  const file = join(directory, "a.yaml");
  writeFileSync(file, "one");
  const { watch, next, reports } = watched(file);
  writeFileSync(file, "two");
  expect(await next()).toEqual([file]);
  utimesSync(file, 1, 1); // must not be reported: the next report is about the replacement
  writeFileSync(`${file}.new`, "three");
  renameSync(`${file}.new`, file);
  expect(await next()).toEqual([file]);
  expect(reports).toEqual([]);
  watch.stop();
});

test("a swapped symbolic link (as orchestrators do) is noticed", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-watch-"));
  for (const name of ["v1", "v2"]) writeFileSync(join(directory, name), name);
  const file = join(directory, "a.yaml");
  symlinkSync(join(directory, "v1"), file);
  const { watch, next } = watched(file);
  symlinkSync(join(directory, "v2"), `${file}.new`);
  renameSync(`${file}.new`, file);
  expect(await next()).toEqual([file]);
  watch.stop();
});

test("of a directory, files that come and go are noticed; an editor's own are not; so is its coming", async () => {
  const directory = join(mkdtempSync(join(tmpdir(), "sluice-watch-")), "consumers.d");
  const { watch, next, reports } = watched(directory);
  mkdirSync(directory);
  expect(await next()).toEqual([directory]);
  watch.update([directory]);
  writeFileSync(join(directory, ".a.yaml.swp"), "");
  writeFileSync(join(directory, "a.yaml~"), "");
  writeFileSync(join(directory, "a.yaml"), "");
  expect(await next()).toEqual([directory]);
  rmSync(join(directory, ".a.yaml.swp"));
  rmSync(join(directory, "a.yaml"));
  expect(await next()).toEqual([directory]);
  expect(reports).toEqual([]);
  watch.stop();
});

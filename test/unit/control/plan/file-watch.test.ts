import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ConfigFiles } from "../../../../src/control/config/source/files.ts";
import { FileWatch } from "../../../../src/control/plan/file-watch.ts";

let folder = "";
let ending: (() => void)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-watch-"));
});
afterEach(() => {
  for (const end of ending) end();
  ending = [];
  rmSync(folder, { recursive: true, force: true });
});

interface Paths {
  readonly files?: readonly string[];
  readonly directory?: string;
}

/** As a load reads them: named files, and those of a directory. */
function read({ files = [], directory }: Paths) {
  const content = new ConfigFiles();
  const listed = directory === undefined ? [] : content.list(directory);
  const members = listed instanceof Error ? [] : listed.map((name) => join(directory ?? "", name));
  for (const path of [...files, ...members]) content.read(path);
  return content.watched();
}

/** `next()` is the next report. */
function watching(paths: Paths, files = read(paths)) {
  const reports: (readonly string[])[] = [];
  let wake: (() => void) | null = null;
  const watch = new FileWatch({
    changed: (changed) => {
      reports.push(changed);
      wake?.();
    },
  });
  ending.push(() => watch.stop());
  watch.update(files);
  const next = async (): Promise<readonly string[] | undefined> => {
    if (reports.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return reports.shift();
  };
  return { watch, next, reports };
}

const replace = (path: string, text: string): void => {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
};

const turn = (link: string, target: string): void => {
  symlinkSync(target, `${link}.new`);
  renameSync(`${link}.new`, link);
};

test("a written, a replaced and a removed-and-restored file are noticed; a touched one is not", async () => {
  const file = join(folder, "a.yaml");
  writeFileSync(file, "one");
  const { next, reports } = watching({ files: [file] });
  writeFileSync(file, "two");
  expect(await next()).toEqual([file]);
  utimesSync(file, 1, 1); // must not be reported: the next report is about the replacement
  replace(file, "three");
  expect(await next()).toEqual([file]);
  replace(file, "four"); // of another inode by now
  expect(await next()).toEqual([file]);
  rmSync(file);
  expect(await next()).toEqual([file]);
  writeFileSync(file, "five");
  expect(await next()).toEqual([file]);
  expect(reports).toEqual([]);
});

test("what was written between reading a file and watching it is noticed, and so is a file that is not there yet", async () => {
  const file = join(folder, "a.yaml");
  const files = read({ files: [file] });
  writeFileSync(file, "one");
  const { next } = watching({}, files);
  expect(await next()).toEqual([file]);
});

test("a link turned to another file is noticed, and a save in place of the file that it leads to, wherever that lies", async () => {
  mkdirSync(join(folder, "elsewhere"));
  for (const name of ["v1", "v2"]) writeFileSync(join(folder, "elsewhere", name), name);
  const link = join(folder, "link.yaml");
  symlinkSync("elsewhere/v1", link);
  const { next, reports } = watching({ files: [link] });
  appendFileSync(join(folder, "elsewhere", "v1"), " more");
  expect(await next()).toEqual([link]);
  turn(link, "elsewhere/v2");
  expect(await next()).toEqual([link]);
  appendFileSync(join(folder, "elsewhere", "v1"), " of no interest any more");
  appendFileSync(join(folder, "elsewhere", "v2"), " more");
  expect(await next()).toEqual([link]);
  expect(reports).toEqual([]);
});

test("a link in the middle of the path that is turned to another release is noticed", async () => {
  for (const release of ["1", "2"]) {
    mkdirSync(join(folder, "releases", release, "etc"), { recursive: true });
    writeFileSync(join(folder, "releases", release, "etc", "a.yaml"), `release ${release}`);
  }
  symlinkSync("releases/1", join(folder, "current"));
  const file = join(folder, "current", "etc", "a.yaml");
  const { next } = watching({ files: [file] });
  turn(join(folder, "current"), "releases/2");
  expect(await next()).toEqual([file]);
});

test("a certificate two links away is noticed when the inner link is turned, as ACME clients renew", async () => {
  for (const directory of ["etc", "live", "archive"]) mkdirSync(join(folder, directory));
  for (const n of [1, 2]) writeFileSync(join(folder, "archive", `cert${n}.pem`), `certificate ${n}`);
  symlinkSync("../archive/cert1.pem", join(folder, "live", "cert.pem"));
  symlinkSync("../live/cert.pem", join(folder, "etc", "cert.pem"));
  const file = join(folder, "etc", "cert.pem");
  const { next } = watching({ files: [file] });
  turn(join(folder, "live", "cert.pem"), "../archive/cert2.pem");
  expect(await next()).toEqual([file]);
});

test("a directory that is replaced by rename, or removed and made anew, is noticed with the files in it", async () => {
  const file = join(folder, "etc", "a.yaml");
  for (const [directory, text] of [
    ["etc", "one"],
    ["etc.new", "two"],
  ] as const) {
    mkdirSync(join(folder, directory));
    writeFileSync(join(folder, directory, "a.yaml"), text);
  }
  const { next } = watching({ files: [file] });
  renameSync(join(folder, "etc"), join(folder, "etc.old"));
  renameSync(join(folder, "etc.new"), join(folder, "etc"));
  expect(await next()).toEqual([file]);
  rmSync(join(folder, "etc"), { recursive: true });
  mkdirSync(join(folder, "etc"));
  writeFileSync(file, "three");
  expect(await next()).toEqual([file]);
});

test("the `..data` of an orchestrator, turned to another directory, is noticed for every file behind it", async () => {
  for (const n of [1, 2]) {
    mkdirSync(join(folder, `..${n}`));
    for (const name of ["a.yaml", "b.yaml"]) writeFileSync(join(folder, `..${n}`, name), `${name} ${n}`);
  }
  symlinkSync("..1", join(folder, "..data"));
  for (const name of ["a.yaml", "b.yaml"]) symlinkSync(`..data/${name}`, join(folder, name));
  const { next } = watching({ directory: folder, files: [join(folder, "a.yaml")] });
  turn(join(folder, "..data"), "..2");
  const changed = new Set<string>();
  while (changed.size < 2) for (const path of (await next()) ?? []) changed.add(path);
  expect([...changed].sort()).toEqual([join(folder, "a.yaml"), join(folder, "b.yaml")]);
});

test("of a directory, files that come, go and are saved in place are noticed; an editor's own are not; so is its coming", async () => {
  const directory = join(folder, "consumers.d");
  const file = join(directory, "a.yaml");
  const { watch, next, reports } = watching({ directory });
  mkdirSync(directory);
  expect(await next()).toEqual([directory]);
  watch.update(read({ directory }));
  writeFileSync(join(directory, ".a.yaml.swp"), "");
  writeFileSync(join(directory, "a.yaml~"), "");
  writeFileSync(file, "");
  expect(await next()).toEqual([directory]);
  watch.update(read({ directory }));
  appendFileSync(file, "in place");
  expect(await next()).toEqual([file]);
  rmSync(join(directory, ".a.yaml.swp"));
  rmSync(file);
  expect((await next())?.toSorted()).toEqual([directory, file]);
  expect(reports).toEqual([]);
});

test("files written beside a watched one wake nobody: no content is looked at", async () => {
  const file = join(folder, "a.yaml");
  writeFileSync(file, "one");
  const { watch, next } = watching({ files: [file] });
  for (let i = 0; i < 200; i++) appendFileSync(join(folder, "access.log"), "line\n");
  writeFileSync(join(folder, "b.yaml"), "");
  expect(watch.looks).toBe(0);
  writeFileSync(file, "two");
  await next();
  expect(watch.looks).toBe(1);
});

test("what changes while the files are read is reported when they have been read, unless it was read already", async () => {
  const [a, b] = [join(folder, "a.yaml"), join(folder, "b.yaml")];
  for (const file of [a, b]) writeFileSync(file, "one");
  const { watch, next, reports } = watching({ files: [a, b] });
  writeFileSync(a, "two");
  watch.pause();
  const files = read({ files: [a, b] });
  writeFileSync(b, "two");
  watch.update(files);
  expect(await next()).toEqual([b]);
  expect(reports).toEqual([]);
});

// Holds the loader to: loads here whatever the glibc, in threads and processes at once, and trusts no copy that could have been altered.
import { execFile } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cacheDirectories, ensurePatched, lacksGlibc } from "../../../../../src/data/listener/uws/load.ts";

const loader = new URL("../../../../../src/data/listener/uws/load.ts", import.meta.url);
const original = path.join(path.dirname(createRequire(import.meta.url).resolve("uWebSockets.js")), "uws_linux_x64_137.node");

let root: string;
beforeAll(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-uws-"));
});
afterAll(() => fs.rmSync(root, { recursive: true }));

function replaceByLink(file: string): void {
  fs.rmSync(file);
  fs.symlinkSync(original, file);
}

const fresh = (name: string): string => path.join(root, name);

describe("cacheDirectories", () => {
  const uid = process.getuid?.();
  it.each<[Record<string, string>, string]>([
    [{ XDG_CACHE_HOME: "/var/cache" }, "/var/cache/sluice"],
    [{ XDG_CACHE_HOME: "relative" }, "/home/x/.cache/sluice"],
    [{ XDG_CACHE_HOME: "" }, "/home/x/.cache/sluice"],
    [{}, "/home/x/.cache/sluice"],
  ])("%j", (env, first) => {
    expect(cacheDirectories(env, "/home/x", "/tmp")).toEqual([first, `/tmp/sluice-cache-${uid}`]);
  });
});

describe("lacksGlibc", () => {
  it.each<[string, boolean]>([
    ["/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by uws_linux_x64_137.node)", process.platform === "linux"],
    ["/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by uws_linux_x64_137.node)", false],
    ["Cannot find module './uws_linux_riscv64_137.node'", false],
  ])("%s", (message, expected) => {
    expect(lacksGlibc(new Error(message))).toBe(expected);
  });
});

describe("ensurePatched", () => {
  it("makes a private copy in a private directory, and finds it again", () => {
    const directory = fresh("private");
    const file = ensurePatched(original, "x64", directory);
    expect(fs.statSync(directory).mode & 0o777).toBe(0o700);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    const made = fs.statSync(file).ino;
    expect(ensurePatched(original, "x64", directory)).toBe(file);
    expect(fs.statSync(file).ino).toBe(made);
    expect(fs.readdirSync(directory)).toEqual([path.basename(file)]);
  });

  it.each<[string, (file: string) => void]>([
    ["altered", (file) => fs.writeFileSync(file, "X", { flag: "r+" })],
    ["cut short", (file) => fs.truncateSync(file, 1000)],
    ["writable by others", (file) => fs.chmodSync(file, 0o666)],
    ["a link to somewhere else", replaceByLink],
  ])("replaces a copy that is %s", (name, spoil) => {
    const directory = fresh(name.replaceAll(" ", "-"));
    const file = ensurePatched(original, "x64", directory);
    const good = fs.readFileSync(file);
    spoil(file);
    expect(ensurePatched(original, "x64", directory)).toBe(file);
    expect(fs.readFileSync(file).equals(good)).toBe(true);
    expect(fs.lstatSync(file).isFile()).toBe(true);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  });

  it("refuses a directory that others may write, a link, and a file", () => {
    const open = fresh("open");
    fs.mkdirSync(open);
    fs.chmodSync(open, 0o777);
    expect(() => ensurePatched(original, "x64", open)).toThrow(/writable by other users/);
    const link = fresh("link");
    fs.symlinkSync(root, link);
    expect(() => ensurePatched(original, "x64", link)).toThrow(/not a directory/);
    const file = fresh("file");
    fs.writeFileSync(file, "");
    expect(() => ensurePatched(original, "x64", file)).toThrow();
  });

  it("keeps a bounded number of copies", () => {
    const directory = fresh("bounded");
    fs.mkdirSync(directory, { mode: 0o700 });
    for (let i = 0; i < 10; i++) {
      const file = path.join(directory, `uws-${String(i).repeat(32)}.node`);
      fs.writeFileSync(file, "");
    }
    const file = path.basename(ensurePatched(original, "x64", directory));
    const kept = fs.readdirSync(directory);
    expect(kept).toHaveLength(4);
    expect(kept).toContain(file);
  });
});

/** What a process does that loads it in its main thread and in three workers at once, all answering a request. */
const PROGRAM = `
  import { isMainThread, Worker } from "node:worker_threads";
  import { once } from "node:events";
  import { loadUws } from ${JSON.stringify(loader.href)};
  const workers = isMainThread ? [1, 2, 3].map(() => new Worker(new URL(import.meta.url))) : [];
  const uws = loadUws();
  if (uws !== loadUws() || typeof uws.DeclarativeResponse !== "function") throw new Error("not the package's own module");
  const app = uws.App().get("/", (res) => void res.end("hello"));
  const socket = await new Promise((resolve) => app.listen("127.0.0.1", 0, resolve));
  const answer = await fetch("http://127.0.0.1:" + uws.us_socket_local_port(socket));
  console.log(await answer.text());
  app.close();
  await Promise.all(workers.map((worker) => once(worker, "exit")));
`;

describe("loadUws", () => {
  it("loads in several processes with several threads, all racing for an empty cache", async () => {
    const program = fresh("program.mts");
    fs.writeFileSync(program, PROGRAM);
    const env = { ...process.env, XDG_CACHE_HOME: fresh("race") };
    const runs = await Promise.all([1, 2].map(() => promisify(execFile)(process.execPath, [program], { env, timeout: 60_000 })));
    for (const { stdout } of runs) expect(stdout).toBe("hello\n".repeat(4));
  }, 70_000);

  it("falls back when the cache directory will not do", async () => {
    const blocked = fresh("blocked");
    fs.writeFileSync(blocked, "a file where a directory should be");
    const program = fresh("one.mts");
    fs.writeFileSync(program, `import { loadUws } from ${JSON.stringify(loader.href)}; console.log(typeof loadUws().App);`);
    const env = { ...process.env, XDG_CACHE_HOME: blocked };
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env, timeout: 60_000 });
    expect(stdout).toBe("function\n");
  }, 70_000);
});

// The policies that are shown in config/policies do what their tests say, and so does what `sluice policy new` writes; one that does not is told.
import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = path.join(import.meta.dirname, "../../..");
const EXAMPLES = path.join(ROOT, "config/policies");
const examples = fs.readdirSync(EXAMPLES).filter((name) => name.endsWith(".test.yaml"));

let folder = "";
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-policies-"));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const sluice = (...args: string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [path.join(ROOT, "dist/main.js"), "policy", ...args], { cwd: folder }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });

test("there are five examples, each with its test", () => {
  const modules = fs.readdirSync(EXAMPLES).filter((name) => name.endsWith(".ts"));
  expect(examples.map((name) => name.replace(".test.yaml", ".ts"))).toEqual(modules);
  expect(modules).toHaveLength(5);
});

test.each(examples)("%s", async (name) => {
  const { code, stdout, stderr } = await sluice("test", path.join(EXAMPLES, name));
  expect([code, stdout.match(/^not ok.*$/gm), stderr]).toEqual([0, null, ""]);
});

test("a new policy passes its own test, is not written over, and its test tells what is not as expected", async () => {
  expect(await sluice("new", "greeting")).toMatchObject({ code: 0 });
  expect(await sluice("new", "greeting")).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("policies/greeting.ts is there already"),
  });
  expect(await sluice("test", "policies/greeting.test.yaml")).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("2 of 2 as expected"),
  });
  const file = path.join(folder, "policies/greeting.test.yaml");
  fs.writeFileSync(
    file,
    fs
      .readFileSync(file, "utf8")
      .replace("x-greeting: hello }\n      response: { status: 200", "x-greeting: hallo }\n      response: { status: 201"),
  );
  fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace("headers: { x-greeting: hello }", "headers: { x-greeting: hallo }"));
  const { code, stdout } = await sluice("test", "policies/greeting.test.yaml");
  expect(code).toBe(1);
  expect(stdout).toContain(
    'not ok  a request goes upstream with the header\n        upstream.headers.x-greeting: expected "hallo", got "hello"\n',
  );
  expect(stdout).toContain("1 of 2 as expected");
});

test("a test that is wrong is refused with its place", async () => {
  fs.writeFileSync(
    path.join(folder, "wrong.test.yaml"),
    "module: ./policies/greeting.ts\nwith: { heder: a }\ncases:\n  - { name: a, request: { url: / }, expect: { response: { status: 200 } } }\n",
  );
  const unknown = await sluice("test", "wrong.test.yaml");
  expect([unknown.code, unknown.stderr]).toEqual([
    1,
    expect.stringContaining("wrong.test.yaml:2:9: with.heder: unknown key; did you mean `header`?"),
  ]);
  fs.writeFileSync(
    path.join(folder, "wrong.test.yaml"),
    "module: ./policies/greeting.ts\ncases:\n  - { name: a, request: { url: x }, expect: {} }\n",
  );
  const { code, stderr } = await sluice("test", "wrong.test.yaml");
  expect([code, stderr]).toEqual([1, expect.stringContaining("wrong.test.yaml:3:32: cases[0].request.url: expected a path, or a URL")]);
});

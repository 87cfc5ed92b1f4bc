// The program `sluice` finds the Node it needs, however it is installed and called. The Nodes are programs that say who they are.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";

const SCRIPT = path.join(import.meta.dirname, "../../../src/start/sluice.sh");
const root = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-program-"));
afterAll(() => fs.rmSync(root, { recursive: true, force: true }));

let made = 0;
let home = "";
beforeEach(() => {
  home = path.join(root, `with a blank ${made++}`);
  fs.mkdirSync(home);
});

/** A `node` that says its name, and what it was started with. */
function node(directory: string, version: string): void {
  fs.mkdirSync(path.join(home, directory), { recursive: true });
  const text = `#!/bin/sh\nif [ "$1" = --version ]; then echo ${version}; exit; fi\necho "${directory} $*"\n`;
  fs.writeFileSync(path.join(home, directory, "node"), text, { mode: 0o755 });
}

/** @returns where `sluice` is */
function install(directory: string): string {
  const file = path.join(home, directory, "sluice");
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.copyFileSync(SCRIPT, file);
  if (path.basename(directory) === "dist") fs.writeFileSync(path.join(path.dirname(file), "main.js"), "");
  fs.chmodSync(file, 0o755);
  return file;
}

function call(program: string, search: readonly string[] = [], env: NodeJS.ProcessEnv = {}, cwd = home) {
  const PATH = [...search.map((each) => path.join(home, each)), "/usr/bin-without-node", bare()].join(path.delimiter);
  const { status, stdout, stderr } = spawnSync(program, ["start", "-c", "a b.yaml"], { cwd, encoding: "utf8", env: { PATH, ...env } });
  return { status, stdout, stderr };
}

/** The programs that the script needs, and no Node. */
function bare(): string {
  const directory = path.join(root, "bare");
  fs.mkdirSync(directory, { recursive: true });
  for (const name of ["sh", "readlink"]) {
    const link = path.join(directory, name);
    const target = ["/bin", "/usr/bin"].map((each) => path.join(each, name)).find((each) => fs.existsSync(each));
    if (!fs.existsSync(link) && target !== undefined) fs.symlinkSync(target, link);
  }
  return directory;
}

const ran = (who: string, dist: string) => ({ status: 0, stdout: `${who} ${dist}/main.js start -c a b.yaml\n`, stderr: "" });

test("in a checkout or a release it is the one beside, whatever is on the PATH", () => {
  const program = install("release/dist");
  node("release/node_modules/.bin", "v24.21.0");
  node("old", "v20.19.2");
  expect(call(program, ["old"])).toEqual(ran("release/node_modules/.bin", path.join(home, "release/dist")));
  expect(call("./sluice", ["old"], {}, path.dirname(program))).toEqual(ran("release/node_modules/.bin", "."));
});

test("a checkout that npm has only linked runs what was built in it, and says what to do when nothing was", () => {
  const program = install("checkout/src/start");
  node("checkout/node_modules/.bin", "v24.21.0");
  fs.mkdirSync(path.join(home, "bin"));
  fs.symlinkSync(program, path.join(home, "bin/sluice"));
  const unbuilt = call("sluice", ["bin"]);
  expect(unbuilt).toEqual({
    status: 1,
    stdout: "",
    stderr: `sluice: not built: run \`npm ci && npm run build\` in ${path.join(home, "checkout")}\n`,
  });
  fs.mkdirSync(path.join(home, "checkout/dist"));
  fs.writeFileSync(path.join(home, "checkout/dist/main.js"), "");
  expect(call("sluice", ["bin"])).toEqual(ran("checkout/node_modules/.bin", path.join(home, "checkout/dist")));
});

test("installed by npm it is the one that npm put beside the package, also through the link in .bin and by the PATH", () => {
  install("app/node_modules/sluice/dist");
  node("app/node_modules/.bin", "v24.21.0");
  fs.symlinkSync("../sluice/dist/sluice", path.join(home, "app/node_modules/.bin/sluice"));
  const expected = ran("app/node_modules/.bin", path.join(home, "app/node_modules/sluice/dist"));
  expect(call(path.join(home, "app/node_modules/.bin/sluice"))).toEqual(expected);
  expect(call("sluice", ["app/node_modules/.bin"])).toEqual(expected);
});

test("one of the package's own comes before the one of whoever uses it", () => {
  const program = install("app/node_modules/sluice/dist");
  node("app/node_modules/.bin", "v20.19.2");
  node("app/node_modules/sluice/node_modules/.bin", "v24.21.0");
  expect(call(program).stdout).toMatch(/^app\/node_modules\/sluice\/node_modules\/\.bin /);
});

test.each(["v24.12.0", "v24.21.0", "v25.0.0", "v100.1.2"])("else one on the PATH that is new enough: %s", (version) => {
  expect(call(install("dist"), ["bin"]).status).toBe(1);
  node("bin", version);
  expect(call(path.join(home, "dist/sluice"), ["bin"])).toEqual(ran("bin", path.join(home, "dist")));
});

test.each(["v20.19.2", "v22.21.0", "v24.11.1", "v9.12.0", "nonsense", ""])(
  "one on the PATH that is too old is named, with what to do, in one line: %s",
  (version) => {
    node("bin", version);
    const { status, stdout, stderr } = call(install("dist"), ["bin"]);
    expect([status, stdout]).toEqual([1, ""]);
    const found = version === "" ? "a node that does not run" : version;
    expect(stderr).toBe(
      `sluice: needs Node >= 24.12, found ${found} at ${home}/bin/node; run \`npm ci\` in ${home} (Node is one of its dependencies), put Node 24.12 or newer first on the PATH, or name it by SLUICE_NODE\n`,
    );
  },
);

test("without any the same is said", () => {
  expect(call(install("dist")).stderr).toMatch(/^sluice: needs Node >= 24\.12, found no node on the PATH; .*\n$/);
});

test("SLUICE_NODE names one, before all others", () => {
  const program = install("dist");
  node("node_modules/.bin", "v24.21.0");
  node("mine", "v26.0.0");
  expect(call(program, [], { SLUICE_NODE: path.join(home, "mine/node") })).toEqual(ran("mine", path.join(home, "dist")));
});

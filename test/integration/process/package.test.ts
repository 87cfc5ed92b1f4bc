// What `npm pack` packs, installed where there is nothing but Node: it must run there as it does here.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../support/until.ts";

const ROOT = path.join(import.meta.dirname, "../../..");
const home = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-package-"));
const installed = path.join(home, "node_modules/sluice");
const program = path.join(home, "node_modules/.bin/sluice");
let files: readonly string[] = [];

/** As npm would lay it out, without asking a registry for the one dependency. */
beforeAll(() => {
  const [packed] = JSON.parse(
    execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", home], {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }),
  );
  files = packed.files.map((file: { readonly path: string }) => file.path);
  fs.mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", path.join(home, packed.filename), "-C", installed, "--strip-components=1"]);
  fs.mkdirSync(path.dirname(program));
  fs.symlinkSync(path.join("../sluice", packageBin()), program);
  fs.symlinkSync(process.execPath, path.join(path.dirname(program), "node"));
}, 60_000);
afterAll(() => fs.rmSync(home, { recursive: true, force: true }));

/** What npm makes the command `sluice` of. */
function packageBin(): string {
  const { bin } = JSON.parse(fs.readFileSync(path.join(installed, "package.json"), "utf8")) as {
    readonly bin: { readonly sluice: string };
  };
  return bin.sluice;
}

/** Neither this checkout's packages nor its Node can be found from there. */
const env = { PATH: "/usr/bin:/bin", HOME: home, SLUICE_RUN_DIR: path.join(home, "run") };

test("it needs nothing but Node, and has the native module of this platform only", () => {
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(installed, "package.json"), "utf8"));
  expect(Object.keys(dependencies)).toEqual(["node"]);
  const native = `dist/uWebSockets.js/uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  expect(files.filter((file) => file.endsWith(".node"))).toEqual([native]);
  // The types of policies and the examples of them are for the user's own editor.
  expect(files.filter((file) => /\.(map|ts)$/.test(file) && !/^(policy|config\/policies)\//.test(file))).toEqual([]);
  for (const wanted of ["dist/sluice", "dist/main.js", "dist/worker.js", "dist/LICENSES.txt", "config/REFERENCE.md", "README.md"])
    expect(files).toContain(wanted);
});

test("it serves, with a part of everything that is loaded late: tokens, expressions and undici", async () => {
  const config = path.join(home, "sluice.yaml");
  fs.writeFileSync(
    config,
    `version: 1
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
auth: { token: { jwt: { issuer: "https://a.test", audience: b, algorithms: [HS256], secret: "${"s".repeat(32)}" } } }
upstreams: { one: { pool: { client: undici }, targets: [ { url: "http://127.0.0.1:9" } ] } }
routes:
  - { name: open, match: { path: /open }, auth: none, respond: { body: here } }
  - { name: shut, match: { path: /shut }, to: one, auth: token, authorize: { when: "claims.level >= 3" } }
  - { name: dead, match: { path: /dead }, auth: none, to: one }
`,
  );
  const child = spawn(program, ["start", "-c", config], { env, cwd: home, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
  try {
    await until("it is ready or gone", () => /^ready /m.test(output) || child.exitCode !== null, 30_000);
    expect(output).toMatch(/^ready /m);
    const url = /^ready (\S+)/m.exec(output)?.[1] ?? "";
    expect(await (await fetch(`${url}/open`)).text()).toBe("here");
    const token =
      "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EudGVzdCIsImF1ZCI6ImIiLCJleHAiOjQxMDI0NDQ4MDB9.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    expect((await fetch(`${url}/shut`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(401); // its signature was checked
    expect((await fetch(`${url}/dead`)).status).toBe(502);
  } finally {
    child.kill("SIGTERM");
    if (child.exitCode === null) await once(child, "exit");
  }
  expect([child.exitCode, output]).toEqual([0, expect.not.stringContaining("Cannot find")]);
});

test("it finds what it was packed with", () => {
  const run = (...args: string[]) => execFileSync(program, args, { env, cwd: home, encoding: "utf8" });
  const { version } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
  expect(run("--version")).toBe(`sluice ${version}\n`);
  expect(run("validate", "-c", path.join(installed, "config/sluice.yaml"))).toContain("valid");
});

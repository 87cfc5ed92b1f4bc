// Consumers in a directory: as if they stood in the file, but each mistake at its own place.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} in configuration files is meant
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-consumers-"));
  mkdirSync(join(folder, "d"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: all, match: {}, to: users }]
tiers: { gold: {} }
consumersFrom: { directory: d }
`;
const KEY = `sha256:${"0a".repeat(32)}`;
const SALT = "A".repeat(22);

function load(files: Readonly<Record<string, string>>, config = CONFIG) {
  for (const [name, text] of Object.entries({ "c.yaml": config, ...files })) writeFileSync(join(folder, name), text);
  return loadConfig({ files: [join(folder, "c.yaml")], env: { TIER: "gold" } });
}

const problems = (files: Readonly<Record<string, string>>, config?: string): string[] => {
  const result = load(files, config);
  return result.ok ? [] : result.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ""));
};

it("are one or a list a file, behind those of the configuration, in order of the names; other files are none", () => {
  const result = load(
    {
      "d/b.yaml": "- { id: b1 }\n- id: b2\n  tier: ${TIER}\n",
      "d/a.yaml": `id: a\nkeys: ["${KEY}"]\npassword: file:a.password\n`,
      "d/a.password": `scrypt:ln=15,r=8,p=1:${SALT}:${SALT}\n`,
      "d/.c.yaml": "{ broken",
      "d/c.yaml~": "{ broken",
      "d/README.md": "{ broken",
    },
    `${CONFIG}consumers: [{ id: first }]\n`,
  );
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  expect(result.config.consumers.map(({ id, tier, keys, password }) => [id, tier, keys.length, password])).toEqual([
    ["first", null, 0, null],
    ["a", null, 1, `scrypt:ln=15,r=8,p=1:${SALT}:${SALT}`],
    ["b1", null, 0, null],
    ["b2", "gold", 0, null],
  ]);
  const watched = ["c.yaml", "d/a.yaml", "d/b.yaml", "d/a.password", "d"].map((name) => join(folder, name));
  expect([...result.files].sort()).toEqual(watched.sort());
});

it("an absolute path is one", () => {
  const result = load({ "d/a.yaml": "id: a\n" }, CONFIG.replace("directory: d", `directory: ${folder}/d`));
  expect(result.ok ? result.config.consumers.map(({ id }) => id) : result.problems.map(formatProblem)).toEqual(["a"]);
});

it("an empty directory holds none", () => expect(problems({})).toEqual([]));

describe("mistakes", () => {
  const check = (name: string, files: Readonly<Record<string, string>>, ...expected: string[]) =>
    it(name, () => expect(problems(files)).toEqual(expected));
  check("unknown key", { "d/a.yaml": "id: a\nroels: [b]\n" }, "d/a.yaml:2:1: consumers[0].roels: unknown key; did you mean `roles`?");
  check(
    "the same id and key in two files",
    { "d/a.yaml": `id: x\nkeys: ["${KEY}"]\n`, "d/b.yaml": `- id: x\n  keys: ["${KEY}"]\n` },
    "d/b.yaml:1:7: consumers[1].id: the id is the same as consumers[0].id at d/a.yaml:1:5; it must lead to one consumer: change or remove one of them",
    "d/b.yaml:2:10: consumers[1].keys[0]: the hash of a key is the same as consumers[0].keys[0] at d/a.yaml:2:8; it must lead to one consumer: change or remove one of them",
  );
  check("not YAML", { "d/a.yaml": "id: [a\n" }, expect.stringMatching(/^d\/a\.yaml:\d:\d: /) as unknown as string);
  check(
    "a tier that is none",
    { "d/a.yaml": "id: a\ntier: glod\n", "d/b.yaml": "id: b\ntier: gold\n" },
    "d/a.yaml:2:7: consumers[0].tier: there is no tier named glod; did you mean `gold`?",
  );
  check(
    "half written",
    { "d/a.yaml": "", "d/b.yaml": "id: b\n" },
    "d/a.yaml:1:1: the file holds no consumer; write one (`id: acme`, ...) or a list of them, or remove the file",
  );
  check(
    "a secret that is not there",
    { "d/a.yaml": "id: a\npassword: file:nowhere\n" },
    "d/a.yaml:2:11: consumers[0].password: can't read nowhere: there is no such file; paths are relative to the configuration file",
  );
  check(
    "no variable",
    { "d/a.yaml": "id: ${NOT_SET}\n" },
    "d/a.yaml:1:5: id: the environment variable NOT_SET is not set; set it, or write ${NOT_SET:-default}",
  );
  it("no directory", () =>
    expect(problems({}, CONFIG.replace("directory: d", "directory: e"))).toEqual([
      "c.yaml:6:29: consumersFrom.directory: can't read e: there is no such file; paths are relative to the configuration file",
    ]));
  it("consumers that are no list", () =>
    expect(problems({ "d/a.yaml": "id: a\n" }, `${CONFIG}consumers: 1\n`)).toEqual([
      "c.yaml:7:12: consumers: expected a list, got a number",
    ]));
});

import { afterEach, describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { MODULE_BYTES_MAX, MODULE_FILES_MAX } from "../../../../../src/control/config/modules/module-graph.ts";
import { redactConfig } from "../../../../../src/control/config/output/redact.ts";
import { packConfig, unpackConfig } from "../../../../../src/control/plan/packed-config.ts";
import type { ModulePolicyPlan } from "../../../../../src/plan/module-plan.ts";
import { configWith, type ModuleFolder, moduleFolder, moduleWith } from "../../../../support/module-folder.ts";

let folder: ModuleFolder | null = null;
afterEach(() => folder?.remove());

const SCHEMA =
  'name: "tenant", phase: "origin", schema: (z) => z.strictObject({ header: z.string().min(1), max: z.int().max(9).default(3) })';
const ONE = configWith("[{ module: ./p.ts }]");

function plan(files: Readonly<Record<string, string>>) {
  folder = moduleFolder(files);
  const result = folder.load();
  if (!result.ok) throw new Error(folder.problems().join("\n"));
  return { result, plan: compilePlan(result.config, { version: 1, metricSlot: () => 0, policySlot: () => 5 }) };
}
const policiesOf = ({ plan: { routes } }: ReturnType<typeof plan>): readonly ModulePolicyPlan[] => routes[0]?.modules ?? [];

describe("a module that is right", () => {
  it("is in the plan: its name, phase, hooks, the configuration that its schema made, and its source without types", () => {
    const made = plan({
      "c.yaml": configWith("[{ module: ./p.ts, with: { header: x-tenant } }]"),
      "p.ts": moduleWith("const n: number = config.max; return { onRequest() {}, onFinish() {} };", SCHEMA),
    });
    expect(policiesOf(made)).toEqual([
      expect.objectContaining({
        file: "./p.ts",
        name: "tenant",
        phase: "origin",
        hooks: ["onRequest", "onFinish"],
        upstreams: [],
        with: { header: "x-tenant", max: 3 },
        slot: 5,
      }),
    ]);
    expect(made.plan.modules.map(({ url }) => url)).toEqual(policiesOf(made).map(({ url }) => url));
    expect(made.plan.modules[0]?.source).toContain("const n         = config.max;");
  });

  it("brings along what it imports, JSON and circles included, and all of it is watched", () => {
    const { result, plan: made } = plan({
      "c.yaml": ONE,
      "p.ts": `import { a } from "./lib/a.ts";\nimport table from "./t.json" with { type: "json" };\n${moduleWith("a(); table.x; return {};")}`,
      "lib/a.ts": `import type { B } from "./b.mts";\nimport { b } from "./b.mts";\nexport const a = (): B => b;`,
      "lib/b.mts": `import { a } from "./a.ts";\nexport type B = number;\nexport const b = 1; export const c = () => a;`,
      "t.json": '{ "x": 1 }',
    });
    expect(made.modules.map(({ url, format }) => [url.slice(url.lastIndexOf("/") + 1), format])).toEqual([
      ["p.ts", "module"],
      ["a.ts", "module"],
      ["t.json", "json"],
      ["b.mts", "module"],
    ]);
    const directory = folder?.directory ?? "";
    expect(result.files.map((file) => file.replace(`${directory}/`, ""))).toEqual(["c.yaml", "p.ts", "lib/a.ts", "t.json", "lib/b.mts"]);
  });

  it("has an address of its content: another when something that it imports has changed, the same when another module has", () => {
    const made = plan({
      "c.yaml": configWith("[{ module: ./p.ts }, { module: ./q.ts }]"),
      "p.ts": `import { a } from "./a.ts";\n${moduleWith("a; return {};")}`,
      "q.ts": moduleWith("return {};", 'name: "q", phase: "edge"'),
      "a.ts": "export const a = 1;",
    });
    folder?.write({ "a.ts": "export const a = 2;" });
    const again = folder?.load();
    const now = again?.ok === true ? again.config.routes[0]?.uses.map(({ url }) => url) : [];
    const before = policiesOf(made).map(({ url }) => url);
    expect(now?.[0]).not.toBe(before[0]);
    expect(now?.[1]).toBe(before[1]);
  });

  it("may stand twice on a route with another configuration, and is read once for all routes that have it by the defaults", () => {
    const made = plan({
      "c.yaml": `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
defaults: { policies: [{ module: ./p.ts, with: { header: x-a } }, { module: ./p.ts, with: { header: x-b } }] }
routes: [{ name: a, match: { path: /a }, to: users }, { name: b, match: { path: /b }, to: users }, { name: c, match: { path: /c }, to: users, policies: null }]
`,
      "p.ts": moduleWith("return {};", SCHEMA),
    });
    const uses = made.plan.routes.map(({ modules }) => modules.map((each) => each.with));
    const both = [
      { header: "x-a", max: 3 },
      { header: "x-b", max: 3 },
    ];
    expect(uses).toEqual([both, both, []]);
    expect(made.plan.modules).toHaveLength(1);
  });

  it("is given each route that it stands on", () => {
    folder = moduleFolder({
      "c.yaml": ONE.replace("name: all,", 'name: all, match: { path: "/t/{tenant}/**", methods: [GET] },'),
      "p.ts": moduleWith("throw new Error(JSON.stringify(route));"),
    });
    expect(folder.problems()).toEqual([
      'p.ts:3:33: routes[0].policies[0].module: p.ts: it threw: {"name":"all","path":"/t/{tenant}/**","parameters":["tenant","**"],"methods":["GET"]}',
    ]);
  });

  it("may name the upstreams that it sends to, which then are used", () => {
    const upstreams = 'name: "p", phase: "origin", upstreams: () => ["users"]';
    const { result } = plan({
      "c.yaml": ONE.replace("to: users", "respond: { status: 404 }"),
      "p.ts": moduleWith("return {};", upstreams),
    });
    expect(result.warnings).toEqual([]);
    folder?.write({ "p.ts": moduleWith("return {};", 'name: "p", phase: "origin", upstreams: () => ["usres"]') });
    expect(folder?.problems()).toEqual([
      "c.yaml:6:28: routes[0].policies[0].module: the policy p sends to an upstream usres, which there is not; did you mean `users`?",
    ]);
  });

  it("gets the content of files that its configuration names, which is never shown", () => {
    const { result } = plan({
      "c.yaml": configWith("[{ module: ./p.ts, with: { header: file:secret } }]"),
      secret: "hush\n",
      "p.ts": moduleWith("return {};", SCHEMA),
    });
    expect(result.config.routes[0]?.uses[0]).toMatchObject({ with: { header: "hush" } });
    expect(result.files).toContain(`${folder?.directory}/secret`);
    expect(JSON.stringify(redactConfig(result.config))).not.toContain("hush");
    expect(JSON.stringify(redactConfig(result.config))).not.toContain("definePolicy");
  });

  it("passes between processes with its configuration", () => {
    const { result } = plan({ "c.yaml": ONE, "p.ts": moduleWith("return {};") });
    expect(unpackConfig(packConfig(result.config))).toEqual(JSON.parse(JSON.stringify(result.config)));
  });
});

describe("a module that is wrong is refused with its place", () => {
  const good = moduleWith("return {};");
  it.each<[what: string, files: Readonly<Record<string, string>>, problem: string | RegExp]>([
    [
      "its configuration",
      { "c.yaml": configWith("[{ module: ./p.ts, with: { heder: x, max: 10 } }]"), "p.ts": moduleWith("return {};", SCHEMA) },
      "c.yaml:6:59: routes[0].policies[0].with.max: expected at most 9",
    ],
    [
      "a configuration that it does not take",
      { "c.yaml": configWith("[{ module: ./p.ts, with: { a: 1 } }]"), "p.ts": good },
      /^c\.yaml:6:28: .*it takes no configuration, as it has no `schema`: take `with` away$/,
    ],
    [
      "its syntax",
      { "c.yaml": ONE, "p.ts": "\nconst x: = 3;" },
      /^p\.ts:2:10: routes\[0\]\.policies\[0\]\.module: it cannot be read: Unexpected token/,
    ],
    [
      "TypeScript that is more than types",
      { "c.yaml": ONE, "p.ts": `${good}\n  enum X { A }` },
      /^p\.ts:5:3: .*TypeScript enum is not supported/,
    ],
    [
      "syntax of a file that it imports",
      { "c.yaml": ONE, "p.ts": `import "./a.js";\n${good}`, "a.js": 'import fs from "node:fs";\nlet a;\nlet a;' },
      /^a\.js:3:5: .*Identifier 'a' has already been declared$/,
    ],
    [
      "an error when it is loaded",
      { "c.yaml": ONE, "p.ts": `${good}\nnull.x;` },
      /^p\.ts:5:6: .*it threw: TypeError: Cannot read properties of null/,
    ],
    [
      "an error when it is made",
      { "c.yaml": ONE, "p.ts": moduleWith('throw new Error("no table");') },
      /^p\.ts:3:33: .*it threw: no table$/,
    ],
    ["a missing file", { "c.yaml": ONE }, /^c\.yaml:6:28: .*can't read .*p\.ts: there is no such file/],
    ["a missing import", { "c.yaml": ONE, "p.ts": `import "./a.ts";\n${good}` }, /^p\.ts:1:8: .*can't read .*a\.ts: there is no such file/],
    [
      "a package",
      { "c.yaml": ONE, "p.ts": `import "lodash";\n${good}` },
      /^p\.ts:1:8: .*lodash is a package; bundle the two into one file/,
    ],
    [
      "a module of Node's that is not for policies",
      { "c.yaml": ONE, "p.ts": `import "node:child_process";\n${good}` },
      /^p\.ts:1:8: .*may not import node:child_process; of Node's own: node:assert, /,
    ],
    [
      "a module of Node's without `node:`",
      { "c.yaml": ONE, "p.ts": `import "fs";\n${good}` },
      /^p\.ts:1:8: .*may not import fs; write node:fs$/,
    ],
    ["an import without an ending", { "c.yaml": ONE, "p.ts": `import "./a";\n${good}` }, /^p\.ts:1:8: .*write it with its ending/],
    [
      "JSON that is not imported as such",
      { "c.yaml": ONE, "p.ts": `import a from "./a.json";\n${good}`, "a.json": "1" },
      /^p\.ts:1:15: .*with \{ type: "json" \}$/,
    ],
    ["waiting at the top level", { "c.yaml": ONE, "p.ts": `${good}\n  await 1;` }, /^p\.ts:5:3: .*waits \(await\) at its top level/],
    ["no default export", { "c.yaml": ONE, "p.ts": "export const a = 1;" }, /^c\.yaml:6:28: .*it has no default export/],
    [
      "a default export of another kind",
      { "c.yaml": ONE, "p.ts": "export default { create() {} };" },
      /^c\.yaml:6:28: .*was not made by definePolicy/,
    ],
    [
      "a phase that there is not",
      { "c.yaml": ONE, "p.ts": moduleWith("return {};", 'name: "p", phase: "late"') },
      /its phase has to be one of edge, identify, identified, origin$/,
    ],
    [
      "a hook that there is not",
      { "c.yaml": ONE, "p.ts": moduleWith("return { onReqest() {} };") },
      /there is no hook `onReqest`: onRequest, /,
    ],
    [
      "a create that gives a promise",
      { "c.yaml": ONE, "p.ts": moduleWith("return Promise.resolve({});") },
      /`create` must not give a promise/,
    ],
    [
      "a bound of bodies that is none",
      { "c.yaml": ONE, "p.ts": moduleWith("return { responseBody: { change() {}, maxBytes: Infinity } };") },
      /`responseBody` has to be/,
    ],
    [
      "a schema that gives what is no plain data",
      {
        "c.yaml": configWith("[{ module: ./p.ts, with: a }]"),
        "p.ts": moduleWith("return {};", 'name: "p", phase: "edge", schema: (z) => z.string().transform(() => new Map())'),
      },
      /plain data \(JSON\), and its configuration is a Map/,
    ],
    [
      "a schema that is none",
      {
        "c.yaml": configWith("[{ module: ./p.ts, with: a }]"),
        "p.ts": moduleWith("return {};", 'name: "p", phase: "edge", schema: () => ({})'),
      },
      /its `schema` has to give a schema/,
    ],
    ["an end of its thread", { "c.yaml": ONE, "p.ts": moduleWith("process.exit(0);") }, /it ended its thread \(process\.exit\)$/],
    [
      "too many files",
      {
        "c.yaml": ONE,
        "p.ts": `${Array.from({ length: MODULE_FILES_MAX }, (_, i) => `import "./f${i}.js";`).join("\n")}\n${good}`,
        ...Object.fromEntries(Array.from({ length: MODULE_FILES_MAX }, (_, i) => [`f${i}.js`, ""])),
      },
      /^p\.ts:64:8: .*more than 64 files; bundle it into one$/,
    ],
    ["too large a file", { "c.yaml": ONE, "p.ts": `${good}//${"x".repeat(MODULE_BYTES_MAX)}` }, /p\.ts is larger than 1 MiB$/],
    [
      "too large files together",
      {
        "c.yaml": ONE,
        "p.ts": `import "./a.js";\n${good}//${"x".repeat(MODULE_BYTES_MAX / 2)}`,
        "a.js": `//${"x".repeat(MODULE_BYTES_MAX / 2)}`,
      },
      /^p\.ts:1:8: .*the module and what it imports are larger than 1 MiB$/,
    ],
    ["no UTF-8", { "c.yaml": configWith("[{ module: ./p.txt }]") }, /^c\.yaml:6:28: .*expected the path of a module/],
  ])("%s", (_, files, problem) => {
    folder = moduleFolder(files);
    expect(folder.problems()).toContainEqual(typeof problem === "string" ? problem : expect.stringMatching(problem));
  });

  it("a loop that does not end, within seconds, and the modules behind it are looked at all the same", () => {
    folder = moduleFolder({
      "c.yaml": configWith("[{ module: ./p.ts }, { module: ./q.ts }]"),
      "p.ts": moduleWith("for (;;);"),
      "q.ts": "no",
    });
    expect(folder.problems()).toEqual([
      "q.ts:1:1: routes[0].policies[1].module: q.ts: it threw: ReferenceError: no is not defined",
      "c.yaml:6:28: routes[0].policies[0].module: p.ts: it takes longer than 5 s to load, or more memory than it may",
    ]);
  }, 60_000);
});

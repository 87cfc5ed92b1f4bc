// Holds the sources to the walls and habits of the house that types and lint cannot see: who imports whom, file names, sizes, openings.
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

const root = path.join(import.meta.dirname, "../..");
const LINES_MAX = 400;

const listed = (directory: string): string[] =>
  fs
    .readdirSync(path.join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => path.join(directory, name));
const sources = listed("src");
const everything = [...sources, ...listed("test")];
const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8");

interface Import {
  readonly from: string;
  readonly typeOnly: boolean;
  readonly lazy: boolean;
}

/** Import and export-from statements, and `import("...")` with a literal. */
function importsOf(file: string): Import[] {
  const text = read(file).replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  const statements = [...text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^;"'`]*?\sfrom\s+)?["']([^"']+)["']/gm)].map(
    ([, type, from = ""]) => ({
      from,
      typeOnly: type !== undefined,
      lazy: false,
    }),
  );
  const lazy = [...text.matchAll(/(typeof )?import\(\s*["']([^"']+)["']\s*\)/g)].map(([, type, from = ""]) => ({
    from,
    typeOnly: type !== undefined,
    lazy: true,
  }));
  return [...statements, ...lazy];
}

/** The file a relative import leads to, or the package it names. */
const target = (file: string, from: string): string => (from.startsWith(".") ? path.normalize(path.join(path.dirname(file), from)) : from);

/** Everything that is loaded when `entry` is, with the way there. @param lazily what is imported only when it is used counts too */
function loadedBy(entry: string, lazily = true): Map<string, string> {
  const seen = new Map([[entry, entry]]);
  for (const file of seen.keys()) {
    if (!file.startsWith("src/")) continue;
    for (const { from, typeOnly, lazy } of importsOf(file)) {
      const to = target(file, from);
      if (!typeOnly && (lazily || !lazy) && !seen.has(to)) seen.set(to, `${seen.get(file)} -> ${to}`);
    }
  }
  return seen;
}

describe("walls", () => {
  /** @returns `file -> import` for every import of a matching target from a matching file, types included. */
  const crossings = (from: RegExp, to: RegExp, allowed: RegExp): string[] =>
    sources
      .filter((file) => from.test(file) && !allowed.test(file))
      .flatMap((file) => importsOf(file).map((each) => `${file} -> ${target(file, each.from)}`))
      .filter((crossing) => to.test(crossing.split(" -> ")[1] ?? ""));

  it.each<[string, RegExp, RegExp, RegExp]>([
    ["the data plane never imports the control plane", /^src\/data\//, /^src\/control\//, /^$/],
    ["the base imports nothing above it", /^src\/base\//, /^src\/(?!base\/|start\/lazy-schema\.ts)/, /^$/],
    ["only the store imports ioredis", /^src\//, /^ioredis(\/|$)/, /^src\/store\//],
    ["the store imports no control plane", /^src\/store\//, /^src\/control\//, /^$/],
    ["only the listener imports uWebSockets.js", /^src\//, /^uWebSockets\.js$/, /^src\/data\/listener\//],
    ["on the data plane only the pool imports undici", /^src\/data\//, /^undici(\/|$)/, /^src\/data\/upstream\/transport\/undici\//],
    ["what a fleet tells never reaches a breaker", /^src\/control\/fleet\//, /breaker-(table|keeper|layout|control)\.ts$/, /^$/],
    ["policies never import each other", /^src\/data\/policies\/[^/]+\//, /^src\/data\/policies\/[^/]+\/policy\.ts$/, /^$/],
  ])("%s", (_, from, to, allowed) => {
    expect(crossings(from, to, allowed)).toEqual([]);
  });

  it.each<readonly [entry: string, unwanted: string]>([
    ["src/data/worker/worker.ts", "zod"],
    ["src/data/worker/worker.ts", "yaml"],
    ["src/main.ts", "undici"],
    ["src/main.ts", "ioredis"],
    ["src/start/supervisor/supervise.ts", "zod"],
    ["src/start/supervisor/supervise.ts", "yaml"],
    ["src/control/primary/primary.ts", "ioredis"],
    ["src/control/workers/nursery.ts", "node:net"],
    // What Node itself takes long to load comes with whoever needs it, after the first answer.
    ...["node:http2", "node:zlib"].map((each) => ["src/data/worker/worker.ts", each] as const),
    ...["node:tls", "node:https", "node:http2", "node:zlib"].map((each) => ["src/control/primary/primary.ts", each] as const),
    ...["node:tls", "node:https", "node:http"].map((each) => ["src/control/config/load.ts", each] as const),
  ])("%s does not load %s", (entry, unwanted) => {
    const reached = loadedBy(entry, entry.startsWith("src/data/"));
    expect(sources).toContain(entry);
    expect(reached.get(unwanted)).toBeUndefined();
  });
});

describe("files", () => {
  it.each([
    ["are named in kebab-case", (file: string) => /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/.test(path.basename(file))],
    ["are never Manager, Helper or utils", (file: string) => !/(manager|helper|utils?)\b/i.test(path.basename(file))],
    ["open with what they own", (file: string) => file.startsWith("test/") || /^(#!.*\n)?\/\/ /.test(read(file))],
    [`have at most ${LINES_MAX} lines`, (file: string) => file.startsWith("test/") || read(file).split("\n").length <= LINES_MAX],
    ["export by name only", (file: string) => !/^export default /m.test(read(file))],
  ])("%s", (_, holds) => {
    expect(everything.filter((file) => !holds(file))).toEqual([]);
  });
});

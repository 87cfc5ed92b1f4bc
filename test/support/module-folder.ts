// Owns a folder with a configuration and policy modules beside it, for tests of policies of the user's own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type LoadResult, loadConfig } from "../../src/control/config/load.ts";
import { formatProblem } from "../../src/control/config/source/problem.ts";

export interface ModuleFolder {
  readonly directory: string;
  /** @param files name -> text; `c.yaml` is the configuration */
  write(files: Readonly<Record<string, string>>): void;
  load(): LoadResult;
  /** As `sluice validate` prints them, without the directory. */
  problems(): readonly string[];
  remove(): void;
}

export function moduleFolder(files: Readonly<Record<string, string>> = {}): ModuleFolder {
  const directory = mkdtempSync(path.join(tmpdir(), "sluice-modules-"));
  const load = (): LoadResult => loadConfig({ files: [path.join(directory, "c.yaml")], env: {} });
  const folder: ModuleFolder = {
    directory,
    write: (more) => {
      for (const [name, text] of Object.entries(more)) {
        mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
        writeFileSync(path.join(directory, name), text);
      }
    },
    load,
    problems: () => {
      const result = load();
      return result.ok ? [] : result.problems.map((problem) => formatProblem(problem).replaceAll(`${directory}/`, ""));
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
  folder.write(files);
  return folder;
}

/** A route with policies, written in YAML flow style. Each `policies` stands at line 6. */
export const configWith = (policies: string, rest = ""): string => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
routes:
  - { name: all, to: users,
      policies: ${policies} }
${rest}`;

/** A module around a `create`, which stands at line 3. */
export const moduleWith = (create: string, more = 'name: "p", phase: "origin"'): string =>
  [
    'import { definePolicy } from "sluice/policy";',
    `export default definePolicy({ ${more},`,
    `  create(config, route) { ${create} } });`,
    "",
  ].join("\n");

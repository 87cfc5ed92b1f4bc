// Reads the repository's own sources for the tests of style and walls: which files there are, and what each imports.
import fs from "node:fs";
import path from "node:path";

const root = path.join(import.meta.dirname, "../..");

/** Every `.ts` file below a directory, by its path from the repository's root. */
export const listed = (directory: string): string[] =>
  fs
    .readdirSync(path.join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => path.join(directory, name));

export const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8");

export interface Import {
  readonly from: string;
  /** The file that a relative import leads to, or what it names. */
  readonly to: string;
  readonly typeOnly: boolean;
  /** `import("...")`. */
  readonly lazy: boolean;
}

/** Import and export-from statements, and `import("...")` with a literal, types included. */
export function importsOf(file: string): Import[] {
  const text = read(file).replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
  const target = (to: string): string => (to.startsWith(".") ? path.normalize(path.join(path.dirname(file), to)) : to);
  const statements = [...text.matchAll(/^(?:import|export)\s+(type\s)?(?:[^;"'`]*?\sfrom\s+)?["']([^"']+)["']/gm)].map(
    ([, type, to = ""]) => ({ from: file, to: target(to), typeOnly: type !== undefined, lazy: false }),
  );
  const lazy = [...text.matchAll(/(typeof )?import\(\s*["']([^"']+)["']\s*\)/g)].map(([, type, to = ""]) => ({
    from: file,
    to: target(to),
    typeOnly: type !== undefined,
    lazy: true,
  }));
  return [...statements, ...lazy];
}

/** Everything that is loaded when `entry` is, with the way there. @param lazily what is imported only when it is used counts too */
export function loadedBy(entry: string, lazily = true): Map<string, string> {
  const seen = new Map([[entry, entry]]);
  for (const file of seen.keys()) {
    if (!file.startsWith("src/") || !file.endsWith(".ts")) continue;
    for (const { to, typeOnly, lazy } of importsOf(file)) {
      if (!typeOnly && (lazily || !lazy) && !seen.has(to)) seen.set(to, `${seen.get(file)} -> ${to}`);
    }
  }
  return seen;
}

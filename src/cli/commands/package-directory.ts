// Owns one question: where this program's own files (config/ and such) are, from source and bundled alike.
import fs from "node:fs";
import path from "node:path";

/** @returns the nearest directory above this file with a package.json and a config/ (dist/ has a package.json of its own). @throws Error when there is none: the installation is broken. */
export function packageDirectory(): string {
  for (let directory = import.meta.dirname; ; directory = path.dirname(directory)) {
    if (["package.json", "config"].every((name) => fs.existsSync(path.join(directory, name)))) return directory;
    if (directory === path.dirname(directory))
      throw new Error(`no package.json above ${import.meta.dirname}: the installation is incomplete`);
  }
}

// Owns one question: where this program's own files (config/ and such) are, from source and bundled alike.
import fs from "node:fs";
import path from "node:path";

/** @returns the directory of the nearest package.json above this file. @throws Error when there is none: the installation is broken. */
export function packageDirectory(): string {
  for (let directory = import.meta.dirname; ; directory = path.dirname(directory)) {
    if (fs.existsSync(path.join(directory, "package.json"))) return directory;
    if (directory === path.dirname(directory))
      throw new Error(`no package.json above ${import.meta.dirname}: the installation is incomplete`);
  }
}

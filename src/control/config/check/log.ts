// Owns the check that the access log can be written where it is wanted. Must write and create nothing: whoever validates may be another user than the
// one that the gateway runs as, so what only that user could tell is a warning.
import { accessSync, constants, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import type { Draft } from "../schema/sections.ts";
import type { Findings } from "./references.ts";

const PATH = ["log", "file"];

export function checkLog({ sections }: Draft, { report, warn }: Findings): void {
  const file = sections.log?.file ?? "stdout";
  if (file === "stdout") return;
  const directory = dirname(file);
  const found = statOf(file);
  if (found === null) {
    const parent = statOf(directory);
    if (parent === null) return report(PATH, `there is no directory ${directory}`, "create it");
    if (!parent.isDirectory()) return report(PATH, `${directory} is not a directory`, "name a file in one");
    if (!mayUse(directory, constants.W_OK | constants.X_OK))
      warn(PATH, `this user may not create files in ${directory}`, "allow it to the user that the gateway runs as");
    return;
  }
  if (found.isDirectory()) return report(PATH, `${file} is a directory`, "name a file in it");
  if (found.isFIFO() || found.isSocket()) return report(PATH, `${file} is a pipe or a socket`, "use `stdout` and pipe that");
  if (!mayUse(file, constants.W_OK)) warn(PATH, `this user may not write to ${file}`, "allow it to the user that the gateway runs as");
}

/** @returns null when there is none, as far as this user can tell. */
function statOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

function mayUse(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

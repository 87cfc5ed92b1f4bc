// Owns what is known of configurations that came through a pipe (`-c -`, `-c <(...)`): their content and how they are named. They are read by
// read-piped.ts, once.
import { statSync } from "node:fs";
import { basename } from "node:path";

/** As -c names them -> what came. */
export type PipedTexts = ReadonlyMap<string, Uint8Array>;

export const NOT_PIPED: PipedTexts = new Map();

/** The argument that stands for standard input. */
export const STDIN = "-";

/** @returns whether a file is a pipe, or standard input whatever that is: it can be read only once */
export function isPiped(file: string): boolean {
  if (file === STDIN) return true;
  try {
    return statSync(file).isFIFO();
  } catch {
    return false; // whoever reads it says why it cannot be read
  }
}

/** @returns how messages name one. Never with a slash: relative paths in it are those of the directory in which the command was called. */
export const pipeName = (file: string): string => (file === STDIN ? "stdin" : `pipe ${basename(file)}`);

/** For a process that is given what another has read. @returns as -c names them -> base64 */
export const packPiped = (texts: PipedTexts): Readonly<Record<string, string>> =>
  Object.fromEntries([...texts].map(([file, bytes]) => [file, Buffer.from(bytes).toString("base64")]));

export const unpackPiped = (packed: Readonly<Record<string, string>>): PipedTexts =>
  new Map(Object.entries(packed).map(([file, text]) => [file, Buffer.from(text, "base64")]));

/** For an operator who has a reload made: what it cannot bring. */
export const nothingToRead = (texts: PipedTexts): string[] =>
  [...texts.keys()].map(
    (file) =>
      `the configuration came through a pipe (${pipeName(file)}): there is nothing to read again; start anew, with --takeover, to change it`,
  );

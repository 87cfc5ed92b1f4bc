// Owns running a measuring program of ours in a process of its own, so that neither its load nor its files are this process's.
import { spawn } from "node:child_process";
import path from "node:path";

export interface Child {
  /** Resolves with its first line, parsed. @throws Error with what it said when it ends without one */
  readonly first: Promise<unknown>;
  /** Closes its standard input, which ends it. */
  end(): Promise<void>;
}

/** @param name of a file in this directory @param nodeOptions for Node itself */
export function startChild(name: string, args: readonly string[], nodeOptions: readonly string[] = []): Child {
  const child = spawn(process.execPath, [...nodeOptions, path.join(import.meta.dirname, name), ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let [said, complained] = ["", ""];
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complained += text;
  });
  const first = new Promise<unknown>((resolve, reject) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (said.includes("\n")) resolve(JSON.parse(said.slice(0, said.indexOf("\n"))));
    });
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`${name} ended with ${code}: ${complained.slice(-1000)}`)));
  });
  first.catch(() => {}); // told to whoever awaits it
  return {
    first,
    end: () => {
      child.stdin.end();
      return ended;
    },
  };
}

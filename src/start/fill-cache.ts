// Owns filling the compile cache of a fresh build: runs its gateway up to the first answers and ends it; at its end each process and thread writes what V8
// has compiled by then. Must leave no process behind, whatever becomes of the build.
import { spawn } from "node:child_process";
import fs from "node:fs";
import http, { type Server } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { END_WITH_STDIN } from "./end-with-stdin.ts";

/** Longest wait (ms) for a command that runs. */
const RUN_MS_MAX = 30_000;
/** Requests that it answers: more than one, as each worker compiles for itself. */
const REQUESTS = 8;

/** @param build directory of the build. @returns what went wrong: the gateway does not run here; null when all is well */
export async function fillCompileCache(build: string): Promise<Error | null> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-build-"));
  const upstream = http.createServer((_, response) => response.end("ok")).listen(0, "127.0.0.1");
  try {
    const file = path.join(directory, "sluice.yaml");
    fs.writeFileSync(file, await configuration(upstream));
    const env = { ...process.env, SLUICE_RUN_DIR: directory, [END_WITH_STDIN]: "1" };
    await runOnce(build, ["start", "-c", file], env);
    await runOnce(build, ["demo", "--port", "0", "--admin-port", "0"], env);
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    upstream.close();
    upstream.closeAllConnections();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

async function configuration(upstream: Server): Promise<string> {
  await new Promise((resolve) => upstream.once("listening", resolve));
  const { port } = upstream.address() as AddressInfo; // a TCP server that listens has one
  return `version: 1
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
upstreams: { one: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes: [ { name: all, match: { path: /** }, to: one } ]
`;
}

/** @throws Error when the command does not get ready, answer and end */
async function runOnce(build: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  // Its standard input ends with this process, and it with its input.
  const child = spawn(process.execPath, [path.join(build, "main.js"), ...args], { stdio: ["pipe", "pipe", "pipe"], env });
  child.stdin.on("error", () => {}); // it has ended
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS_MAX);
  let output = "";
  let asked = false;
  for await (const text of child.stdout.setEncoding("utf8")) {
    output += text;
    const url = /^ready (\S+) .*\n/m.exec(output)?.[1];
    if (url === undefined || asked) continue;
    asked = true;
    for (let i = 0; i < REQUESTS; i++) await fetch(`${url}/users/7`, { headers: { connection: "close" } }).then((answer) => answer.text());
    child.kill("SIGTERM");
  }
  const code = await ended;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`\`${args[0]}\` ended with ${code}: ${log}`);
}

// Runs `sluice demo` as a process and walks its whole tour: every command line it prints must show what it says.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tour } from "../../src/cli/demo/tour.ts";
import { commandLine, LAUNCHER_ENV } from "../support/gateway.ts";

const [program = "", ...before] = commandLine();
const READY_WITHIN_MS = 30_000;

let demo: ChildProcess;
let output = "";
let log = "";

beforeAll(async () => {
  demo = spawn(program, [...before, "demo", "--port", "0", "--admin-port", "0"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...LAUNCHER_ENV },
  });
  demo.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    log += chunk;
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the demo did not get ready:\n${output}\n${log}`)), READY_WITHIN_MS);
    demo.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
      if (!output.includes("Ctrl-C")) return;
      clearTimeout(timer);
      resolve();
    });
    demo.once("exit", (code) => reject(new Error(`the demo exited with ${code}:\n${output}\n${log}`)));
  });
});

afterAll(async () => {
  if (demo.exitCode !== null) return;
  demo.kill("SIGTERM");
  await once(demo, "exit");
});

/** The tour with the addresses of this run: from what was printed. */
function walked(): ReturnType<typeof tour> {
  const [, gateway = "", admin = ""] = /Gateway (\S+) +status page (\S+)\/ /.exec(output) ?? [];
  const [, accessLog = ""] = /grep demo-42 (\S+)/.exec(output) ?? [];
  return tour(gateway, admin, accessLog);
}

describe("sluice demo", () => {
  it("says where it is and how long it took to the first answer", () => {
    expect(output).toMatch(/^ready http:\/\/127\.0\.0\.1:\d+ pid \d+ version \d+\n/);
    expect(output).toMatch(/Cold start: \d+ ms .* \(status 200\)/);
  });

  // One test for each stop, in order: some build on the one before. Titles do not depend on the addresses.
  const stops = tour("", "", "").flatMap((leg) => leg.stops.map((stop) => ({ leg: leg.heading, title: stop.title })));
  it.each(stops)("$leg: $title", async ({ title }) => {
    const stop = walked()
      .flatMap((leg) => leg.stops)
      .find((each) => each.title === title);
    if (stop === undefined) throw new Error(`no stop "${title}"`);
    expect(output).toContain(stop.command);
    // curl ends with 28 when its --max-time is over: the WebSocket stop means to.
    const { stdout } = await promisify(execFile)("bash", ["-c", `${stop.command}; exit 0`], { timeout: 30_000 });
    expect(stdout, log).toMatch(stop.expect);
  });

  it("stops cleanly on SIGTERM", async () => {
    demo.kill("SIGTERM");
    const [code] = await once(demo, "exit");
    expect(code, log).toBe(0);
  });

  it("says what to do when the port is taken", async () => {
    const holder = net.createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as AddressInfo; // a TCP server has one
    const attempt = promisify(execFile)(program, [...before, "demo", "--port", String(port), "--admin-port", "0"], {
      env: { ...process.env, ...LAUNCHER_ENV },
    });
    await expect(attempt).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining("choose another with --port N") });
    holder.close();
  });
});

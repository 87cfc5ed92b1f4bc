// A reader of the access log that does not read: requests go on, memory is bounded, and what is lost is counted to the last record.
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { expect, it, onTestFailed } from "vitest";
import { parsePrometheus } from "../../support/prometheus-parser.ts";
import { until } from "../../support/until.ts";

const ENTRY = path.join(import.meta.dirname, "../../../src/main.ts");
/** Records are as long as they get with this: several times the 8 MiB that wait for a slow reader, and the ring before it. */
const REQUESTS = 8000;
const PATH = `/${"p".repeat(1100)}`;
const HEADERS = { "user-agent": '"'.repeat(256), "x-request-id": "i".repeat(128) };

it("requests do not wait for it, and records that are lost are counted", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-blocked-"));
  const file = path.join(folder, "sluice.yaml");
  fs.writeFileSync(
    file,
    `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
routes: [ { name: all, match: {}, respond: { body: ok } } ]
`,
  );
  const env = { ...process.env, SLUICE_RUN_DIR: path.join(folder, "run") };
  const child = spawn(process.execPath, [ENTRY, "start", "-c", file, "--no-supervisor"], { stdio: ["ignore", "pipe", "pipe"], env });
  const lastResort = (): void => void child.kill("SIGKILL");
  process.once("exit", lastResort);
  let out = "";
  let err = "";
  child.stdout.setEncoding("latin1").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  onTestFailed(() => console.error(err));
  try {
    await until("it is ready", () => /^ready /m.test(out), 30_000);
    const url = /^ready (\S+)/m.exec(out)?.[1] ?? "";
    const admin = /"url":"([^"]+)"/.exec(err)?.[1] ?? "";
    child.stdout.pause();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    let left = REQUESTS;
    let answered = 0;
    const loop = async (): Promise<void> => {
      while (left-- > 0) {
        const status = await new Promise((resolve, reject) => {
          http
            .get(url + PATH, { agent, headers: HEADERS }, (response) => response.resume().once("end", () => resolve(response.statusCode)))
            .once("error", reject);
        });
        if (status === 200) answered++;
      }
    };
    await Promise.all(Array.from({ length: 16 }, loop));
    agent.destroy();
    expect(answered).toBe(REQUESTS);
    const dropped = async (): Promise<number> => {
      const metrics = parsePrometheus(await (await fetch(`${admin}/metrics`)).text());
      return (metrics.get("sluice_log_dropped_total")?.samples ?? []).reduce((total, { value }) => total + value, 0);
    };
    // The ring is emptied some times a second: the count has settled when two looks see the same.
    let before = -1;
    await expect
      .poll(
        async () => {
          const now = await dropped();
          const same = now === before;
          before = now;
          return same;
        },
        { interval: 300, timeout: 10_000 },
      )
      .toBe(true);
    const lost = await dropped();
    expect(lost).toBeGreaterThan(0);
    child.stdout.resume();
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    const lines = out.split("\n").filter((line) => line.startsWith("{"));
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ status: 200 });
    expect(lines.length + lost).toBe(REQUESTS);
  } finally {
    process.off("exit", lastResort);
    child.kill("SIGKILL");
    fs.rmSync(folder, { recursive: true, force: true });
  }
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { OperatorError } from "../../../../src/base/errors.ts";
import { ConfigFiles } from "../../../../src/control/config/source/files.ts";
import { runLoadJob, type ThreadJob } from "../../../../src/control/plan/load-job.ts";
import { LoadThread } from "../../../../src/control/plan/load-thread.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-load-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
routes: [{ name: all, match: {}, respond: { file: answer } }]
`;

function job(text: string, more: Partial<ThreadJob> = {}): ThreadJob {
  const file = join(folder, "c.yaml");
  writeFileSync(file, text);
  writeFileSync(join(folder, "answer"), Buffer.from([0, 255, 10]));
  return { files: [file], env: {}, sets: [null], before: null, ...more };
}

test("a thread loads the same configuration as the caller's own, and says what to watch", async () => {
  const wanted = job(CONFIG);
  const content = new ConfigFiles();
  const { outcome, watched } = await new LoadThread().load(wanted);
  expect(outcome).toEqual(runLoadJob(wanted, content));
  expect(outcome.ok).toBe(true);
  expect(watched).toEqual(content.watched());
});

test("a thread tells what is wrong as the caller's own load does", async () => {
  const wanted = job("version: 1\nroutes: [{ nope: 1 }]\n");
  const { outcome } = await new LoadThread().load(wanted);
  expect(outcome.ok).toBe(false);
  expect(outcome).toEqual(runLoadJob(wanted, new ConfigFiles()));
});

test("files as they were read before stay so, in a thread too", async () => {
  const wanted = job(CONFIG);
  const content = new ConfigFiles();
  runLoadJob(wanted, content);
  const { outcome } = await new LoadThread().load(job("broken: [", { before: content.snapshot() }));
  expect(outcome.ok).toBe(true);
});

test("a load that takes too long is given up, and the next one goes on", async () => {
  const thread = new LoadThread({ timeoutMs: 1, heapMb: 1024 });
  await expect(thread.load(job(`version: 1\n${"a: 1\n".repeat(100_000)}`))).rejects.toThrow(OperatorError);
  await expect(new LoadThread().load(job(CONFIG))).resolves.toMatchObject({ outcome: { ok: true } });
});

test("loads right after one another each have their answer, and nothing is left of them at the end", async () => {
  const thread = new LoadThread();
  for (let i = 0; i < 3; i++) expect((await thread.load(job(CONFIG))).outcome.ok).toBe(true);
  expect(await thread.end()).toBe(true);
});

test("a thread that is kept reads every file anew, after a mistake and after its end too", async () => {
  const thread = new LoadThread();
  const routeNames = async (text: string) => {
    const { outcome } = await thread.load(job(text));
    return outcome.ok ? outcome.config.routes.map((route) => route.name) : outcome.problems.map(({ message }) => message);
  };
  expect(await routeNames(CONFIG)).toEqual(["all"]);
  expect(await routeNames("version: 1\nnope: 1\n")).not.toEqual(["all"]);
  expect(await routeNames(CONFIG.replace("name: all", "name: other"))).toEqual(["other"]);
  expect(await thread.end()).toBe(true);
  expect(await routeNames(CONFIG)).toEqual(["all"]);
  expect(await thread.end()).toBe(true);
});

test("a load under way is ended with the process", async () => {
  const thread = new LoadThread();
  const loading = thread.load(job(`version: 1\n${"a: 1\n".repeat(200_000)}`));
  const ended = expect(loading).rejects.toThrow("ended without an answer");
  await new Promise((resolve) => setImmediate(resolve)); // it has begun
  expect(await thread.end()).toBe(true);
  await ended;
});

test("a load that takes too much memory ends its thread and nothing else", async () => {
  const thread = new LoadThread({ timeoutMs: 60_000, heapMb: 40 });
  await expect(thread.load(job(`version: 1\n${"a: [x]\n".repeat(400_000)}`))).rejects.toThrow(
    "it takes more than 40 MiB of memory to read: make it smaller",
  );
  expect((await thread.load(job(CONFIG))).outcome.ok).toBe(true);
});

// Holds the meeting to: two processes that know each other's pid connect, whichever comes first, in a place that is private and does not last.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { goToSupervisor, waitForPrimary } from "../../../../src/control/supervisor/meeting.ts";
import { until } from "../../../support/until.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function runDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-meeting-"));
  directories.push(directory);
  return directory;
}

const fail = (error: Error): void => {
  throw error;
};

/** This process waits; what says it is the child of this process goes: itself, told that its parent is its supervisor. */
test.each([
  ["the supervisor", true],
  ["the primary", false],
])("they meet when %s comes first", async (_, supervisorFirst) => {
  const env = { SLUICE_RUN_DIR: runDirectory() };
  const ends: Socket[] = [];
  const connected = (socket: Socket): void => void ends.push(socket);
  const wait = () => waitForPrimary(env, { connected, failed: fail }, process.ppid);
  const go = () => goToSupervisor(process.ppid, env, { connected, lost: () => fail(new Error("lost")) });
  const leave = supervisorFirst ? wait() : go();
  if (supervisorFirst) {
    const [place = ""] = readdirSync(env.SLUICE_RUN_DIR);
    expect(statSync(join(env.SLUICE_RUN_DIR, place)).mode & 0o777).toBe(0o600);
    go();
  } else wait();
  await until("both are there", () => ends.length === 2);
  await until("the place is gone", () => readdirSync(env.SLUICE_RUN_DIR).length === 0);
  let heard = "";
  ends[1]?.setEncoding("utf8").on("data", (text: string) => {
    heard += text;
  });
  ends[0]?.write("hello");
  await until("one hears the other", () => heard === "hello");
  for (const end of ends) end.destroy();
  leave?.();
});

test("a primary whose supervisor is gone does not look for it for ever", async () => {
  let lost = 0;
  const noParent = process.pid; // nobody is one's own parent
  goToSupervisor(noParent, { SLUICE_RUN_DIR: runDirectory() }, { connected: () => fail(new Error("connected")), lost: () => lost++ });
  await until("it is told", () => lost === 1);
});

test("a supervisor is told when nobody can come", async () => {
  const file = join(runDirectory(), "file");
  writeFileSync(file, "");
  const failures: string[] = [];
  const leave = waitForPrimary({ SLUICE_RUN_DIR: file }, { connected: () => {}, failed: (error) => failures.push(error.message) });
  await until("it is told", () => failures.length === 1);
  expect(failures[0]).toContain(file);
  leave();
});

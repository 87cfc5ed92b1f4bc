import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type Readable, Writable } from "node:stream";
import { expect, test } from "vitest";
import { isAlive, processStatus } from "../../../../src/control/instance/process-status.ts";
import { until } from "../../../support/until.ts";

test("this process lives, and was created after the system", () => {
  const status = processStatus(process.pid);
  expect(status).toMatchObject({ parent: process.ppid, ended: false });
  expect(status?.createdMs).toBeGreaterThan(0);
  expect(isAlive(process.pid)).toBe(true);
});

test("there is no such process", () => {
  expect(processStatus(999_999_999)).toBeNull();
  expect(isAlive(999_999_999)).toBe(false);
});

test("one that has ended does not live, though nobody has asked how it ended", async () => {
  // The shell starts it and becomes a program that asks for no children; only then it ends, with its input, or the shell would ask.
  const parent = spawn("/bin/sh", ["-c", "cat <&3 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "inherit", "pipe"] });
  const [text] = await once((parent.stdout as Readable).setEncoding("utf8"), "data"); // a pipe, see above
  const pid = Number(text);
  await until("the shell is another program", () => readFileSync(`/proc/${parent.pid}/cmdline`, "latin1").startsWith("sleep"));
  const input = parent.stdio[3];
  if (input instanceof Writable) input.end();
  await until("it has ended", () => processStatus(pid)?.ended === true);
  expect(processStatus(pid)).toMatchObject({ parent: parent.pid });
  expect(isAlive(pid)).toBe(false);
  parent.kill("SIGKILL");
  await once(parent, "exit");
});

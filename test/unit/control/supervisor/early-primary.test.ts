// Holds watching a child that Node does not wait for to: what waitpid would say. The shell makes such children: it becomes another program.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { expect, test } from "vitest";
import { takeEarlyPrimary } from "../../../../src/control/supervisor/early-primary.ts";

const MODULE = path.join(import.meta.dirname, "../../../../src/control/supervisor/early-primary.ts");

/** @returns what the supervisor that this shell becomes hears of a child it started before */
function watched(child: string, then = ""): unknown {
  const program = `const { EarlyPrimary, takeEarlyPrimary } = await import(${JSON.stringify(MODULE)});
    const pid = takeEarlyPrimary(process.env);
    const early = new EarlyPrimary(pid, (code, signal) => console.log(JSON.stringify([code, signal, process.env.SLUICE_EARLY ?? null, early.kill("SIGTERM")])));
    ${then}`;
  const shell = `${child} & export SLUICE_EARLY=$!; exec "$0" --input-type=module -e "$1"`;
  return JSON.parse(execFileSync("/bin/sh", ["-c", shell, process.execPath, program], { encoding: "utf8" }));
}

test.each<[string, string, readonly unknown[]]>([
  ["sh -c 'exit 0'", "", [0, null]],
  ["sh -c 'exit 7'", "", [7, null]],
  ["sh -c 'kill -KILL $$'", "", [null, "SIGKILL"]],
  ["sleep 100", 'early.kill("SIGTERM");', [null, "SIGTERM"]],
  ["sleep 100", 'early.rest(); early.kill("SIGKILL"); early.watch();', [null, "SIGKILL"]],
])("the end of `%s` %s", (child, then, [code, signal]) => {
  expect(watched(child, then)).toEqual([code, signal, null, false]);
});

test.each([undefined, "", "x", "0", "1", String(process.pid), String(process.ppid), "999999999"])("%j is no child of ours", (pid) => {
  const env = { SLUICE_EARLY: pid };
  expect(takeEarlyPrimary(env)).toBeNull();
  expect(env).toEqual({});
});

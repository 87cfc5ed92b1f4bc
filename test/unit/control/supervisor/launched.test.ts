// Holds what a launcher leaves to its supervisor to: read once, and believed only where it can be true; and watching a child that Node does not wait
// for to: what waitpid would say. The shell makes such children: it becomes another program.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { takeLaunch } from "../../../../src/control/supervisor/launched.ts";

const MODULE = path.join(import.meta.dirname, "../../../../src/control/supervisor/launched.ts");

/** @returns what the supervisor that this shell becomes hears of a child it started before */
function watched(child: string, then = ""): unknown {
  const program = `const { LaunchedPrimary, takeLaunch } = await import(${JSON.stringify(MODULE)});
    const { pid } = takeLaunch(process.env);
    const launched = new LaunchedPrimary(pid, (code, signal) => console.log(JSON.stringify([code, signal, process.env.SLUICE_LAUNCHED ?? null, launched.kill("SIGTERM")])));
    ${then}`;
  const shell = `${child} & export SLUICE_LAUNCHED=$!; exec "$0" --input-type=module -e "$1"`;
  return JSON.parse(execFileSync("/bin/sh", ["-c", shell, process.execPath, program], { encoding: "utf8" }));
}

test.each<[string, string, readonly unknown[]]>([
  ["sh -c 'exit 0'", "", [0, null]],
  ["sh -c 'exit 7'", "", [7, null]],
  ["sh -c 'kill -KILL $$'", "", [null, "SIGKILL"]],
  ["sleep 100", 'launched.kill("SIGTERM");', [null, "SIGTERM"]],
  ["sleep 100", 'launched.rest(); launched.kill("SIGKILL"); launched.watch();', [null, "SIGKILL"]],
])("the end of `%s` %s", (child, then, [code, signal]) => {
  expect(watched(child, then)).toEqual([code, signal, null, false]);
});

describe("what the launcher left", () => {
  const nothing = { pid: null, ended: null, late: [] };

  test.each([undefined, "", "x", "0", "1", String(process.pid), String(process.ppid), "999999999"])("%j is no child of ours", (pid) => {
    const env = { SLUICE_LAUNCHED: pid };
    expect(takeLaunch(env)).toEqual(nothing);
    expect(env).toEqual({});
  });

  test.each([
    ["139", { code: null, signal: "SIGSEGV" }],
    ["134", { code: null, signal: "SIGABRT" }],
    ["7", { code: 7, signal: null }],
    ["", null],
    ["x", null],
  ])("a primary that ended with %j", (status, ended) => {
    const env = { SLUICE_ENDED: status };
    expect(takeLaunch(env)).toEqual({ ...nothing, ended });
    expect(env).toEqual({});
  });

  test("signals that came meanwhile, once each, and no others", () => {
    const env = { SLUICE_LATE: " SIGUSR2 SIGHUP SIGHUP SIGTERM" };
    expect(takeLaunch(env)).toEqual({ ...nothing, late: ["SIGHUP", "SIGUSR2"] });
    expect(env).toEqual({});
  });
});

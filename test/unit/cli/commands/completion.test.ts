// What the completion script for bash offers, tried in bash itself; the others are compared with the table that all are made from.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { completionCommand } from "../../../../src/cli/commands/completion.ts";
import { HELP } from "../../../../src/cli/commands/help.ts";

async function script(shell: string): Promise<string> {
  let text = "";
  const stdin = async function* () {};
  await completionCommand([shell], { stdout: (more) => void (text += more), stderr: () => {}, stdin, env: {} });
  return text;
}

/** @returns what bash offers for the last of these words */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const line = `${await script("bash")}
COMP_WORDS=(sluice "$@"); COMP_CWORD=$#; _sluice; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync("bash", ["-c", line, "bash", ...words], { encoding: "utf8", cwd: import.meta.dirname });
  expect([stderr, status]).toEqual(["", 0]);
  return stdout.trim().split("\n").filter(Boolean);
}

test("bash completes commands, options, words and files", async () => {
  expect(await offered("")).toEqual(Object.keys(HELP));
  expect(await offered("va")).toEqual(["validate"]);
  expect(await offered("start", "--t")).toEqual(["--takeover"]);
  expect(await offered("key", "c")).toEqual(["create"]);
  expect(await offered("validate", "-c", "completion")).toEqual(["completion.test.ts"]);
  expect(await offered("validate", "completion")).toEqual(["completion.test.ts"]);
  expect(await offered("demo", "completion")).toEqual([]);
});

test.each(["zsh", "fish"])("%s is offered every command and option", async (shell) => {
  const text = await script(shell);
  for (const [command, { options }] of Object.entries(HELP)) {
    expect(text).toContain(command);
    for (const { form } of options) {
      const name = /--([\w-]+)/.exec(form)?.[1] ?? "";
      expect(text).toMatch(new RegExp(shell === "fish" ? `-l ${name} ` : `--${name}\\b`));
    }
  }
});

test("another shell is refused", async () => {
  await expect(script("tcsh")).rejects.toMatchObject({ exitCode: 2 });
  await expect(script("")).rejects.toMatchObject({ exitCode: 2 });
});

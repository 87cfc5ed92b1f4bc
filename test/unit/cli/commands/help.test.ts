// The help explains what the commands take: no more, no less, in lines that fit.
import { expect, test } from "vitest";
import { CONFIG_OPTIONS } from "../../../../src/cli/arguments.ts";
import { OPTIONS as BENCH } from "../../../../src/cli/bench/bench-arguments.ts";
import { OPTIONS as CACHE } from "../../../../src/cli/commands/cache.ts";
import { commandHelp, HELP, HELP_COLUMNS, overview } from "../../../../src/cli/commands/help.ts";
import { OPTIONS as KEY } from "../../../../src/cli/commands/key.ts";
import { OPTIONS as PASSWORD } from "../../../../src/cli/commands/password.ts";
import { OPTIONS as POLICY } from "../../../../src/cli/commands/policy.ts";
import { OPTIONS as REMOTE } from "../../../../src/cli/commands/remote.ts";
import { OPTIONS as START } from "../../../../src/cli/commands/start.ts";
import { OPTIONS as VALIDATE } from "../../../../src/cli/commands/validate.ts";
import { OPTIONS as DEMO } from "../../../../src/cli/demo/demo.ts";

type Options = Readonly<Record<string, { readonly type: string; readonly short?: string }>>;
const TAKEN: Readonly<Record<string, Options>> = {
  start: START,
  validate: VALIDATE,
  routes: CONFIG_OPTIONS,
  status: REMOTE,
  reload: REMOTE,
  drain: REMOTE,
  cache: CACHE,
  key: KEY,
  password: PASSWORD,
  policy: POLICY,
  bench: BENCH,
  demo: DEMO,
  completion: {},
};
const commands = Object.keys(HELP);

test("every command is explained", () => {
  expect(commands).toEqual(Object.keys(TAKEN));
  for (const command of commands) expect(overview()).toContain(`\n  ${HELP[command]?.usage}\n`);
});

test.each(commands)("%s: every option that it takes is explained, with its value and short form", (command) => {
  const forms = Object.entries(TAKEN[command] ?? {}).map(([name, { type, short }]) => ({
    name,
    flag: short === undefined ? `--${name}` : `-${short}, --${name}`,
    hasValue: type === "string",
  }));
  const explained = (HELP[command]?.options ?? []).map(({ form }) => {
    const [, flag = "", name = "", value] = /^((?:-\w, )?--([\w-]+))( .+)?$/.exec(form) ?? [];
    return { name, flag, hasValue: value !== undefined };
  });
  const byName = (a: { readonly name: string }, b: { readonly name: string }): number => a.name.localeCompare(b.name);
  expect(explained.sort(byName)).toEqual(forms.sort(byName));
});

test.each(["", ...commands])("no line of the help is wider than the screen: %s", (command) => {
  const text = command === "" ? overview() : commandHelp(command);
  expect(text.split("\n").filter((line) => line.length > HELP_COLUMNS)).toEqual([]);
  expect(text).toMatch(/^usage: sluice /);
  expect(text).not.toMatch(/[ ]\n|\n\n\n|undefined/);
});

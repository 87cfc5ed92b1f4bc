import { expect, test } from "vitest";
import { parseStartArguments, readyLine } from "../../../../src/cli/commands/start.ts";

test("arguments of start", () => {
  const check = (argv: readonly string[], expected: unknown) => expect(parseStartArguments(argv)).toEqual(expected);
  check([], { files: ["config/sluice.yaml"], takeover: false, supervisor: true });
  check(["-c", "a.yaml", "--config", "b.yaml", "--config=c.yaml"], {
    files: ["a.yaml", "b.yaml", "c.yaml"],
    takeover: false,
    supervisor: true,
  });
  check(["--takeover", "--no-supervisor"], { files: ["config/sluice.yaml"], takeover: true, supervisor: false });
  check(["b.yaml", "-c", "a.yaml", "--takeover", "--", "-c.yaml"], {
    files: ["b.yaml", "a.yaml", "-c.yaml"],
    takeover: true,
    supervisor: true,
  });
  check(["-c", "-"], { files: ["-"], takeover: false, supervisor: true });
  for (const wrong of [["-c"], ["--nonsense"], ["-c", ""], [""], ["--takeover=yes"], ["-c", "--takeover"]])
    expect(() => parseStartArguments(wrong)).toThrow(/`sluice start --help` explains the arguments$/);
});

test("the ready line", () => {
  expect(readyLine(["http://127.0.0.1:8080", "https://[::1]:8443"], 42, 1)).toBe(
    "ready http://127.0.0.1:8080 https://[::1]:8443 pid 42 version 1\n",
  );
});

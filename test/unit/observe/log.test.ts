import { describe, expect, test } from "vitest";
import { createLog, type LogOptions } from "../../../src/observe/log.ts";

function capture(options: LogOptions & { isTTY?: boolean; writableLength?: number } = {}) {
  const lines: string[] = [];
  const { isTTY, writableLength = 0, ...rest } = options;
  const output = { write: (line: string) => lines.push(line), isTTY, writableLength };
  return { lines, log: createLog({ output, now: () => new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 6)), ...rest }) };
}

describe("as JSON", () => {
  test("one line with time, level, message and fields", () => {
    const { lines, log } = capture();
    log.warn("target down", { upstream: "users", after: 3 });
    expect(lines).toEqual(['{"time":"2026-01-02T03:04:05.006Z","level":"warn","message":"target down","upstream":"users","after":3}\n']);
  });

  test.each<[string, unknown, unknown]>([
    ["an Error is its stack", new Error("boom"), expect.stringContaining("log.test.ts")],
    ["a bigint is text", 12n, "12"],
    ["a Map is an object", new Map([["a", 1]]), { a: 1 }],
    ["line feeds stay inside", "a\nb", "a\nb"],
  ])("%s", (_name, value, expected) => {
    const { lines, log } = capture();
    log.info("x", { value });
    expect(lines[0]?.indexOf("\n")).toBe((lines[0]?.length ?? 0) - 1);
    expect(JSON.parse(lines[0] ?? "").value).toEqual(expected);
  });

  test("fields cannot take the place of level or message", () => {
    const { lines, log } = capture();
    log.error("real", { message: "false", level: "info", time: "never" });
    expect(JSON.parse(lines[0] ?? "")).toEqual({ time: "2026-01-02T03:04:05.006Z", level: "error", message: "real" });
  });

  test("what cannot be written as JSON does not throw", () => {
    const { lines, log } = capture();
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = cyclic;
    log.error("cyclic", cyclic);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "error", message: "cyclic" });
  });
});

test("levels below the least are silent", () => {
  const { lines, log } = capture({ level: "warn" });
  for (const level of ["debug", "info", "warn", "error"] as const) log[level](level);
  expect(lines.map((line) => JSON.parse(line).level)).toEqual(["warn", "error"]);
});

test("a reader that is far behind loses lines", () => {
  const { lines, log } = capture({ writableLength: 2 ** 30 });
  log.error("x");
  expect(lines).toEqual([]);
});

test("on a terminal: readable, and control characters from outside are not obeyed", () => {
  const { lines, log } = capture({ isTTY: true });
  log.warn("bad \x1b[2J header", { value: "\x07\x9b", n: 1 });
  const plain = (lines[0] ?? "").replace(/\x1b\[\d+m/g, "");
  expect(plain).toBe("03:04:05.006 warn  bad \\x1b[2J header value=\\x07\\x9b n=1\n");
});

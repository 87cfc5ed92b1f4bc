// Holds the sources to habits of the house that types and lint cannot see: file names, sizes, openings.
import path from "node:path";
import { describe, expect, it } from "vitest";
import { listed, read } from "../support/sources.ts";

const LINES_MAX = 400;
const everything = [...listed("src"), ...listed("test")];

describe("files", () => {
  it.each([
    ["are named in kebab-case", (file: string) => /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/.test(path.basename(file))],
    ["are never Manager, Helper or utils", (file: string) => !/(manager|helper|utils?)\b/i.test(path.basename(file))],
    ["open with what they own", (file: string) => file.startsWith("test/") || /^(#!.*\n)?\/\/ /.test(read(file))],
    [`have at most ${LINES_MAX} lines`, (file: string) => file.startsWith("test/") || read(file).split("\n").length <= LINES_MAX],
    ["export by name only", (file: string) => !/^export default /m.test(read(file))],
  ])("%s", (_, holds) => {
    expect(everything.filter((file) => !holds(file))).toEqual([]);
  });
});

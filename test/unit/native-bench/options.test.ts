// The command line of the native bench.
import { describe, expect, it } from "vitest";
import { parseOptions } from "../../../native-bench/options.ts";

const known = { cases: ["plain-256", "tls"], peers: ["nginx", "sluice"] };
const parse = (...argv: string[]) => parseOptions(argv, known);

describe("parseOptions", () => {
  it("does everything by default", () => {
    expect(parse()).toMatchObject({ cases: [], peers: [], rounds: null, into: null, render: null, install: true, list: false });
  });
  it("takes lists with commas and repeated", () => {
    expect(parse("--case", "tls,plain-256", "--peers=nginx", "--peers", "sluice")).toMatchObject({
      cases: ["tls", "plain-256"],
      peers: ["nginx", "sluice"],
    });
  });
  it("takes numbers and files", () => {
    expect(parse("--rounds", "5", "--seconds", "10", "--into", "r.json", "--no-install")).toMatchObject({
      rounds: 5,
      seconds: 10,
      into: "r.json",
      install: false,
    });
  });
  it.each<[string[], RegExp]>([
    [["--case", "plain"], /there is no plain; there are plain-256, tls/],
    [["--peers", "apache"], /there is no apache/],
    [["--rounds", "0"], /--rounds: expected a whole number from 1 to 50, not 0/],
    [["--seconds", "1.5"], /--seconds/],
    [["--seconds", "61"], /from 1 to 60/],
    [["--fast"], /--fast/],
    [["plain-256"], /plain-256/],
  ])("refuses %j", (argv, message) => {
    expect(() => parse(...argv)).toThrow(message);
  });
});

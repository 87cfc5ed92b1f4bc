import { describe, expect, it } from "vitest";
import { formatPath, formatProblem, nearest, sortProblems, suggest } from "../../../../../src/control/config/source/problem.ts";

describe("nearest", () => {
  const known = ["listeners", "limits", "upstreams", "routes", "retry", "to"];
  const check = (written: string, expected: string | null) =>
    it(`${written} -> ${expected}`, () => expect(nearest(written, known)).toBe(expected));
  check("limts", "limits");
  check("lsiteners", "listeners"); // a transposition is one mistake
  check("Routes", "routes");
  check("upstream", "upstreams");
  check("ot", "to");
  check("xyz", null);
  check("listenerlimits", null);
  check("l".repeat(1000), null);
});

describe("suggest", () => {
  it("names the nearest", () => expect(suggest("user", ["users", "orders"], "upstreams")).toBe("did you mean `users`?"));
  it("lists what exists when none is near", () =>
    expect(suggest("zzz", ["users", "orders"], "upstreams")).toBe("upstreams: users, orders"));
  it("says when there is nothing", () => expect(suggest("zzz", [], "upstreams")).toBe("there are no upstreams"));
  it("lists a bounded number", () =>
    expect(
      suggest(
        "zzz",
        Array.from({ length: 99 }, (_, i) => `service-${i}`),
        "upstreams",
      ),
    ).toMatch(/service-29, \.\.\.$/));
});

describe("formatPath", () => {
  const check = (path: (string | number)[], expected: string) => it(expected || "(root)", () => expect(formatPath(path)).toBe(expected));
  check([], "");
  check(["routes", 2, "match", "path"], "routes[2].match.path");
  check(["headers", "x-a.b"], 'headers["x-a.b"]');
});

describe("sortProblems", () => {
  const at = (file: string, line: number, column: number) => ({ file, line, column });
  const problem = (file: string, line: number, column: number, message: string) => ({
    at: at(file, line, column),
    path: "p",
    message,
    remedy: "",
  });

  it("sorts by file in the order given, then by line and column", () => {
    const sorted = sortProblems([problem("a", 2, 1, "3"), problem("b", 9, 9, "1"), problem("a", 1, 10, "2")], ["b", "a"]);
    expect(sorted.map((p) => p.message)).toEqual(["1", "2", "3"]);
  });
  it("says the same about the same place once", () => {
    expect(sortProblems([problem("a", 1, 1, "x"), problem("a", 1, 1, "x"), problem("a", 1, 1, "y")], ["a"])).toHaveLength(2);
  });
});

it("formatProblem puts position, path, message and remedy on one line", () => {
  const at = { file: "c.yaml", line: 3, column: 5 };
  expect(formatProblem({ at, path: "a.b", message: "is wrong", remedy: "mend it" })).toBe("c.yaml:3:5: a.b: is wrong; mend it");
  expect(formatProblem({ at, path: "", message: "is wrong", remedy: "" })).toBe("c.yaml:3:5: is wrong");
});

// Passwords checked at once against the threads there are for it.
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { good, withRoutes } from "../../../../support/config-text.ts";

const config = (workers: number, ...concurrency: readonly string[]): string =>
  withRoutes(`- { name: a, match: {}, to: users, auth: { any: [${concurrency.map((_, i) => `b${i}`).join(", ")}] } }
auth: { ${concurrency.map((each, i) => `b${i}: { basic: { ${each} } }`).join(", ")} }
workers: ${workers}
`);

const two = (name: string, atOnce: number, threads: number): string =>
  `c.yaml:7:${name === "b0" ? 37 : 72}: auth.${name}.basic.concurrency: 2 workers check up to ${atOnce} passwords at once, on ${threads} threads that names and files need too; lower it, or start the gateway with UV_THREADPOOL_SIZE=${atOnce + 4} in its environment`;

describe("passwords and threads", () => {
  it.each<[name: string, text: string, size: string | undefined, expected: string[]]>([
    ["as many as there are", config(2, "concurrency: 2"), undefined, []],
    ["more", config(2, "concurrency: 3"), undefined, [two("b0", 6, 4)]],
    ["more threads", config(2, "concurrency: 3"), "6", []],
    ["fewer threads", config(2, "concurrency: 2"), "3", [two("b0", 4, 3)]],
    ["a number that is none", config(2, "concurrency: 2"), "many", [two("b0", 4, 1)]],
    ["several authenticators", config(2, "concurrency: 2", "concurrency: 2"), undefined, [two("b0", 8, 4), two("b1", 8, 4)]],
    ["nothing chosen", config(8, ""), undefined, []],
  ])("%s", (_, text, size, expected) => {
    expect(good([text], { UV_THREADPOOL_SIZE: size }).warnings.map(formatProblem)).toEqual(expected);
  });
});

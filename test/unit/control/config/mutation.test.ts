// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
// Whatever a file holds, the loader answers: a configuration, or problems with positions inside the file. It never throws.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, it } from "vitest";
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { parseConfig } from "../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../src/control/config/source/problem.ts";

const CONFIG = resolve(import.meta.dirname, "../../../../config");
const TEXTS = ["load-balancing.yaml", "demo.yaml", "websocket-sse.yaml", "maintenance.yaml"].map((name) =>
  readFileSync(resolve(CONFIG, name), "utf8"),
);
const SCRAPS = [
  "{",
  "}",
  "[",
  "]",
  ": ",
  "- ",
  "\n",
  "  ",
  "'",
  '"',
  "*a",
  "&a ",
  "<<: *a",
  "null",
  "0",
  "-1",
  "true",
  "${X}",
  "${",
  "1e99",
  "!x ",
  "? ",
  "#",
  "\t",
  "\u0000",
  "é",
  "|\n",
  "__proto__: 1\n",
  ".nan",
];
const ROUNDS = 300;

/** Mulberry32 (public domain): small, seeded, good enough to choose mutations. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function mutate(text: string, next: () => number): string {
  const pick = (n: number): number => Math.floor(next() * n);
  const lines = text.split("\n");
  switch (pick(4)) {
    case 0: {
      const at = pick(text.length);
      return text.slice(0, at) + (SCRAPS[pick(SCRAPS.length)] ?? "") + text.slice(at + pick(4));
    }
    case 1:
      lines.splice(pick(lines.length), 1 + pick(3));
      return lines.join("\n");
    case 2:
      lines.splice(pick(lines.length), 0, lines[pick(lines.length)] ?? "");
      return lines.join("\n");
    default: {
      const words = text.split(/(\w+)/);
      words[pick(words.length)] = SCRAPS[pick(SCRAPS.length)] ?? "";
      return words.join("");
    }
  }
}

it("mutated files", () => {
  const next = random(42);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    let text = TEXTS[round % TEXTS.length] ?? "";
    for (let i = 0; i <= round % 3; i++) text = mutate(text, next);
    const lineCount = text.split("\n").length;
    try {
      const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
      if (result.ok) structuredClone(compilePlan(result.config, { version: 1, metricSlot: () => 1, breakerSlot: () => 2 }));
      else {
        refused++;
        expect(result.problems.length).toBeGreaterThan(0);
        for (const problem of result.problems) {
          expect(problem.message).not.toBe("");
          expect(problem.at.line, formatProblem(problem)).toBeGreaterThan(0);
          expect(problem.at.line, formatProblem(problem)).toBeLessThanOrEqual(lineCount);
        }
      }
    } catch (error) {
      throw new Error(`round ${round}, configuration:\n${text}`, { cause: error });
    }
  }
  // Most mutations are mistakes; if nearly all passed, the loader would be asleep.
  expect(refused).toBeGreaterThan(ROUNDS / 4);
});

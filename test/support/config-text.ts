// Owns what tests of the configuration share: a text that loads, and expectations whose positions are marked in the text itself.
import { expect, it } from "vitest";
import { type LoadResult, parseConfig } from "../../src/control/config/load.ts";
import { formatProblem } from "../../src/control/config/source/problem.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** Loads texts laid over each other: `c.yaml`, `over1.yaml`, ... */
export const parse = (texts: readonly string[], env: Env = {}) =>
  parseConfig({ texts: texts.map((text, i) => ({ file: i === 0 ? "c.yaml" : `over${i}.yaml`, text })), env });

/** @throws when the texts do not load */
export function good(texts: readonly string[], env: Env = {}): LoadResult & { readonly ok: true } {
  const result = parse(texts, env);
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result;
}

/** A configuration that loads; `rest` goes below it. Line 6 is the first of `rest`. */
export const BASE = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  users: { targets: [{ url: http://10.0.0.1 }] }
routes: [{ name: all, match: {}, to: users }]
`;

/** Routes after a head in which they begin on line 6. */
export const withRoutes = (routes: string): string => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  users: { targets: [{ url: http://10.0.0.1 }] }
routes:
${routes}`;

/** What is wrong with one text; empty when it loads. */
export const problemsOf = (text: string, env: Env = {}): readonly string[] => {
  const result = parse([text], env);
  return result.ok ? [] : result.problems.map(formatProblem);
};

/** Takes the marks `‸` out of a text. @returns the text and the position of each mark, as `c.yaml:line:column: `. */
export function unmark(marked: string): { readonly text: string; readonly places: readonly string[] } {
  const [first = "", ...pieces] = marked.split("‸");
  let text = first;
  const places = pieces.map((piece) => {
    const lines = text.split("\n");
    text += piece;
    return `c.yaml:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}: `;
  });
  return { text, places };
}

/** Every problem of a text, each at its mark. */
export const check = (name: string, marked: string, ...expected: string[]) =>
  it(name, () => {
    const { text, places } = unmark(marked);
    expect(places).toHaveLength(expected.length);
    expect(problemsOf(text)).toEqual(expected.map((message, i) => `${places[i]}${message}`));
  });

// Owns what a mistake in the configuration looks like to its author: position, path, what is wrong, remedy.
// Must never print the value of a secret.

/** A place in a file as the user named it; line and column count from 1. */
export interface Position {
  readonly file: string;
  /** 0 for what has no lines: then {@link file} alone says where. */
  readonly line: number;
  readonly column: number;
}

/** One mistake (or, among warnings, one doubt). */
export interface ConfigProblem {
  readonly at: Position;
  /** `routes[2].match.path`; '' for the file as a whole. */
  readonly path: string;
  /** What is wrong. */
  readonly message: string;
  /** What to do about it; '' when the message says it all. */
  readonly remedy: string;
}

/** A key or index on the way from the root to a value. */
export type PathPart = string | number;

/** @returns `routes[2].match.headers["x-a.b"]`. */
export function formatPath(path: readonly PathPart[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

/** @returns `file:line:column`. */
export const formatPosition = ({ file, line, column }: Position): string => (line === 0 ? file : `${file}:${line}:${column}`);

/** @returns `file:line:column: path: what is wrong; remedy`. */
export function formatProblem(problem: ConfigProblem): string {
  const { at, path, message, remedy } = problem;
  return `${formatPosition(at)}: ${path === "" ? "" : `${path}: `}${message}${remedy === "" ? "" : `; ${remedy}`}`;
}

/** Problems that are told; whoever has more mends these first. */
export const PROBLEMS_MAX = 200;

/** @returns the first {@link PROBLEMS_MAX}, and how many more there are where the last of them is */
export function firstProblems(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const told = problems.slice(0, PROBLEMS_MAX);
  const [last, left] = [told.at(-1), problems.length - told.length];
  return last === undefined || left === 0
    ? told
    : [...told, { at: last.at, path: "", message: `${left} more problems are not told`, remedy: "mend these first" }];
}

/** A spread of many into the arguments of `push` would overflow the stack. */
export function addAll<T>(into: T[], more: Iterable<T>): void {
  for (const each of more) into.push(each);
}

/** @returns every problem on a line of its own, and how many they are: why nothing starts. */
export function formatRefusal(problems: readonly ConfigProblem[]): string {
  const lines = problems.map((problem) => `${formatProblem(problem)}\n`);
  return `${lines.join("")}the configuration was refused: ${lines.length} ${lines.length === 1 ? "error" : "errors"}\n`;
}

/** Equal for problems that say the same about the same key at the same place. */
export const problemKey = (p: ConfigProblem): string => JSON.stringify([p.at, p.message, /[^.[]*$/.exec(p.path)?.[0]]);

/** Sorts by file (in the order given), line and column, and drops a problem that says the same about the same key at the same
 * place: defaults and policy sets reach many routes. */
export function sortProblems(problems: readonly ConfigProblem[], files: readonly string[]): ConfigProblem[] {
  const rank = new Map(files.map((file, i) => [file, i]));
  const seen = new Set<string>();
  const unique = problems.filter((p) => {
    const key = problemKey(p);
    return !seen.has(key) && seen.add(key);
  });
  return unique.sort(
    (a, b) =>
      (rank.get(a.at.file) ?? 0) - (rank.get(b.at.file) ?? 0) ||
      a.at.line - b.at.line ||
      a.at.column - b.at.column ||
      (a.path < b.path ? -1 : a.path > b.path ? 1 : 0),
  );
}

/** Names longer than this are not compared: the distance table grows with the square of the length. */
const NEAREST_CHARS_MAX = 64;

/**
 * The known name nearest to what was written, or null when none is near: at most a third of the letters differ
 * (optimal string alignment distance: insertion, deletion, substitution, transposition).
 */
export function nearest(written: string, known: Iterable<string>): string | null {
  if (written.length > NEAREST_CHARS_MAX) return null;
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(written.length / 3)) + 1;
  for (const candidate of known) {
    if (candidate.length > NEAREST_CHARS_MAX) continue;
    const distance = editDistance(written.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let value = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) value = Math.min(value, (beforeLast[j - 2] ?? 0) + 1);
      row.push(value);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** @returns "did you mean `x`?", or the list of what exists (bounded). */
export function suggest(written: string, known: readonly string[], what: string): string {
  const near = nearest(written, known);
  if (near !== null) return `did you mean \`${near}\`?`;
  if (known.length === 0) return `there are no ${what}`;
  const shown = known.slice(0, SUGGESTIONS_MAX).join(", ");
  return `${what}: ${shown}${known.length > SUGGESTIONS_MAX ? ", ..." : ""}`;
}

const SUGGESTIONS_MAX = 30;

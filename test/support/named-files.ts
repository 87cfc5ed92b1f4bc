// Owns what tests know of files that texts name: in the comments of sources, and in the prose and inline code of documents.

/** A file name in running text: `pool.ts`, `undici/pool.ts`, `src/data/upstream/transport/undici/pool.ts`. Not part of a longer name, a pattern or a URL. */
const FILE_NAME = /(?<![\w./*<>$-])(?:[\w-][\w.-]*\/)*[\w-][\w.-]*\.(?:ts|mjs|sh|md|service)\b(?![\w*/-])/g;
const FENCED = /^(```|~~~)[^\n]*\n[\s\S]*?^\1[^\n]*$/gm;
/** A path in inline code, then a colon and one or more names in quotes: "name of a test", "another one". */
const HELD_BY = /`(test\/[\w./-]+\.ts)`: ("[^"\n]+"(?:, "[^"\n]+")*)/g;

/** A test that a document names. */
export interface NamedTest {
  readonly file: string;
  readonly name: string;
}

/** What of a file is written for readers: comments of a program, everything but fenced blocks of a document. */
export function proseOf(file: string, text: string): string {
  if (file.endsWith(".md")) return text.replace(FENCED, "");
  const comment = /\.(ts|mjs)$/.test(file) ? /(?:^|\s)(?:\/\/|\/?\*+)\s(.*)$/ : /(?:^|\s)#\s(.*)$/;
  return text
    .split("\n")
    .map((line) => comment.exec(line)?.[1] ?? "")
    .join("\n");
}

/**
 * The names of files in `text` that no file has. A name may be short: it must be the end of a path, at a slash.
 * @param known the paths of all files
 */
export function danglingNames(file: string, text: string, known: readonly string[]): string[] {
  const names = [...proseOf(file, text).matchAll(FILE_NAME)].map((match) => match[0]);
  return [...new Set(names)].filter((name) => !known.some((path) => path === name || path.endsWith(`/${name}`)));
}

/** The tests that a document names, in its order. */
export function testsNamedIn(document: string): NamedTest[] {
  return [...document.matchAll(HELD_BY)].flatMap(([, file = "", names = ""]) =>
    [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
  );
}

/** Whether a test file has a test, a group of tests or a row of a table of tests with this name, written as it is in the source. */
export function hasTest(source: string, name: string): boolean {
  return ['"', "'", "`"].some((quote) => source.includes(`${quote}${name}${quote}`));
}

// Owns reading one YAML text into a located tree: size bound, syntax errors, duplicate keys.
// Must never run code or read files because of what a text says.
import { isMap, isSeq, Lexer, type YAMLError } from "yaml";
import type { NotText } from "../../../base/utf8.ts";
import type { Env } from "./interpolate.ts";
import type { Located } from "./located.ts";
import { readInPieces, readListInPieces } from "./pieces.ts";
import type { ConfigProblem, Position } from "./problem.ts";
import { DEPTH_MAX, TOO_DEEP, Walk } from "./walk.ts";
import { type ConfigText, hasStandIns, parse, type ReadDocument, shieldTemplates, startOf, TEXT_BYTES_MAX, unshield } from "./yaml-text.ts";

/** @returns the tree of a configuration, which is a map, and everything wrong with it. */
export function readDocument(source: ConfigText, env: Env): ReadDocument {
  const { root, problems, unread } = readTree(source, env, {
    fits: isMap,
    otherwise: ["the file holds no configuration", "start with `version: 1`"],
  });
  return { root: root?.kind === "map" ? root : null, problems, unread };
}

/** @returns one or several consumers, a map or a list, and everything wrong with them. */
export function readConsumers(source: ConfigText, env: Env): ReadDocument<Located> {
  const expected: Expectation = {
    fits: (contents) => isMap(contents) || isSeq(contents),
    otherwise: ["the file holds no consumer", "write one (`id: acme`, ...) or a list of them, or remove the file"],
  };
  return readListInPieces(source, env) ?? readTree(source, env, expected);
}

/** A file that is no text. */
export const notTextProblem = (file: string, { line, column, what }: NotText): ConfigProblem => ({
  at: { file, line, column },
  path: "",
  message: what,
  remedy: "save the file as UTF-8",
});

interface Expectation {
  readonly fits: (contents: unknown) => boolean;
  /** What is wrong, and what to do about it, when it does not fit. */
  readonly otherwise: readonly [message: string, remedy: string];
}

function readTree(source: ConfigText, env: Env, { fits, otherwise }: Expectation): ReadDocument<Located> {
  const fail = (message: string, remedy: string): ReadDocument<Located> => ({
    root: null,
    problems: [{ at: startOf(source), path: "", message, remedy }],
    unread: [],
  });
  if (Buffer.byteLength(source.text) > TEXT_BYTES_MAX)
    return fail(`the file is larger than ${TEXT_BYTES_MAX / 1024 ** 2} MiB`, "split it or generate less");
  if (hasStandIns(source.text)) return fail("the file holds Unicode noncharacters (U+FDD0, U+FDD1)", "remove them");
  const deep = tooDeep(source.text);
  if (deep !== null) return { root: null, problems: [{ at: placeIn(source, deep), path: "", ...TOO_DEEP }], unread: [] };
  const inPieces = readInPieces(source, env);
  if (inPieces !== null) return inPieces;
  const { document, place } = parse(source, 0);
  const problems = withoutEchoes(document.errors.concat(document.warnings)).map((error): ConfigProblem => {
    const [message, remedy] = KNOWN_ERRORS[error.code] ?? [unshield(error.message).replace(/\s+/g, " "), remedyFor(error)];
    return isOverflow(error) ? { at: place(error.pos[0]), path: "", ...TOO_DEEP } : { at: place(error.pos[0]), path: "", message, remedy };
  });
  if (document.errors.length > 0) return { root: null, problems, unread: [] };
  if (!fits(document.contents)) return fail(...otherwise);
  const unread: Position[] = [];
  const walk = new Walk({ text: source.text, env, place, unshield, problems, unread });
  const root = walk.node(document.contents, [], 0);
  return { root, problems, unread };
}

/** The parser calls itself for each level, and says so when it can't any more. */
const isOverflow = (error: YAMLError): boolean => error.message.startsWith("Maximum call stack size exceeded");

/**
 * Brackets within brackets cost the parser memory and time before it gives up: a thousand bytes for each, and more than a line for each to say what is
 * missing. So they are counted before. What is indented needs a text that grows with the square of its depth.
 * @returns where nesting in brackets, or in `- - -`, becomes deeper than a configuration can be; null when it does not
 */
function tooDeep(text: string): number | null {
  if (!mayBeTooDeep(text)) return null;
  let [offset, brackets, inLine] = [0, 0, 0];
  let isText = false;
  for (const token of new Lexer().lex(shieldTemplates(text))) {
    const first = isText ? "" : token.charAt(0);
    isText = token === TEXT_FOLLOWS;
    if (first === "[" || first === "{") brackets++;
    else if (first === "]" || first === "}") brackets = Math.max(0, brackets - 1);
    else if (token === "-" || token === "?") inLine++;
    else if (first === "\n" || first === "\r") inLine = 0;
    if (brackets > DEPTH_MAX || inLine > DEPTH_MAX) return offset;
    if (!MARKS.has(token)) offset += token.length;
  }
  return null;
}

/** Reads texts in quotes and comments as if they were structure: then the lexer tells. */
function mayBeTooDeep(text: string): boolean {
  if (COMPACT_LISTS.test(text)) return true;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x5b || char === 0x7b) {
      if (++depth > DEPTH_MAX) return true;
    } else if ((char === 0x5d || char === 0x7d) && depth > 0) depth--;
  }
  return false;
}

const COMPACT_LISTS = /(?:[-?][ \t]+){64}/;

/** Tokens of the lexer that stand for no text. */
const MARKS: ReadonlySet<string> = new Set(["\x02", "\x18", "\x1f"]);
const TEXT_FOLLOWS = "\x1f";

function placeIn({ file, text }: ConfigText, offset: number): Position {
  const before = text.slice(0, offset);
  return { file, line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

const KNOWN_ERRORS: Readonly<Record<string, readonly [message: string, remedy: string]>> = {
  MULTIPLE_DOCS: ["a second document begins here", "write one document a file, and give several files with -c"],
  TAB_AS_INDENT: ["a tab can't indent", "use spaces"],
};

const remedyFor = (error: YAMLError): string =>
  /^(All mapping items must|Sequence item without -)/.test(error.message)
    ? "check the indentation: what belongs together starts at the same column"
    : "";

/** After one unexpected token the parser stumbles on all that follow: the first says it. */
function withoutEchoes(all: readonly YAMLError[]): readonly YAMLError[] {
  const [deep] = all;
  if (deep !== undefined && isOverflow(deep)) return [deep];
  const errors = all.filter((error) => !isOverflow(error));
  const first = errors.find((error) => error.code === "UNEXPECTED_TOKEN");
  return errors.filter((error) => error === first || error.code !== "UNEXPECTED_TOKEN");
}

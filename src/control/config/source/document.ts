// Owns reading one YAML text into a located tree: size bound, syntax errors, duplicate keys.
// Must never run code or read files because of what a text says.
import { isMap, isSeq, Lexer, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { NotText } from "../../../base/utf8.ts";
import type { Env } from "./interpolate.ts";
import type { Located, LocatedMap } from "./located.ts";
import type { ConfigProblem, Position } from "./problem.ts";
import { DEPTH_MAX, NODES_MAX, TOO_DEEP, Walk } from "./walk.ts";

/** Largest configuration file, in bytes of text: 10,000 generous routes. */
export const TEXT_BYTES_MAX = 16 * 1024 ** 2;

/**
 * About as much text of a long list is parsed at once: what the parser keeps of a text until its end costs the more the longer that is (in garbage
 * collection; 20,000 consumers took three times as long in one piece).
 */
const PIECE_CHARS = 4096;

/** One text with the name it is reported under. */
export interface ConfigText {
  readonly file: string;
  readonly text: string;
}

/** @property root null when the text is not what it should be at all. @property unread where values stand that could not be read. */
export interface ReadDocument<T extends Located = LocatedMap> {
  readonly root: T | null;
  readonly problems: readonly ConfigProblem[];
  readonly unread: readonly Position[];
}

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
  return readPieces(source, env) ?? readTree(source, env, expected);
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

const startOf = ({ file }: ConfigText): Position => ({ file, line: 1, column: 1 });

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

/** @param linesBefore lines of the file before this text */
function parse({ file, text }: ConfigText, linesBefore: number) {
  const lines = new LineCounter();
  const document = parseDocument(shieldTemplates(text), {
    lineCounter: lines,
    prettyErrors: false,
    merge: false,
    uniqueKeys: false, // the walk says which and where
    schema: "core",
    version: "1.2",
    logLevel: "error",
  });
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { file, line: line + linesBefore, column: col };
  };
  return { document, place };
}

/**
 * A long list whose items begin at the margin, piece by piece. What is at the margin can belong to no item, so that pieces say the same as the whole.
 * @returns null when the text is no such list, is wrong anywhere, or its pieces need one another (aliases): then the whole has to be read
 */
function readPieces(source: ConfigText, env: Env): ReadDocument<Located> | null {
  const { file, text } = source;
  if (text.length <= PIECE_CHARS || Buffer.byteLength(text) > TEXT_BYTES_MAX || hasStandIns(text) || hasSecondDocument(text)) return null;
  const problems: ConfigProblem[] = [];
  const unread: Position[] = [];
  const items: Located[] = [];
  let at = startOf(source);
  let [nodes, linesBefore] = [0, 0];
  for (let start = 0; start < text.length; ) {
    const next = text.indexOf(ITEM, start + PIECE_CHARS);
    const piece = { file, text: text.slice(start, next < 0 ? text.length : next + 1) };
    const { document, place } = parse(piece, linesBefore);
    const { contents } = document;
    if (document.errors.length > 0 || document.warnings.length > 0 || !isSeq(contents)) return null;
    if (start === 0) at = place(contents.range?.[0] ?? 0);
    const walk = new Walk({ text: piece.text, env, place, unshield, problems, unread });
    for (const item of contents.items) items.push(walk.node(item, [items.length], 1));
    nodes += walk.nodes;
    if (walk.aliasNodes > 0 || nodes > NODES_MAX) return null;
    start += piece.text.length;
    linesBefore += piece.text.split("\n").length - 1;
  }
  return { root: { kind: "list", at, items }, problems, unread };
}

/** Behind the first item a document ends, or another begins (YAML 1.2 section 9.1). */
function hasSecondDocument(text: string): boolean {
  const first = text.startsWith(ITEM.slice(1)) ? 0 : text.indexOf(ITEM);
  return text.indexOf("\n---", first) >= 0 || text.indexOf("\n...", first) >= 0;
}

/** An item of a list at the margin begins. */
const ITEM = "\n- ";

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

/** Stand-ins for braces: Unicode noncharacters, one UTF-16 unit each, so that positions stay right. */
const OPEN = "\ufdd0";
const CLOSE = "\ufdd1";

/**
 * In a YAML flow map an unquoted text can't hold braces, yet `match: { path: /users/{id} }` is how people write it. Braces right after `/`, `=` or `$`
 * are a syntax error there and text everywhere else: so they are taken for text everywhere, and no valid file changes its meaning.
 */
function shieldTemplates(text: string): string {
  return text.replace(
    /(?<=[/=])\{([A-Za-z_*][\w.*-]*)\}|(?<=\$)\{(\w+(?::-[^\s{}[\],"']*)?)\}/g,
    (_, template: string | undefined, variable: string | undefined) => {
      return `${OPEN}${template ?? variable ?? ""}${CLOSE}`;
    },
  );
}

const hasStandIns = (text: string): boolean => text.includes(OPEN) || text.includes(CLOSE);

const unshield = (text: string): string => text.replaceAll(OPEN, "{").replaceAll(CLOSE, "}");

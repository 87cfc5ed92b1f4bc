// Owns reading a long list of a YAML text piece by piece. Must never say anything else than reading the whole would: what could is left to that.
import { isMap, isScalar, isSeq, type YAMLMap } from "yaml";
import type { Env } from "./interpolate.ts";
import type { Located, LocatedList, LocatedMap } from "./located.ts";
import type { ConfigProblem, Position } from "./problem.ts";
import { NODES_MAX, Walk } from "./walk.ts";
import { type ConfigText, hasStandIns, parse, type ReadDocument, startOf, TEXT_BYTES_MAX, unshield } from "./yaml-text.ts";

/**
 * About as much text of a long list is parsed at once: what the parser keeps of a text until its end costs the more the longer that is (in garbage
 * collection; 20,000 consumers took three times as long in one piece).
 */
const PIECE_CHARS = 4096;

/**
 * A long list whose items begin at the margin. What is at the margin can belong to no item, so that pieces say the same as the whole.
 * @returns null when the text is no such list, is wrong anywhere, or its pieces need one another (aliases): then the whole has to be read
 */
export function readListInPieces(source: ConfigText, env: Env): ReadDocument<Located> | null {
  const { file, text } = source;
  if (text.length <= PIECE_CHARS || Buffer.byteLength(text) > TEXT_BYTES_MAX || hasStandIns(text) || hasSecondDocument(text)) return null;
  const problems: ConfigProblem[] = [];
  const unread: Position[] = [];
  const list = readItems({ file, text, indent: "", linesBefore: 0, path: [] }, { env, problems, unread });
  return list === null ? null : { root: list.root, problems, unread };
}

/**
 * A map, of which one key at the margin has a long list: that is read in pieces, the rest without it. A line that is indented no more than an item's `-` can
 * belong to no item, so that pieces say the same as the whole.
 * @param source that fits into the bounds
 * @returns null as {@link readListInPieces} does
 */
export function readInPieces({ file, text }: ConfigText, env: Env): ReadDocument<Located> | null {
  if (text.length <= 2 * PIECE_CHARS || OTHER_DOCUMENTS.test(text)) return null;
  const long = longestList(text);
  if (long === null) return null;
  const items = text.slice(long.start, long.end);
  if (items.length <= PIECE_CHARS || TIE.test(items)) return null;
  const without = text.slice(0, long.start) + text.slice(long.end);
  const rest = parse({ file, text: without }, 0);
  const { errors, warnings, contents } = rest.document;
  if (errors.length > 0 || warnings.length > 0 || !isMap(contents) || !hasOnly(contents, long)) return null;
  const problems: ConfigProblem[] = [];
  const unread: Position[] = [];
  const linesBefore = linesOf(text.slice(0, long.start));
  const list = readItems({ file, text: items, indent: long.indent, linesBefore, path: [long.key] }, { env, problems, unread });
  if (list === null) return null;
  const lines = linesOf(items);
  const place = (offset: number): Position => {
    const at = rest.place(offset);
    return offset < long.start ? at : { ...at, line: at.line + lines };
  };
  const walk = new Walk({ text: without, env, place, unshield, problems, unread });
  const root = walk.node(contents, [], 0);
  if (root.kind !== "map" || walk.nodes + list.nodes > NODES_MAX) return null;
  const entry = root.entries.get(long.key);
  if (entry === undefined) return null;
  const whole: LocatedMap = { ...root, entries: new Map(root.entries).set(long.key, { ...entry, node: list.root }) };
  return { root: whole, problems, unread };
}

/** Marks of documents and directives. */
const OTHER_DOCUMENTS = /^(?:---|\.\.\.|%)/m;
/** Anchors and aliases tie pieces to each other and to what stands around them. */
const TIE = /(?:^|[\s,[{:])[&*]\S/;
/** A key at the margin and the first item of its list, with what stands between. */
const LIST = /^([A-Za-z][\w-]*):[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)- /gm;
/** What ends a list, whose items may stand at the margin themselves. */
const NEXT_KEY = /^(?![ \t\r\n#]|- |-\r?$)/gm;

/** The key stands where it was found, with nothing in it now, and no second time. */
function hasOnly({ items }: YAMLMap, { key, keyAt }: LongList): boolean {
  const [pair, second] = items.filter((each) => isScalar(each.key) && String(each.key.value) === key);
  if (pair === undefined || second !== undefined || !isScalar(pair.key) || pair.key.range?.[0] !== keyAt) return false;
  return pair.value === null || (isScalar(pair.value) && pair.value.value === null);
}

/** Where the items of a list stand: from the first line that begins with one. */
interface LongList {
  readonly key: string;
  readonly keyAt: number;
  readonly indent: string;
  readonly start: number;
  readonly end: number;
}

function longestList(text: string): LongList | null {
  let longest: LongList | null = null;
  for (const match of text.matchAll(LIST)) {
    const [all, key = "", indent = ""] = match;
    const start = match.index + all.length - indent.length - 2;
    NEXT_KEY.lastIndex = start;
    const end = NEXT_KEY.exec(text)?.index ?? text.length;
    if (longest === null || end - start > longest.end - longest.start) longest = { key, keyAt: match.index, indent, start, end };
  }
  return longest;
}

/** Items of one list, each on a line of its own with the same indentation. */
interface Items extends ConfigText {
  readonly indent: string;
  readonly linesBefore: number;
  /** Of the list. */
  readonly path: readonly string[];
}

interface Sink {
  readonly env: Env;
  readonly problems: ConfigProblem[];
  readonly unread: Position[];
}

function readItems(source: Items, { env, problems, unread }: Sink): { readonly root: LocatedList; readonly nodes: number } | null {
  const { file, text, path } = source;
  const separator = `\n${source.indent}- `;
  const items: Located[] = [];
  let at = startOf(source);
  let [nodes, linesBefore] = [0, source.linesBefore];
  for (let start = 0; start < text.length; ) {
    const next = text.indexOf(separator, start + PIECE_CHARS);
    const piece = { file, text: text.slice(start, next < 0 ? text.length : next + 1) };
    const { document, place } = parse(piece, linesBefore);
    const { contents } = document;
    if (document.errors.length > 0 || document.warnings.length > 0 || !isSeq(contents)) return null;
    if (start === 0) at = place(contents.range?.[0] ?? 0);
    const walk = new Walk({ text: piece.text, env, place, unshield, problems, unread });
    for (const item of contents.items) items.push(walk.node(item, [...path, items.length], path.length + 1));
    nodes += walk.nodes;
    if (walk.aliasNodes > 0 || nodes > NODES_MAX) return null;
    start += piece.text.length;
    linesBefore += linesOf(piece.text);
  }
  return { root: { kind: "list", at, items }, nodes };
}

const linesOf = (text: string): number => text.split("\n").length - 1;

/** Behind the first item a document ends, or another begins (YAML 1.2 section 9.1). */
function hasSecondDocument(text: string): boolean {
  const first = text.startsWith("- ") ? 0 : text.indexOf("\n- ");
  return text.indexOf("\n---", first) >= 0 || text.indexOf("\n...", first) >= 0;
}

// Owns the way from YAML nodes to the located tree: anchors, merge keys, interpolation, bounds on what a text may expand to.
// Must never run code or read files because of what a text says.
import { type Alias, isAlias, isMap, isScalar, isSeq, type Pair, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import { type Env, interpolate } from "./interpolate.ts";
import type { Located, LocatedEntry, LocatedMap } from "./located.ts";
import { type ConfigProblem, formatPath, type PathPart, type Position } from "./problem.ts";

/** Values in one file, aliases expanded: what keeps a billion-laughs text from growing. */
export const NODES_MAX = 2_000_000;
/** Values that may come out of aliases. */
export const ALIAS_NODES_MAX = 100_000;
/** Maps and lists within one another. */
export const DEPTH_MAX = 64;
export const TOO_DEEP = { message: `nested deeper than ${DEPTH_MAX} levels`, remedy: "make the file simpler" } as const;

/** What a walk needs of its document. */
export interface WalkSource {
  readonly text: string;
  readonly env: Env;
  /** Offset in the text to position. */
  place(offset: number): Position;
  /** Undoes what the reader did to the text to make it parse. */
  unshield(text: string): string;
  /** Where mistakes go. */
  readonly problems: ConfigProblem[];
  /** Where the values stand that could not be read: whatever else is wrong with them follows from that. */
  readonly unread: Position[];
}

interface Anchor {
  readonly located: Located;
  /** For aliases used as keys. */
  readonly source: unknown;
  /** Values in it, those of its own aliases included. */
  readonly nodes: number;
}

/** Turns YAML nodes into located nodes. One use a document. */
export class Walk {
  readonly #source: WalkSource;
  readonly #anchors = new Map<string, Anchor>();
  /** Values so far, aliases expanded. */
  nodes = 0;
  /** Of these, such as came out of aliases. */
  aliasNodes = 0;
  #exhausted = false;

  constructor(source: WalkSource) {
    this.#source = source;
  }

  /** @param path for messages. @param depth levels above the node. */
  node(node: unknown, path: readonly PathPart[], depth: number): Located {
    const before = this.nodes;
    const located = this.#convert(node, path, depth);
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined;
    if (anchor !== undefined) this.#anchors.set(anchor, { located, source: node, nodes: this.nodes - before });
    return located;
  }

  #convert(node: unknown, path: readonly PathPart[], depth: number): Located {
    if (!this.#mayGoOn(node, path, depth)) return this.#nothing(node);
    if (isAlias(node)) return this.#alias(node, path, depth);
    if (isMap(node)) return this.#map(node, path, depth);
    if (isSeq(node)) return this.#list(node, path, depth);
    if (isScalar(node)) return this.#scalar(node, path);
    return this.#nothing(node);
  }

  #nothing(node: unknown): Located {
    return { kind: "scalar", at: this.#at(node), value: null, fromEnv: false };
  }

  #mayGoOn(node: unknown, path: readonly PathPart[], depth: number): boolean {
    if (this.#exhausted) return false;
    this.nodes++;
    const over =
      depth > DEPTH_MAX
        ? TOO_DEEP.message
        : this.nodes > NODES_MAX
          ? `more than ${NODES_MAX} values`
          : this.aliasNodes > ALIAS_NODES_MAX
            ? `aliases expand to more than ${ALIAS_NODES_MAX} values`
            : null;
    if (over === null) return true;
    this.#exhausted = true;
    this.#report(this.#at(node), path, over, TOO_DEEP.remedy);
    return false;
  }

  /** The anchor's tree is shared, not copied; its values count as if they were written here, for readers will see them so. */
  #alias(alias: Alias, path: readonly PathPart[], depth: number): Located {
    const anchor = this.#anchors.get(alias.source);
    if (anchor === undefined) {
      this.#report(this.#at(alias), path, `there is no anchor \`&${alias.source}\` before this`, "define it above");
      this.#source.unread.push(this.#at(alias));
      return this.#nothing(alias);
    }
    this.nodes += anchor.nodes;
    this.aliasNodes += anchor.nodes;
    return this.#mayGoOn(alias, path, depth) ? anchor.located : this.#nothing(alias);
  }

  #list(list: YAMLSeq, path: readonly PathPart[], depth: number): Located {
    return { kind: "list", at: this.#at(list), items: list.items.map((item, i) => this.node(item, [...path, i], depth + 1)) };
  }

  #map(map: YAMLMap, path: readonly PathPart[], depth: number): Located {
    const at = this.#at(map);
    const entries = new Map<string, LocatedEntry>();
    const keys = new Map<string, Position>();
    let below: LocatedMap | null = null;
    for (const pair of map.items) {
      const key = this.#key(pair, path);
      if (key === null) continue;
      const keyAt = this.#at(pair.key);
      const first = keys.get(key);
      if (first !== undefined)
        this.#report(keyAt, [...path, key], `this key is written twice, first at ${first.file}:${first.line}`, "keep one of them");
      else keys.set(key, keyAt);
      const value = pair.value ?? null;
      const node = value === null ? this.#nothing(pair.key) : this.node(value, key === "<<" ? path : [...path, key], depth + 1);
      if (key === "<<") below = this.#mergeKey(node, below, path);
      else entries.set(key, { keyAt, node });
    }
    const own: LocatedMap = { kind: "map", at, entries };
    return below === null ? own : { ...overlayShallow(below, own), at };
  }

  /** `<<: *anchor` or `<<: [*a, *b]` (YAML 1.1 merge keys): earlier ones win, the map's own keys win over all. */
  #mergeKey(node: Located, below: LocatedMap | null, path: readonly PathPart[]): LocatedMap | null {
    for (const source of node.kind === "list" ? node.items : [node]) {
      if (source.kind !== "map") this.#report(source.at, path, "`<<` takes a map or a list of maps", "write `<<: *anchor`");
      else below = below === null ? source : overlayShallow(source, below);
    }
    return below;
  }

  #key(pair: Pair, path: readonly PathPart[]): string | null {
    const key = isAlias(pair.key) ? this.#anchors.get(pair.key.source)?.source : pair.key;
    if (isScalar(key) && key.value !== null) {
      const text = this.#source.unshield(String(key.value));
      if (text !== "__proto__") return text;
    }
    this.#report(this.#at(pair.key), path, "a key must be a plain name", "");
    return null;
  }

  #scalar(scalar: Scalar, path: readonly PathPart[]): Located {
    const at = this.#at(scalar);
    const { value } = scalar;
    if (typeof value !== "string") {
      const known = value === null || typeof value === "number" || typeof value === "boolean";
      if (!known) this.#report(at, path, "this kind of value is not used here", "write it in quotes");
      return { kind: "scalar", at, value: known ? value : null, fromEnv: false };
    }
    const result = interpolate(this.#source.unshield(value), this.#source.env);
    if (result.malformed || result.missing.length > 0) this.#source.unread.push(at);
    for (const name of result.missing) {
      this.#report(
        this.#within(scalar, `\${${name}`),
        path,
        `the environment variable ${name} is not set`,
        `set it, or write \${${name}:-default}`,
      );
    }
    if (result.malformed)
      this.#report(this.#within(scalar, "${"), path, `this is neither \${VAR} nor \${VAR:-default}`, `write $\${ for a literal \${`);
    return { kind: "scalar", at, value: result.text, fromEnv: result.changed };
  }

  #within(scalar: Scalar, text: string): Position {
    const [from = 0, to = from] = scalar.range ?? [];
    const offset = this.#source.text.indexOf(text, from);
    return this.#source.place(offset < 0 || offset >= to ? from : offset);
  }

  #at(node: unknown): Position {
    const range: unknown = typeof node === "object" && node !== null && "range" in node ? node.range : null;
    const offset: unknown = Array.isArray(range) ? range[0] : 0;
    return this.#source.place(typeof offset === "number" ? offset : 0);
  }

  #report(at: Position, path: readonly PathPart[], message: string, remedy: string): void {
    this.#source.problems.push({ at, path: formatPath(path), message, remedy });
  }
}

/** Keys of `over` win whole; those of `base` fill the gaps. */
function overlayShallow(base: LocatedMap, over: LocatedMap): LocatedMap {
  return { kind: "map", at: over.at, entries: new Map([...base.entries, ...over.entries]) };
}

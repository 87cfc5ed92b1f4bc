// Owns reading one YAML text into a located tree: size bound, syntax errors, duplicate keys.
// Must never run code or read files because of what a text says.
import { isMap, isSeq, LineCounter, parseDocument, type YAMLError } from "yaml";
import type { Env } from "./interpolate.ts";
import type { Located, LocatedMap } from "./located.ts";
import type { ConfigProblem, Position } from "./problem.ts";
import { Walk } from "./walk.ts";

/** Largest configuration file, in bytes of text: 10,000 generous routes. */
export const TEXT_BYTES_MAX = 16 * 1024 ** 2;

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
  return readTree(source, env, {
    fits: (contents) => isMap(contents) || isSeq(contents),
    otherwise: ["the file holds no consumer", "write one (`id: acme`, ...) or a list of them, or remove the file"],
  });
}

interface Expectation {
  readonly fits: (contents: unknown) => boolean;
  /** What is wrong, and what to do about it, when it does not fit. */
  readonly otherwise: readonly [message: string, remedy: string];
}

function readTree(source: ConfigText, env: Env, { fits, otherwise }: Expectation): ReadDocument<Located> {
  const start: Position = { file: source.file, line: 1, column: 1 };
  const fail = (message: string, remedy: string): ReadDocument<Located> => ({
    root: null,
    problems: [{ at: start, path: "", message, remedy }],
    unread: [],
  });
  if (Buffer.byteLength(source.text) > TEXT_BYTES_MAX)
    return fail(`the file is larger than ${TEXT_BYTES_MAX / 1024 ** 2} MiB`, "split it or generate less");
  if (source.text.includes(OPEN) || source.text.includes(CLOSE))
    return fail("the file holds Unicode noncharacters (U+FDD0, U+FDD1)", "remove them");
  const lines = new LineCounter();
  const document = parseDocument(shieldTemplates(source.text), {
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
    return { file: source.file, line, column: col };
  };
  const problems = withoutEchoes([...document.errors, ...document.warnings]).map((error): ConfigProblem => {
    const [message, remedy] = KNOWN_ERRORS[error.code] ?? [unshield(error.message).replace(/\s+/g, " "), remedyFor(error)];
    return { at: place(error.pos[0]), path: "", message, remedy };
  });
  if (document.errors.length > 0) return { root: null, problems, unread: [] };
  if (!fits(document.contents)) return fail(...otherwise);
  const unread: Position[] = [];
  const walk = new Walk({ text: source.text, env, place, unshield, problems, unread });
  const root = walk.node(document.contents, [], 0);
  return { root, problems, unread };
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
function withoutEchoes(errors: readonly YAMLError[]): YAMLError[] {
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

const unshield = (text: string): string => text.replaceAll(OPEN, "{").replaceAll(CLOSE, "}");

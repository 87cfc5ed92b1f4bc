// Owns a configuration's text as the YAML parser gets it, and the places in it. Must never judge what a text says.
import { LineCounter, parseDocument } from "yaml";
import type { Located, LocatedMap } from "./located.ts";
import type { ConfigProblem, Position } from "./problem.ts";

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

export const startOf = ({ file }: ConfigText): Position => ({ file, line: 1, column: 1 });

/** @param linesBefore lines of the file before this text */
export function parse({ file, text }: ConfigText, linesBefore: number) {
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

/** Stand-ins for braces: Unicode noncharacters, one UTF-16 unit each, so that positions stay right. */
const OPEN = "\ufdd0";
const CLOSE = "\ufdd1";

/**
 * In a YAML flow map an unquoted text can't hold braces, yet `match: { path: /users/{id} }` is how people write it. Braces right after `/`, `=` or `$`
 * are a syntax error there and text everywhere else: so they are taken for text everywhere, and no valid file changes its meaning.
 */
export function shieldTemplates(text: string): string {
  return text.replace(
    /(?<=[/=])\{([A-Za-z_*][\w.*-]*)\}|(?<=\$)\{(\w+(?::-[^\s{}[\],"']*)?)\}/g,
    (_, template: string | undefined, variable: string | undefined) => {
      return `${OPEN}${template ?? variable ?? ""}${CLOSE}`;
    },
  );
}

export const hasStandIns = (text: string): boolean => text.includes(OPEN) || text.includes(CLOSE);

export const unshield = (text: string): string => text.replaceAll(OPEN, "{").replaceAll(CLOSE, "}");

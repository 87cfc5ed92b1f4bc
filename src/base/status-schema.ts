// Owns the schema of lists of status codes, wherever a configuration names statuses: a number, a range, or a list of both; where other conditions can stand
// beside them, in one list with those. One error message with one remedy for all. Imported by config schemas only (primary).
import * as z from "zod";
import { areTied, byStatus, formatStatusRange, parseStatusRange, STATUS_MAX, STATUS_MIN, type StatusRange } from "./status-list.ts";

/** Entries of one list. */
const ENTRIES_MAX = 50;

/** Which statuses may be named at a place. */
export interface StatusBounds {
  readonly min?: number;
  readonly max?: number;
  /** A range that may be written there; by default the hundred in which the bounds begin. */
  readonly example?: string;
  /** Why no others, for the message; a sentence without its full stop. */
  readonly because?: string;
  /** An empty list stands for none. */
  readonly mayBeEmpty?: boolean;
}

const PATTERN = /^[1-5]\d\d(-[1-5]\d\d)?$/.source;

/** Output ranges, in the order written. */
export const statusList = (bounds: StatusBounds = {}) =>
  oneOrMore([], bounds)
    .transform((list) => list.filter((each) => typeof each === "object"))
    .meta({ unit: "statuses" });

/** The same beside words that are no statuses. Output ranges in the order written, and each word once. */
export const statusesOr = <const Word extends string>(words: readonly Word[], bounds: StatusBounds = {}) =>
  oneOrMore(words, bounds)
    .transform((list) => ({
      words: words.filter((word) => list.includes(word)),
      statuses: list.filter((each): each is StatusRange => typeof each === "object"),
    }))
    .meta({ unit: `statuses, ${words.map((word) => `\`${word}\``).join(", ")}` });

/** A map from statuses and ranges of them: the narrower counts. Output values by status, one for each. */
export const statusMap = <T>(value: z.ZodType<T>, entriesMax: number, bounds: StatusBounds = {}) => {
  const { expected, within } = wordsFor([], bounds);
  const key = z
    .string()
    .meta({ pattern: PATTERN })
    .refine((text) => within(parseStatusRange(text)), expected);
  return z
    .record(key, value)
    .refine((record) => Object.keys(record).length <= entriesMax, `expected at most ${entriesMax} statuses`)
    .transform((record, ctx): ReadonlyMap<number, T> => {
      const entries = Object.entries(record).flatMap(([text, each]) => {
        const range = parseStatusRange(text);
        return range === null ? [] : [[range, each] as const];
      });
      for (const [i, [range]] of entries.entries()) {
        const tied = entries.slice(0, i).find(([other]) => areTied(other, range));
        if (tied === undefined) continue;
        const message = `${formatStatusRange(range)} and ${formatStatusRange(tied[0])} have statuses in common, and neither is narrower`;
        ctx.addIssue({ code: "custom", path: [formatStatusRange(range)], message, params: { remedy: "write ranges that do not overlap" } });
      }
      return byStatus(entries);
    });
};

/** What is said of what is none of these, and the test. */
function wordsFor(
  words: readonly string[],
  { min = STATUS_MIN, max = STATUS_MAX, example = hundredOf(min, max), because = "" }: StatusBounds,
) {
  return {
    expected: `expected ${words.map((word) => `${word}, `).join("")}a status from ${min} to ${max}, or a range such as ${example}${because === "" ? "" : `: ${because}`}`,
    within: (range: StatusRange | null): range is StatusRange => range !== null && range.min >= min && range.max <= max,
  };
}

function oneOrMore(words: readonly string[], bounds: StatusBounds) {
  const each = entry(words, bounds);
  return z
    .union([
      z
        .array(each)
        .min(bounds.mayBeEmpty === true ? 0 : 1)
        .max(ENTRIES_MAX),
      each,
    ])
    .transform((value): readonly (string | StatusRange)[] => [value].flat());
}

function entry(words: readonly string[], bounds: StatusBounds) {
  const { min = STATUS_MIN, max = STATUS_MAX } = bounds;
  const { expected, within } = wordsFor(words, bounds);
  const statuses = [z.string().meta({ pattern: PATTERN }), z.int().meta({ minimum: min, maximum: max })] as const;
  return z
    .union(words.length === 0 ? statuses : [z.enum(words), ...statuses], { error: expected })
    .transform((value, ctx): string | StatusRange => {
      if (words.includes(String(value))) return String(value);
      const range = parseStatusRange(String(value));
      if (within(range)) return range;
      ctx.addIssue({ code: "custom", message: expected, params: { remedy: meantStatuses(String(value), within) } });
      return z.NEVER;
    });
}

const hundredOf = (min: number, max: number): string =>
  min === STATUS_MIN ? "200-299" : `${min}-${Math.min(max, min - (min % 100) + 99)}`;

/** What other programs and people write. @returns '' for what cannot be guessed */
function meantStatuses(text: string, within: (range: StatusRange | null) => range is StatusRange): string {
  const meant = text
    .split(",")
    .map((part) => meantRange(part.trim()))
    .filter(within);
  if (meant.length !== text.split(",").length) return "";
  const [only = ""] = meant.map(formatStatusRange);
  return `write \`${meant.length === 1 ? only : `[${meant.map(formatStatusRange).join(", ")}]`}\``;
}

function meantRange(text: string): StatusRange | null {
  const [, hundred] = /^([1-5])(?:xx|\*\*?)$/i.exec(text) ?? [];
  if (hundred !== undefined) return parseStatusRange(`${hundred}00-${hundred}99`);
  const [, from = "", to = ""] = /^(\d{3})\s*(?:-|\u2013|\u2014|:|\.{2,3}|to)\s*(\d{3})$/i.exec(text) ?? [];
  return parseStatusRange(text) ?? parseStatusRange(`${from}-${to}`) ?? parseStatusRange(`${to}-${from}`);
}

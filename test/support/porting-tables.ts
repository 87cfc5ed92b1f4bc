// Owns reading the tables of docs/porting.md, and whether a configuration has the settings that a cell names.
import fs from "node:fs";
import path from "node:path";
import { load } from "js-yaml";

export interface PortingRow {
  /** Heading of its table. */
  readonly product: string;
  readonly theirs: string;
  /** As written, without the backticks of one piece of code alone. */
  readonly here: string;
  readonly differs: string;
}

/** What stands in the second column of what is refused. */
export const REFUSED = "refused";

export function portingRows(): readonly PortingRow[] {
  const text = fs.readFileSync(path.join(import.meta.dirname, "../../docs/porting.md"), "utf8");
  return text.split(/^## /m).flatMap((section) => {
    const product = section.slice(0, section.indexOf("\n"));
    const lines = section.split("\n").filter((line) => line.startsWith("| "));
    return lines.slice(2).map((line) => {
      const [theirs = "", here = "", differs = ""] = line.split(/(?<!\\)\|/).slice(1, -1);
      return {
        product,
        theirs: theirs.trim(),
        here: here
          .trim()
          .replaceAll("\\|", "|")
          .replace(/^`([^`]*)`$/, "$1"),
        differs: differs.trim(),
      };
    });
  });
}

/** What a row is proven by: its settings, or itself where they are refused. */
export const keyOf = (row: PortingRow): string => (row.here === REFUSED ? `${row.product}: ${row.theirs}` : row.here);

/** Whether some map or list in a configuration holds all of these settings. */
export function hasSettings(config: unknown, settings: string): boolean {
  const wanted: unknown = load(`{ ${settings} }`);
  const holds = (value: unknown): boolean => covers(value, wanted) || children(value).some(holds);
  return holds(config);
}

const children = (value: unknown): readonly unknown[] => (typeof value === "object" && value !== null ? Object.values(value) : []);

function covers(value: unknown, wanted: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return value === wanted;
  if (Array.isArray(wanted))
    return Array.isArray(value) && value.length === wanted.length && wanted.every((each, i) => covers(value[i], each));
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = new Map(Object.entries(value));
  return Object.entries(wanted).every(([key, each]) => entries.has(key) && covers(entries.get(key), each));
}

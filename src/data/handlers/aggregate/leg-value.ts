// Owns what becomes of a leg's answer: bytes to JSON, the part that is selected, its members picked, renamed and flattened. Pure.
// Must never throw on what a service sent, change a number that it does not understand, or touch what an object inherits.
import { isUtf8 } from "node:buffer";
import { isObject, isTooDeep, JSON_DEPTH_MAX, type JsonPath, jsonAt, parseExact, parseJsonPath } from "../../../base/exact-json.ts";
import type { LegConfig } from "./config-plan.ts";

/** Why an answer can't be used, as the end of a sentence about it: for operators. */
export interface Unusable {
  readonly fault: string;
}

/** An answer as JSON. */
export interface ReadJson {
  readonly value: unknown;
  /** The bytes it was read from, without byte order mark; `null` for an answer without body. */
  readonly raw: Uint8Array;
}

const NULL = Buffer.from("null");
const NOTHING: ReadJson = { value: null, raw: NULL };

/** RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: never a body. */
const isBodiless = (status: number): boolean => status === 204 || status === 205 || status === 304;

/**
 * Reads a body as JSON (RFC 8259): UTF-8, after one byte order mark at most.
 * @param bodiless the request was HEAD
 */
export function readJson(status: number, body: Uint8Array, bodiless: boolean): ReadJson | Unusable {
  if (bodiless || isBodiless(status)) return NOTHING;
  const hasMark = body.length >= 3 && body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf;
  const raw = hasMark ? body.subarray(3) : body;
  if (!isUtf8(raw)) return { fault: "is not UTF-8" };
  const text = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString("utf8");
  if (isTooDeep(text)) return { fault: `nests deeper than ${JSON_DEPTH_MAX}` };
  try {
    return { value: parseExact(text), raw };
  } catch {
    return { fault: text === "" ? "is empty" : "is not JSON" };
  }
}

/** What a leg makes of a JSON value. @returns a value to be written as JSON, or why there is none */
export type Shape = (value: unknown) => { readonly value: unknown } | Unusable;

type Members = Readonly<Record<string, unknown>>;

/** @returns null when the leg takes the whole as it is, so that its bytes can go on unread by anybody */
export function shapeOf(leg: Pick<LegConfig, "select" | "pick" | "rename" | "lift" | "flattenLists">): Shape | null {
  const { select, pick, rename, lift, flattenLists } = leg;
  const path = selected(select);
  const changesMembers = pick !== null || rename.length > 0 || lift.length > 0;
  if (path.length === 0 && !changesMembers && !flattenLists) return null;
  const names = new Map(rename.map(({ from, to }) => [from, to]));
  const change = (object: Members): Members => lifted(renamed(object, pick, names), lift);
  return (whole) => {
    const value = jsonAt(whole, path);
    if (value === undefined) return { fault: `has nothing at ${select}` };
    const members = changesMembers ? eachObject(value, change) : value;
    if (members === undefined) return { fault: "has no members to take: it is neither an object nor a list of objects" };
    return { value: flattenLists && Array.isArray(members) ? members.flat() : members };
  };
}

function selected(text: string): JsonPath {
  const path = parseJsonPath(text);
  if ("error" in path) throw new Error(`select ${JSON.stringify(text)}: ${path.error}`); // the primary has refused it
  return path;
}

/** Of an object, or of each object in a list; nothing (null) stays nothing. @returns undefined for what has no members: it might hold what was not picked */
function eachObject(value: unknown, change: (object: Members) => Members): unknown {
  if (value === null) return null;
  if (isObject(value)) return change(value);
  if (!Array.isArray(value) || !value.every((item) => item === null || isObject(item))) return undefined;
  return value.map((item: unknown) => (isObject(item) ? change(item) : null));
}

/** Without a prototype, so that a member named `__proto__` is one like others. */
const newObject = (): Record<string, unknown> => Object.create(null) as Record<string, unknown>; // nothing in it

/** In the order of `pick`, else of the object. A member that is renamed wins over one that has the name already. */
function renamed(object: Members, pick: readonly string[] | null, names: ReadonlyMap<string, string>): Members {
  const taken = pick === null ? Object.keys(object) : pick.filter((name) => Object.hasOwn(object, name));
  const over = new Set(taken.flatMap((name) => names.get(name) ?? []));
  const out = newObject();
  for (const name of taken) {
    const to = names.get(name);
    if (to !== undefined || !over.has(name)) out[to ?? name] = object[name];
  }
  return out;
}

/** What is outside wins over what is lifted, and what was lifted first over what comes after. A named member that is no object stays. */
function lifted(object: Members, lift: readonly string[]): Members {
  if (lift.length === 0) return object;
  const opened = new Set(lift.filter((name) => Object.hasOwn(object, name) && isObject(object[name])));
  const out = newObject();
  for (const [name, value] of Object.entries(object)) if (!opened.has(name)) out[name] = value;
  for (const name of opened) for (const [inner, value] of Object.entries(object[name] as Members)) if (!(inner in out)) out[inner] = value;
  return out;
}

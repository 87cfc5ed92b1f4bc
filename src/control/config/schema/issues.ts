// Owns turning what the schema finds wrong into problems with position, path and remedy.
import type { z } from "zod";
import { keyPositionAt, type Located, nodeAt, positionAt } from "../source/located.ts";
import { type ConfigProblem, formatPath, nearest, type PathPart, PROBLEMS_MAX, suggest } from "../source/problem.ts";
import { unsupportedMessage } from "./fields.ts";
import { keyElsewhere, remedyFor } from "./remedies.ts";
import { isReservedKey } from "./reserved-keys.ts";

type Issue = z.core.$ZodIssue;
type RawIssue = z.core.$ZodRawIssue;

/** Separates the known keys inside the message of an unrecognized_keys issue: see {@link issueMessage}. */
const KEYS_MARK = "\0";

/** What is said of a key that is missing. */
export const IS_REQUIRED = "is required";

/** The `error` map to parse with: says what was expected, and carries the keys an object knows to {@link problemsOf}. */
export function issueMessage(issue: RawIssue): string | undefined {
  switch (issue.code) {
    case "unrecognized_keys":
      return KEYS_MARK + knownKeys(issue.inst).join(KEYS_MARK);
    case "invalid_type":
      return issue.input === undefined
        ? IS_REQUIRED
        : `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}, got ${typeName(issue.input)}`;
    case "invalid_value":
      return `expected ${issue.values
        .map((value) => String(value))
        .join(", ")
        .replace(/, ([^,]*)$/, " or $1")}`;
    case "too_small":
    case "too_big":
      return sizeMessage(
        issue.code === "too_small" ? "at least" : "at most",
        issue.origin,
        Number(issue.code === "too_small" ? issue.minimum : issue.maximum),
      );
    default:
      return undefined;
  }
}

/** The issue that an object schema with the known keys would raise. */
export const unknownKeysIssue = (keys: readonly string[], known: readonly string[]): Issue => ({
  code: "unrecognized_keys",
  keys: [...keys],
  path: [],
  message: KEYS_MARK + known.join(KEYS_MARK),
});

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  record: "a map",
};

function typeName(input: unknown): string {
  if (input === null) return "nothing";
  if (Array.isArray(input)) return "a list";
  if (typeof input === "number" && !Number.isInteger(input)) return "a fraction";
  return TYPE_NAMES[typeof input] ?? typeof input;
}

function sizeMessage(bound: string, origin: string, limit: number): string {
  if (origin === "string") return limit === 1 && bound === "at least" ? "must not be empty" : `expected ${bound} ${limit} characters`;
  if (origin === "array") return `expected ${bound} ${limit} ${limit === 1 ? "entry" : "entries"}`;
  return `expected ${bound} ${limit}`;
}

/** @param inst the object schema that raised the issue (zod leaves it on raw issues only). */
function knownKeys(inst: unknown): string[] {
  const def: unknown = typeof inst === "object" && inst !== null && "def" in inst ? inst.def : null;
  const shape: unknown = typeof def === "object" && def !== null && "shape" in def ? def.shape : null;
  return typeof shape === "object" && shape !== null ? Object.keys(shape) : [];
}

/** Every issue, those of each branch of a union in its place, with paths from the same value on. */
export function leavesOf(issues: readonly Issue[], base: readonly PropertyKey[] = []): readonly Issue[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path];
    return issue.code === "invalid_union" && issue.errors.length > 0
      ? issue.errors.flatMap((branch) => leavesOf(branch, path))
      : [{ ...issue, path }];
  });
}

/** Whether a value would do at a place, from the parsed value on. */
export type Accepts = (place: readonly PathPart[], value: unknown) => boolean;

const anything: Accepts = () => true;

/** What issues are about, and where. */
interface Scene {
  readonly root: Located;
  /** Path of the parsed value within the root. */
  readonly base: readonly PathPart[];
  readonly accepts: Accepts;
}

/** @param base path of the parsed value within `root`. @param accepts tries a remedy */
export function problemsOf(
  issues: readonly Issue[],
  root: Located,
  base: readonly PathPart[],
  accepts: Accepts = anything,
): ConfigProblem[] {
  return problemsIn(issues, { root, base, accepts }, base);
}

/** @param at path of the value whose issues they are */
function problemsIn(issues: readonly Issue[], scene: Scene, at: readonly PathPart[]): ConfigProblem[] {
  const misspelt = new Set(issues.filter((issue) => issue.code === "unrecognized_keys").map((issue) => JSON.stringify(issue.path)));
  const meant = new Set(issues.flatMap((issue) => meantKeys(issue).map((key) => JSON.stringify([...issue.path, key]))));
  // What a misspelt key leaves missing is not worth a second message.
  const telling = issues.filter((issue) => {
    if (issue.code === "custom") return !misspelt.has(JSON.stringify(issue.path));
    return issue.message !== IS_REQUIRED || !meant.has(JSON.stringify(issue.path));
  });
  return telling.flatMap((issue) => problemsOfIssue(issue, scene, at));
}

/** The keys that misspelt ones were probably meant to be. */
export function meantKeys(issue: Issue): readonly string[] {
  return issue.code === "unrecognized_keys"
    ? issue.keys.slice(0, PROBLEMS_MAX).flatMap((key) => nearest(key, markedKeys(issue.message)) ?? [])
    : [];
}

/** The known keys that {@link issueMessage} left in a message. */
const markedKeys = (message: string): readonly string[] => message.split(KEYS_MARK).filter((known) => known !== "");

function problemsOfIssue(issue: Issue, scene: Scene, at: readonly PathPart[]): ConfigProblem[] {
  const { root } = scene;
  const path: PathPart[] = [...at, ...issue.path.map((part) => (typeof part === "number" ? part : String(part)))];
  if (issue.code === "unrecognized_keys")
    return issue.keys.slice(0, PROBLEMS_MAX + 1).map((key) => unknownKey(key, issue.message, root, path));
  if (issue.code === "invalid_union" && issue.message === UNION_DEFAULT) return unionProblems(issue.errors, scene, path);
  if (issue.code === "invalid_key")
    return issue.issues.map((inner) => ({ at: keyPositionAt(root, path), path: formatPath(path), message: inner.message, remedy: "" }));
  const node = nodeAt(root, path);
  const remedy = remedyFor({ issue, node, path, accepts: tryAt(scene, path) });
  return [
    {
      at: positionAt(root, path),
      path: formatPath(path),
      message: withoutSecrets(issue.message, node),
      remedy: withoutSecrets(remedy, node),
    },
  ];
}

const tryAt =
  ({ base, accepts }: Scene, path: readonly PathPart[]) =>
  (value: unknown): boolean =>
    accepts(path.slice(base.length), value);

const UNION_DEFAULT = "Invalid input";

function unknownKey(key: string, message: string, root: Located, path: readonly PathPart[]): ConfigProblem {
  const full = [...path, key];
  const place = { at: keyPositionAt(root, full), path: formatPath(full) };
  if (isReservedKey(path, key)) return { ...place, message: unsupportedMessage(`\`${key}\``), remedy: "remove it" };
  return {
    ...place,
    message: "unknown key",
    remedy: keyElsewhere(path, key) ?? suggest(key, markedKeys(message), "known keys"),
  };
}

/** Reports the branch that came nearest: the one whose mistakes lie deepest, then the one with the fewest. */
function unionProblems(branches: readonly (readonly Issue[])[], scene: Scene, path: readonly PathPart[]): ConfigProblem[] {
  const { root } = scene;
  const best = nearestBranch(branches);
  if (best !== undefined) return problemsIn(best, scene, path);
  const expected = branches.flatMap((branch) => branch.map((issue) => issue.message.replace(/, got .*$/, "").replace(/^expected /, "")));
  return [
    {
      at: positionAt(root, path),
      path: formatPath(path),
      message: `expected ${[...new Set(expected)].join(" or ")}`,
      remedy: remedyFor({ issue: branches[0]?.[0], node: nodeAt(root, path), path, accepts: tryAt(scene, path) }),
    },
  ];
}

/** The branch of a union that was probably meant; none when the value is of no branch's kind. */
export function nearestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const matching = branches.filter((branch) => !branch.some((issue) => issue.path.length === 0 && issue.code === "invalid_type"));
  return [...matching].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
}

const depth = (issues: readonly Issue[]): number =>
  Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === "unrecognized_keys" ? 1 : 0)));

/** What came from the environment may be a secret: it is not repeated. */
function withoutSecrets(message: string, node: Located | undefined): string {
  if (node?.kind !== "scalar" || !node.fromEnv || node.value === "" || typeof node.value !== "string") return message;
  return message.replaceAll(JSON.stringify(node.value), "what the environment gave").replaceAll(node.value, "***");
}

// Owns the check that a configured regular expression takes linear time on hostile paths. For schemas; must never see traffic.

const PATTERN_CHARS_MAX = 256;

/** Choices besides repetitions (`?`, `|`): each may double the work. */
const CHOICES_MAX = 8;

/** One thing that consumes a character, with how often; or the border of an alternative (source ''). */
interface Atom {
  readonly source: string;
  /** The character, if it is exactly one, once. */
  readonly literal: string | null;
  /** How many ways it can go on: once, a few (`?`, `{n}`), many (`*`, `+`, `{n,m}`). */
  readonly repeats: "once" | "few" | "many";
}

const BORDER: Atom = { source: "", literal: null, repeats: "once" };

const TOKEN =
  /(?<class>\[(?:\\.|[^\]\\])+\])|(?<escape>\\[dDwWsS])|(?<quoted>\\[^A-Za-z0-9])|(?<open>\((?:\?:|\?<[A-Za-z]\w*>|(?!\?)))|(?<close>\))|(?<edge>[\^$])|(?<or>\|)|(?<char>[^\\[\](){}*+?^$|])/y;
const QUANTIFIER = /(?:(?<few>\?|\{\d+\})|\*|\+|\{\d+,\d*\})\??/y;

/** Takes one token and its quantifier off the pattern. @returns null where the pattern uses something that can't be judged */
function take(pattern: string, at: number) {
  TOKEN.lastIndex = at;
  const token = TOKEN.exec(pattern)?.groups;
  if (token === undefined) return null;
  QUANTIFIER.lastIndex = TOKEN.lastIndex;
  const quantifier = QUANTIFIER.exec(pattern)?.groups;
  const repeats: Atom["repeats"] = quantifier === undefined ? "once" : quantifier["few"] === undefined ? "many" : "few";
  return { token, repeats, next: quantifier === undefined ? TOKEN.lastIndex : QUANTIFIER.lastIndex };
}

/** A pattern cut to atoms; or why it can't be judged. */
function cut(pattern: string): readonly Atom[] | string {
  const atoms: Atom[] = [];
  let depth = 0;
  for (let at = 0; at < pattern.length; ) {
    const taken = take(pattern, at);
    if (taken === null) return `character ${at + 1}: this construct is not allowed here (nor are back references and look-around)`;
    const { token, repeats } = taken;
    at = taken.next;
    if (token["open"] !== undefined) depth++;
    if (token["close"] !== undefined) {
      depth--;
      if (repeats !== "once") return "a repeated group can take exponential time: repeat a class instead";
    }
    if (token["or"] !== undefined && depth === 0) return "put alternatives into a group, so that all are anchored";
    const source = token["class"] ?? token["escape"] ?? token["quoted"] ?? token["char"];
    if (source !== undefined) {
      const literal = token["quoted"]?.slice(1) ?? (source === "." ? null : (token["char"] ?? null));
      atoms.push({ source, literal: repeats === "once" ? literal : null, repeats });
    } else if (token["or"] !== undefined || token["open"] !== undefined) atoms.push(BORDER);
  }
  return atoms;
}

/** Whether the repetition at `i` can only stop in one place: nothing follows, or a character it can't itself match. */
function stopsInOnePlace(atoms: readonly Atom[], i: number): boolean {
  const next = atoms[i + 1];
  if (next === undefined) return true;
  return next.literal !== null && !new RegExp(`^${atoms[i]?.source ?? ""}$`, "u").test(next.literal);
}

/**
 * Judges a regular expression for use on request paths. Accepted patterns take time linear in the path: they start with `^`, repeat no group,
 * and only their last repetition may stop in more than one place.
 * @returns what is wrong, for the operator; null when it may be used with the `u` flag
 */
export function patternProblem(pattern: string): string | null {
  if (pattern.length > PATTERN_CHARS_MAX) return `a pattern has at most ${PATTERN_CHARS_MAX} characters`;
  if (!pattern.startsWith("^")) return "anchor the pattern with `^`";
  try {
    new RegExp(pattern, "u");
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const all = cut(pattern);
  if (typeof all === "string") return all;
  const choices = (pattern.match(/[|?]/g) ?? []).length;
  if (choices > CHOICES_MAX) return `at most ${CHOICES_MAX} of \`?\` and \`|\``;
  const atoms = pattern.includes("|") ? all : all.filter((atom) => atom !== BORDER);
  const last = atoms.findLastIndex((atom) => atom.repeats === "many");
  const loose = atoms.some((atom, i) => atom.repeats === "many" && i !== last && !stopsInOnePlace(atoms, i));
  return loose ? "a repetition must end at a character it can't match, unless it is the last: use [^/]+ between slashes" : null;
}

/** @returns what is wrong with a replacement for `pattern` (a valid one); null when nothing is */
export function replacementProblem(pattern: string, to: string): string | null {
  // A group's text could add query parameters of its own, so there is no `?`.
  if (!/^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/.test(to)) return "expected a path: visible ASCII without `?` and `#`, with a leading `/`";
  const groups = (new RegExp(`${pattern}|`, "u").exec("")?.length ?? 1) - 1;
  for (const [, reference = ""] of to.matchAll(/\$(.?)/g))
    if (!/[1-9]/.test(reference) || Number(reference) > groups) return `\`$${reference}\` names no group: the pattern has ${groups}`;
  return null;
}

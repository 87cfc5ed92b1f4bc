// Paths with parts, constraints and several patterns a route: match order and ties against a slow, obvious matcher, case by random case. It reads a
// pattern by itself, tries every route, and finds ties by trying every short segment. SEEDS=n runs n route sets instead of those of the suite.
import { describe, expect, test } from "vitest";
import { compileRouter } from "../../../../src/data/routing/compile.ts";
import { findTies, sortMatches, tie } from "../../../../src/data/routing/order.ts";
import { parsePattern, patternMatches, samplePath } from "../../../../src/data/routing/pattern.ts";
import { MATCH_NONE } from "../../../../src/data/routing/router.ts";
import type { MatchPlan } from "../../../../src/plan/plan.ts";
import { ReadExchange } from "../../../support/read-exchange.ts";
import { match, seeded } from "./route-sketch.ts";

type Random = (below: number) => number;
const pickOf = <T>(random: Random, choices: readonly T[]): T => choices[random(choices.length)] as T; // random() < length

// --- The slow, obvious matcher ---

/** A segment by plain reading: what it matches, what it captures, and its place in the order. */
interface PlainSegment {
  readonly regex: RegExp;
  readonly param: string | null;
  readonly precedence: number;
  readonly literals: number;
}

const escaped = (text: string): string => text.replace(/[^A-Za-z0-9]/gu, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);

/** Characters of a text in the normal form of paths. */
const written = (text: string): number => encodeURIComponent(text).replaceAll("%40", "@").length;

function plainSegment(text: string): PlainSegment {
  if (text === "*") return { regex: /^.+$/su, param: null, precedence: 4, literals: 0 };
  const open = text.indexOf("{");
  if (open < 0) return { regex: new RegExp(`^${escaped(text)}$`, "u"), param: null, precedence: 0, literals: written(text) };
  const close = text.lastIndexOf("}");
  const [name = "", ...rest] = text.slice(open + 1, close).split(":");
  const constraint = rest.join(":");
  const [before, after] = [text.slice(0, open), text.slice(close + 1)];
  const regex = new RegExp(`^${escaped(before)}(${constraint === "" ? "(?:.|\\n)+" : `(?:${constraint})`})${escaped(after)}$`, "u");
  const literals = written(before + after);
  const precedence = literals > 0 ? (constraint === "" ? 2 : 1) : constraint === "" ? 4 : 3;
  return { regex, param: name, precedence, literals };
}

interface PlainPattern {
  readonly segments: readonly PlainSegment[];
  readonly rest: boolean;
  readonly order: readonly number[];
}

const plainPatterns = new Map<string, PlainPattern>();

function plainPattern(text: string): PlainPattern {
  const known = plainPatterns.get(text);
  if (known !== undefined) return known;
  const parts = text.slice(1).split("/");
  const rest = parts.at(-1) === "**";
  const segments = (rest ? parts.slice(0, -1) : parts).map(plainSegment);
  const tier = rest ? 2 : segments.some(({ precedence }) => precedence > 0) ? 1 : 0;
  const literals = segments.reduce((sum, segment) => sum + segment.literals, 0);
  const padded = Array.from({ length: 8 }, (_, i) => segments[i]?.precedence ?? 5); // fewer segments: less specific
  const made = { segments, rest, order: [tier, -literals, ...padded] };
  plainPatterns.set(text, made);
  return made;
}

const compareLists = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((each, i) => each !== b[i]);
  return at < 0 ? 0 : (a[at] as number) - (b[at] as number); // found
};

/** Segments as an application reads them. */
const readPath = (path: string): readonly string[] => path.slice(1).split("/").map(decodeURIComponent);

function plainlyMatches({ segments, rest }: PlainPattern, parts: readonly string[]): boolean {
  if (parts.length < segments.length || (!rest && parts.length > segments.length)) return false;
  return segments.every(({ regex }, i) => captureOf(regex, parts[i] as string) !== null); // i is below both lengths
}

/** @returns null when the segment does not match; the parameter has one character at least */
function captureOf(regex: RegExp, part: string): string | null {
  const found = regex.exec(part);
  return found === null || found[1] === "" || part === "" ? null : (found[1] ?? part);
}

/** The path that decides, of all paths of all routes. */
function plainBest(matches: readonly MatchPlan[], parts: readonly string[]): { readonly route: number; readonly path: string } | null {
  let best: { readonly route: number; readonly path: string } | null = null;
  for (const [route, { paths }] of matches.entries())
    for (const path of paths)
      if (
        plainlyMatches(plainPattern(path), parts) &&
        (best === null || compareLists(plainPattern(path).order, plainPattern(best.path).order) < 0)
      )
        best = { route, path };
  return best;
}

function plainParams(matched: string, names: readonly string[], parts: readonly string[]): readonly string[] {
  const { segments } = plainPattern(matched);
  return names.map((name) => {
    if (name === "**") return parts.slice(segments.length).join("/");
    const i = segments.findIndex(({ param }) => param === name);
    return captureOf((segments[i] as PlainSegment).regex, parts[i] as string) ?? ""; // names are those of every path
  });
}

const plainNames = (path: string): readonly string[] => {
  const { segments, rest } = plainPattern(path);
  return [...segments.flatMap(({ param }) => (param === null ? [] : [param])), ...(rest ? ["**"] : [])];
};

/** Every text of at most `length` of these characters, the shortest first. */
function textsOf(characters: string, length: number): readonly string[] {
  const found = [""];
  for (let from = 0, each = 1; each <= length; each++)
    for (const until = found.length; from < until; from++) for (const char of characters) found.push(`${found[from]}${char}`);
  return found.slice(1);
}

/** Literal text around the parameters of random patterns. */
const AROUND = ["", "a", "b", "1", "ab", "@"];

/** Any two of the random patterns that share a segment share one of these. */
const SEGMENTS: readonly string[] = [
  ...new Set([
    ...textsOf("ab1@é", 4),
    ...textsOf("ab", 6),
    ...AROUND.flatMap((before) => AROUND.flatMap((after) => textsOf("ab1@éc2", 2).map((text) => `${before}${text}${after}`))),
  ]),
];

const matching = new Map<string, ReadonlySet<number>>();

/** Indexes of {@link SEGMENTS}. */
function matchingSegments(text: string): ReadonlySet<number> {
  const { regex } = plainSegment(text);
  let found = matching.get(regex.source);
  if (found === undefined) {
    found = new Set(SEGMENTS.flatMap((segment, i) => (captureOf(regex, segment) === null ? [] : [i])));
    matching.set(regex.source, found);
  }
  return found;
}

/** Same place in the order, and at every place some segment that both take. */
function plainlyTie(a: string, b: string): boolean {
  if (compareLists(plainPattern(a).order, plainPattern(b).order) !== 0) return false;
  const [left, right] = [a, b].map((text) => text.slice(1).split("/"));
  return (left ?? []).every((segment, i) => {
    const other = (right ?? [])[i] as string; // as many segments
    return segment === "**" || segment === other || [...matchingSegments(segment)].some((i) => matchingSegments(other).has(i));
  });
}

// --- Random routes ---

const CONSTRAINTS = ["[0-9]+", "[a-z]+", "[1-9][0-9]*", "a|b", "a1?", "[ab]{2}", "(?:ab)+", "b*", "[^1]+", ".", "1.*", "@|é", "[^a]a?"];
const LITERALS = ["a", "b", "1", "ab", "a1", "@", "é"];

function randomSegment(random: Random, name: string): string {
  const pick = <T>(choices: readonly T[]): T => pickOf(random, choices);
  const around = () => pick(["", ...AROUND]);
  const kind = random(6);
  if (kind === 0) return pick(LITERALS);
  if (kind === 1) return pick([`{${name}}`, "*"]);
  if (kind === 2) return `{${name}:${pick(CONSTRAINTS)}}`;
  if (kind === 3) return `${around()}{${name}}${around()}`;
  return `${around()}{${name}:${pick(CONSTRAINTS)}}${around()}`;
}

function randomPath(random: Random): string {
  const segments = Array.from({ length: 1 + random(3) }, (_, i) => randomSegment(random, pickOf(random, [`p${i}`, `q${i}`])));
  if (random(5) === 0) segments.push("**");
  return `/${segments.join("/")}`;
}

const randomMatch = (random: Random): MatchPlan =>
  match(Array.from({ length: random(4) === 0 ? 2 + random(2) : 1 }, () => randomPath(random)));

/** A set that the loader would take: no two of its paths tie. */
function randomRoutes(random: Random): readonly MatchPlan[] {
  const taken: string[] = [];
  const made: MatchPlan[] = [];
  for (let n = 1 + random(12); n > 0; n--) {
    const paths = randomMatch(random).paths.filter((path) => {
      const isFree = !taken.some((other) => plainlyTie(path, other));
      if (isFree) taken.push(path);
      return isFree;
    });
    if (paths.length > 0) made.push(match(paths));
  }
  return made;
}

const SHORT = [...textsOf("ab1", 3), "@", "a@", "@a", "@b@", "é", "aé", "éb", " ", "a b", "1 1", "á", "1á"];

/** As `é` and `@` may come. */
const spelt = (random: Random, segment: string): string => {
  const encoded = encodeURIComponent(segment);
  return random(2) === 0 ? encoded.replaceAll("%40", "@") : encoded;
};

const randomRequest = (random: Random): string =>
  `/${Array.from({ length: 1 + random(4) }, () => spelt(random, random(4) === 0 ? pickOf(random, SEGMENTS) : pickOf(random, SHORT))).join("/")}`;

const SETS = Number(process.env["SEEDS"] ?? 700);
const REQUESTS = 30;

test("of random routes with parts, constraints and several paths the table finds what trying every one of them finds, with its parameters", () => {
  const random = seeded(24);
  const seen = { found: 0, none: 0, params: 0, several: 0 };
  for (let set = 0; set < SETS; set++) {
    const matches = randomRoutes(random);
    const router = compileRouter(matches.map((each) => ({ match: each })));
    for (let i = 0; i < REQUESTS; i++) {
      const x = new ReadExchange({ path: randomRequest(random) });
      const parts = readPath(x.path);
      const wanted = plainBest(matches, parts);
      const got = router.match(x);
      if (got !== (wanted?.route ?? MATCH_NONE))
        expect.fail(JSON.stringify({ path: x.path, got: matches[got]?.paths, wanted, paths: matches.map(({ paths }) => paths) }, null, 1));
      if (wanted === null) {
        seen.none++;
        continue;
      }
      seen.found++;
      const paths = matches[wanted.route]?.paths ?? [];
      const names = paths.map(plainNames).reduce((first, each) => first.filter((name) => each.includes(name)));
      const params = x.params.map(decodeURIComponent);
      const expected = plainParams(wanted.path, names, parts);
      if (JSON.stringify(params) !== JSON.stringify(expected))
        expect.fail(JSON.stringify({ path: x.path, wanted, params, expected }, null, 1));
      if (names.length > 0) seen.params++;
      if (paths.length > 1) seen.several++;
    }
  }
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(SETS / 2);
});

test("two random paths tie exactly when they weigh the same and some path takes both", () => {
  const random = seeded(25);
  const seen = { ties: 0, none: 0 };
  for (let pair = 0; pair < SETS * REQUESTS; pair++) {
    const a = randomPath(random);
    // Half of them differ in one segment: else hardly any weigh the same.
    const at = random(3);
    const b =
      random(2) === 0
        ? randomPath(random)
        : a
            .split("/")
            .map((segment, i) => (i === at + 1 && segment !== "**" ? randomSegment(random, "z") : segment))
            .join("/");
    const expected = plainlyTie(a, b);
    if (tie(match(a), match(b)) !== expected) expect.fail(`${a} and ${b} ${expected ? "tie" : "do not tie"}`);
    if (findTies([match(a), match(b)]).length !== (expected ? 1 : 0)) expect.fail(`findTies: ${a} and ${b}`);
    seen[expected ? "ties" : "none"]++;
  }
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(SETS);
});

test("the order of routes in a random set never counts, and the same paths in one route or in several lead to the same path", () => {
  const random = seeded(26);
  for (let set = 0; set < 100; set++) {
    const matches = randomRoutes(random);
    const single = matches.flatMap(({ paths }, route) => paths.map((path) => ({ route, match: match(path) }))).toReversed();
    const [whole, apart] = [matches.map((each) => ({ match: each })), single].map((routes) => compileRouter(routes));
    for (let i = 0; i < 30; i++) {
      const path = randomRequest(random);
      const got = whole?.match(new ReadExchange({ path })) ?? MATCH_NONE;
      const other = apart?.match(new ReadExchange({ path })) ?? MATCH_NONE;
      expect(got, path).toBe(single[other]?.route ?? MATCH_NONE);
    }
  }
});

test("a sample of a random path is one that it matches", () => {
  const random = seeded(27);
  for (let i = 0; i < 500; i++) {
    const pattern = parsePattern(randomPath(random));
    if ("error" in pattern) throw new Error(pattern.error);
    const path = samplePath(pattern, () => "sample", ["x"]);
    expect(patternMatches(pattern, path), `${pattern.text} ${path}`).toBe(true);
  }
});

describe("several paths of a route", () => {
  const matches = [match(["/users/{id}", "/teams/{team}/users/{id}", "/u/**"]), match("/users/me"), match(["/files/{name}/**", "/f/**"])];
  test.each<[string, number, readonly string[]]>([
    ["/users/7", 0, []],
    ["/teams/a/users/7", 0, []],
    ["/u/x/y", 0, []],
    ["/users/me", 1, []],
    ["/files/a/b/c", 2, ["b/c"]],
    ["/f/b/c", 2, ["b/c"]],
  ])("%s leads to route %i, which knows %j: the parameters that all have", (path, route, params) => {
    const x = new ReadExchange({ path });
    expect(compileRouter(matches.map((each) => ({ match: each }))).match(x)).toBe(route);
    expect(x.params).toEqual(params);
  });

  test("parameters keep the order of the first path, wherever they stand in the others", () => {
    const router = compileRouter([{ match: match(["/a/{x}/{y}", "/b/{y}/{x}"]) }]);
    const [a, b] = [new ReadExchange({ path: "/a/1/2" }), new ReadExchange({ path: "/b/2/1" })];
    expect([router.match(a), router.match(b)]).toEqual([0, 0]);
    expect([a.params, b.params]).toEqual([
      ["1", "2"],
      ["1", "2"],
    ]);
  });

  test("a route is listed under its most specific path, and ties are found between any two", () => {
    const several = [match("/b/{x}"), match(["/**", "/a/b/c"]), match("/a/b")];
    expect(sortMatches(several)).toEqual([1, 2, 0]);
    expect(tie(match(["/a", "/{b}"]), match(["/c", "/{d}"]))).toBe(true);
    expect(tie(match(["/a", "/{b}"]), match(["/c", "/d/{d}"]))).toBe(false);
  });
});

describe("the cost of parts", () => {
  test("ten thousand routes apart by literal text around a parameter are searched for ties without comparing all pairs", () => {
    const matches = Array.from({ length: 10_000 }, (_, i) => match(`/svc-${i}-{id}`));
    expect(findTies(matches)).toEqual([]);
    expect(findTies([...matches, match("/svc-77-{name}")])).toEqual([{ a: 77, b: 10_000 }]);
    const router = compileRouter(matches.map((each) => ({ match: each })));
    expect(router.match(new ReadExchange({ path: "/svc-7777-x" }))).toBe(7777);
  });
});

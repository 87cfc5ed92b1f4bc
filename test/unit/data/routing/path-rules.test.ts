// What listeners let through in paths: each setting, and the properties that keep matching, permission and forwarding the same thing.
import { describe, expect, test } from "vitest";
import { normalisePath } from "../../../../src/data/routing/normalise.ts";
import { normaliseMade, PathRules, refusedBits, refusedSpelling, SPELLINGS } from "../../../../src/data/routing/path-rules.ts";
import type { PathSpelling, PathsPlan } from "../../../../src/plan/paths.ts";

const STRICT: PathsPlan = {
  encodedSlashes: "refuse",
  doubleEncodings: "refuse",
  emptySegments: "refuse",
  backslashes: "refuse",
  matrixParameters: "refuse",
  case: "keep",
};
const under = (settings: Partial<PathsPlan>): PathRules => new PathRules({ ...STRICT, ...settings });

describe.each<[Partial<PathsPlan>, readonly (readonly [string, string | null])[]]>([
  [
    {},
    [
      ["/a/./%7Eb", "/a/~b"],
      ["/a;v=1", null],
      ["/a%3bv=1", null],
      ["/a%2Fb", null],
      ["/a//b", null],
      ["/a\\b", null],
      ["/a%252Fb", null],
    ],
  ],
  [
    { encodedSlashes: "keep" },
    [
      ["/a%2fb/c", "/a%2Fb/c"],
      ["/%2fa", "/%2Fa"],
      ["/a%2F../b", null],
      ["/a/..%2fb", null],
      ["/a/%2e%2e%2fb", null],
      ["/a%2F.", null],
      ["/a%2F..;x/b", null],
      ["/a%2f%2e%2e%3bx", null],
      ["/a%2F...", "/a%2F..."],
      ["/a%2Fb/../c", "/c"],
      ["/a%2Fb//c", null],
      ["/a%2Fb\\c", null],
      ["/a%2Fb%252Fc", null],
      ["/a%2Fb%00", null],
      ["/a%2Fb%zz", null],
      ["/a%2F%c0%af", null],
      ["/a%2Fé", null],
      ["a%2Fb", null],
      ["", null],
    ],
  ],
  [
    { encodedSlashes: "decode" },
    [
      ["/a%2fb", "/a/b"],
      ["/a/..%2f..%2fb", null],
      ["/a/b/..%2fc", "/a/c"],
      ["/a%2F", "/a/"],
      ["/%2Fa", null],
      ["/a%2F%2Fb", null],
      ["/a%252Fb", null],
      ["/a/..;%2fb", null],
    ],
  ],
  [
    { encodedSlashes: "decode", emptySegments: "merge" },
    [
      ["/%2Fa", "/a"],
      ["/a%2F%2fb", "/a/b"],
    ],
  ],
  [
    { doubleEncodings: "keep" },
    [
      ["/a%252fb", "/a%252fb"],
      ["/a%25%32%66b", "/a%252fb"],
      ["/100%2541", "/100%2541"],
      ["/a%252e%252e/b", "/a%252e%252e/b"],
      ["/a/%252e%252e/b", null],
      ["/%252e%252e%252fb", null],
      ["/a%252F..", null],
      ["/a/..%252fb", null],
      ["/a/%25252e%25252e%25252fb", null],
      ["/a/..%25252fb", null],
      ["/a%25c0%25ae", null],
      ["/a%252500", "/a%252500"],
    ],
  ],
  [
    { doubleEncodings: "decode" },
    [
      ["/%2541", "/A"],
      ["/a%2520b", "/a%20b"],
      ["/a%252Fb", null],
      ["/a/%252e%252e/b", "/b"],
      ["/%252e%252e/b", null],
      ["/a%2500", null],
      ["/a%252541", null],
      ["/a%25c0%25af", null],
      ["/a%2525", "/a%25"],
    ],
  ],
  [{ doubleEncodings: "decode", encodedSlashes: "keep" }, [["/a%252Fb", "/a%2Fb"]]],
  [{ doubleEncodings: "decode", encodedSlashes: "decode" }, [["/a%252Fb", "/a/b"]]],
  [
    { emptySegments: "keep" },
    [
      ["/a//b", "/a//b"],
      ["/a///b/", "/a///b/"],
      ["/a//", "/a//"],
      ["//a", null],
      ["/.//a", null],
      ["//", null],
      ["/a/..//b", null],
      ["/a//../b", null],
      ["/a//./b", "/a//b"],
      ["/a//%2e%2e/b", null],
      ["/a//..;/b", null],
    ],
  ],
  [
    { emptySegments: "merge" },
    [
      ["/a//b", "/a/b"],
      ["//a", "/a"],
      ["//", "/"],
      ["///a///", "/a/"],
      ["/a//../b", "/b"],
      ["/a//..//../b", null],
      ["/.//a", "/a"],
    ],
  ],
  [
    { backslashes: "keep" },
    [
      ["/a\\b", "/a%5Cb"],
      ["/a%5cb", "/a%5Cb"],
      ["/a/..\\b", null],
      ["/a\\..", null],
      ["/a%5C..%5cb", null],
      ["/a/%2e%5Cb", null],
    ],
  ],
  [
    { backslashes: "decode" },
    [
      ["/a\\b", "/a/b"],
      ["/a%5Cb\\..\\c", "/a/c"],
      ["/a\\..\\..\\b", null],
      ["/\\evil", null],
      ["/a\\\\b", null],
    ],
  ],
  [
    { matrixParameters: "keep" },
    [
      ["/a/./%7Eb;v=1", "/a/~b;v=1"],
      ["/a%3bv=1", "/a%3Bv=1"],
      ["/a/..;v=1", null],
      ["/a", "/a"],
    ],
  ],
  [
    { case: "fold" },
    [
      ["/Ab/%C3%84/C", "/ab/%C3%84/c"],
      ["/%41/%4a", "/a/j"],
      ["/AB", "/ab"],
      ["/a//B", null],
    ],
  ],
  [{ case: "fold", encodedSlashes: "keep" }, [["/A%2fB", "/a%2Fb"]]],
])("paths: %j", (settings, rows) => {
  test.each(rows)("%j -> %j", (raw, expected) => {
    expect(under(settings).normalise(raw)).toBe(expected);
  });
});

describe("a route that allows nothing", () => {
  const asked = (
    settings: Partial<PathsPlan>,
    raw: string,
    refused: readonly PathSpelling[] = Object.keys(SPELLINGS) as PathSpelling[],
  ) => {
    const rules = under(settings);
    if (rules.normalise(raw) === null) throw new Error("the listener refuses it");
    const spellings = rules.spellings & refusedBits(refused);
    return spellings === 0 ? null : refusedSpelling(spellings);
  };

  test.each<[Partial<PathsPlan>, string, PathSpelling, string]>([
    [{ encodedSlashes: "keep" }, "/a%2Fb", "encodedSlashes", "an encoded slash (%2F)"],
    [{ encodedSlashes: "decode" }, "/a%2Fb", "encodedSlashes", "an encoded slash (%2F)"],
    [{ doubleEncodings: "keep" }, "/a%2541", "doubleEncodings", "a double encoding (%25 and two hexadecimal digits)"],
    [{ doubleEncodings: "decode" }, "/a%2541", "doubleEncodings", "a double encoding (%25 and two hexadecimal digits)"],
    [{ emptySegments: "keep" }, "/a//b", "emptySegments", "an empty segment (//)"],
    [{ backslashes: "keep" }, "/a\\b", "backslashes", "a backslash"],
    [{ backslashes: "decode" }, "/a%5Cb", "backslashes", "a backslash"],
    [{ matrixParameters: "keep" }, "/a;b", "matrixParameters", "a matrix parameter (;)"],
    [{ matrixParameters: "keep" }, "/a%3Bb", "matrixParameters", "a matrix parameter (;)"],
  ])("%j: %s is refused for its %s", (settings, raw, name, what) => {
    expect(asked(settings, raw)).toBe(`the path has ${what}, which this route does not allow`);
    expect(
      asked(
        settings,
        raw,
        (Object.keys(SPELLINGS) as PathSpelling[]).filter((each) => each !== name),
      ),
    ).toBeNull();
  });

  test("takes what is merged or folded, and everything plain, also after a path that was neither", () => {
    expect(asked({ emptySegments: "merge" }, "/a//b")).toBeNull();
    expect(asked({ case: "fold" }, "/A")).toBeNull();
    const rules = under({ encodedSlashes: "keep" });
    rules.normalise("/a%2Fb");
    rules.normalise("/a");
    expect(rules.spellings).toBe(0);
  });
});

test("what the gateway makes of a path may hold what that path held, and nothing else", () => {
  for (const [path, spellings, expected] of [
    ["/v2/a", 0, "/v2/a"],
    ["/v2/a%2Fb", 0, null],
    ["/v2/a%2Fb", SPELLINGS.encodedSlashes, "/v2/a%2Fb"],
    ["/v2/a%2Fb", SPELLINGS.backslashes | SPELLINGS.emptySegments, null],
    ["/v2/a%2Fb", SPELLINGS.encodedSlashes << 8, null],
    ["/v2/a%2F..", SPELLINGS.encodedSlashes, null],
    ["/v2//b", SPELLINGS.emptySegments, "/v2//b"],
    ["//b", SPELLINGS.emptySegments, null],
    ["/v2/a%5Cb", SPELLINGS.backslashes, "/v2/a%5Cb"],
    ["/v2/a%2541", SPELLINGS.doubleEncodings, "/v2/a%2541"],
  ] as const)
    expect([path, normaliseMade(path, spellings)]).toEqual([path, expected]);
});

const PLANS: readonly PathsPlan[] = (["refuse", "keep", "decode"] as const).flatMap((encodedSlashes) =>
  (["refuse", "keep", "decode"] as const).flatMap((doubleEncodings) =>
    (["refuse", "keep", "merge"] as const).flatMap((emptySegments) =>
      (["refuse", "keep", "decode"] as const).flatMap((backslashes) =>
        (["refuse", "keep"] as const).flatMap((matrixParameters) =>
          (["keep", "fold"] as const).map((each) => ({
            encodedSlashes,
            doubleEncodings,
            emptySegments,
            backslashes,
            matrixParameters,
            case: each,
          })),
        ),
      ),
    ),
  ),
);
const PIECES = [
  ..."/ / / . .. a B %2e %2E %2f %2F %25 %252f %252e %25252e 2f 32 %5c %5C \\ %41 %c3 %a9 %c0 %af ; %3b ..; { %40 %00 ~".split(" "),
];

/** All that a service could make of a path: decoded to the end, backslashes as slashes, parameters cut off. Empty segments stay, for whoever merges them. */
function readLeniently(path: string): readonly string[] {
  let text = path;
  for (let before = ""; before !== text; ) {
    before = text;
    text = text.replace(/%[0-9A-Fa-f]{2}/g, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16)));
  }
  return text
    .replaceAll("\\", "/")
    .split("/")
    .slice(1)
    .map((segment) => segment.replace(/;.*/, ""));
}

const decodedOnce = (path: string): readonly string[] =>
  path
    .slice(1)
    .split("/")
    .map((part) => part.replace(/%[0-9A-F]{2}/g, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16))));

/** @returns what is wrong with a form, under the rules that made it */
function faultsOf(raw: string, path: string, plan: PathsPlan, spellings: number): readonly string[] {
  const kept = (name: PathSpelling): boolean => (spellings & SPELLINGS[name]) !== 0;
  const strict = normalisePath(raw);
  const keeps = spellings !== 0;
  const routeRefuses = spellings !== 0;
  const merged = plan.emptySegments === "merge" ? raw.replace(/\/+/g, "/") : raw;
  return [
    new PathRules(plan).normalise(path) !== path && "is no fixed point",
    strict !== null && plan.case === "keep" && strict !== path && "differs from the strict form, which there is",
    /^\/\//.test(path) && "begins as an authority would",
    readLeniently(path).some((segment) => segment === "." || segment === "..") && "has a dot segment for a lenient reader",
    !/^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-F]{2})*$/.test(path) && "has characters that may not be forwarded",
    /%[01][0-9A-F]|%7F/.test(path) && "has control bytes",
    plan.case === "fold" && /[A-Z]/.test(path.replace(/%../g, "")) && "has upper case",
    path.includes("%2F") && !kept("encodedSlashes") && "hides encoded slashes",
    path.includes("%5C") && !kept("backslashes") && "hides backslashes",
    /%25[0-9A-Fa-f]{2}/.test(path) && !kept("doubleEncodings") && "hides double encodings",
    path.includes("//") && !kept("emptySegments") && "hides empty segments",
    (Object.keys(SPELLINGS) as PathSpelling[]).some((name) => kept(name) && plan[name] !== "keep") && "keeps what is not to be kept",
    /;|%3B/.test(path) && !kept("matrixParameters") && "hides matrix parameters",
    !routeRefuses && normalisePath(merged, "refuse") === null && "reaches a route that allows nothing",
    !keeps && readLeniently(path).join("/") !== decodedOnce(path).join("/") && "is another path to a lenient reader",
  ].filter((fault) => fault !== false);
}

test("under every setting a form means one thing, to routes as to services, and a route that allows nothing gets only what it always got", () => {
  const random = seeded(7);
  const wrong: string[] = [];
  let loosened = 0;
  for (let i = 0; i < 60_000; i++) {
    const plan = PLANS[i % PLANS.length]!; // the index is inside
    const rules = new PathRules(plan);
    let raw = "/";
    for (let n = random(9); n > 0; n--) raw += PIECES[random(PIECES.length)];
    const path = rules.normalise(raw);
    if (path === null) continue;
    if (normalisePath(raw) === null) loosened++;
    const faults = faultsOf(raw, path, plan, rules.spellings);
    if (faults.length > 0) wrong.push(`${JSON.stringify(plan)}: ${raw} became ${path}, which ${faults.join(", ")}`);
  }
  expect(wrong.slice(0, 20)).toEqual([]);
  expect(loosened).toBeGreaterThan(3000);
});

function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

// The key `rewrite.response`: what is refused with place and remedy, and the way back that cannot be found.
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const route = (rewrite: string) => withRoutes(`- { name: a, to: users, rewrite: { ${rewrite} } }`);
const AT = "routes[0].rewrite";
const LIST = "expected auto, or a list such as `[{ from: ..., to: ... }]`";

describe("what is refused", () => {
  const refused = (what: string, written: string, at: string, message: string) =>
    check(what, route(`response: ${written}`), `${AT}.response${at}: ${message}`);
  refused("words", "‸on", "", "expected auto, or a map with location and cookies");
  refused("nothing at all", "‸{}", "", "changes nothing; write `location: auto` or `cookies: auto`");
  refused("a switch for location", "{ location: ‸off }", ".location", LIST);
  refused("no list of replacements", "{ location: ‸{ from: /a, to: /b } }", ".location", `${LIST}; make it a list: begin it with \`- \``);
  refused("an empty list", "{ location: ‸[] }", ".location", "expected at least 1 entry");
  refused("a replacement without its end", "{ location: [‸{ from: /a }] }", ".location[0].to", "is required; add it");
  refused(
    "a replacement twice",
    "{ location: [{ from: /a, to: /b }, ‸{ from: /a/, to: /c }] }",
    ".location[1]",
    "the same as entry 0; keep one of them",
  );
  for (const text of ["app", "'http://a/?x'", "'https://{host}/'", "/a/../b", "ftp://a", "'http://u@a'", "//a"])
    refused(
      `${text} as an address`,
      `{ location: [{ from: ‸${text}, to: /b }] }`,
      ".location[0].from",
      "expected a path such as /v2, or http(s)://host[:port] with or without a path; no query, no templates",
    );
  refused(
    "taking Secure away",
    "{ cookies: { secure: ‸false } }",
    ".cookies.secure",
    "expected true or auto: leave it out to leave cookies as they are; Secure is never taken from a cookie",
  );
  refused(
    "taking HttpOnly away",
    "{ cookies: { httpOnly: ‸false } }",
    ".cookies.httpOnly",
    "expected true: leave it out to leave cookies as they are; HttpOnly is never taken from a cookie",
  );
  refused(
    "a rule for cookies that does nothing",
    "{ cookies: ‸{} }",
    ".cookies",
    "changes nothing; write `path: auto`, `domain: auto`, `secure`, `httpOnly` or `sameSite`",
  );
  refused(
    "SameSite=None without Secure",
    "{ cookies: { sameSite: ‸none } }",
    ".cookies.sameSite",
    "browsers refuse SameSite=None without Secure; write `secure: true` beside it",
  );
  refused(
    "other words for SameSite",
    "{ cookies: { sameSite: { ifAbsent: ‸Lax } } }",
    ".cookies.sameSite.ifAbsent",
    "expected lax, strict or none; did you mean `lax`?",
  );
  for (const key of ["path: ‸auto", "domain: ‸remove"])
    refused(
      `another ${key.slice(0, 4)} for __Host- cookies`,
      `{ cookies: { names: [__Host-a], ${key} } }`,
      `.cookies.${key.split(":")[0]}`,
      "browsers refuse __Host-a with another Path than / or with a Domain (RFC 6265bis section 4.1.3); name these cookies in a rule without `path` and `domain`",
    );
  refused(
    "an address as Domain",
    "{ cookies: { domain: [{ from: a.b, to: ‸10.0.0.1 }] } }",
    ".cookies.domain[0].to",
    "expected a host name without port, or `remove`: browsers refuse an address as Domain",
  );
  refused(
    "two rules for the rest",
    "{ cookies: [{ path: auto }, ‸{ domain: auto }] }",
    ".cookies[1]",
    "entry 0 has no names either; give one of them `names`",
  );
  refused(
    "a name in two rules",
    "{ cookies: [{ names: [a] }, { names: ‸[a] }] }",
    ".cookies[1].names",
    "a is named twice; keep one of them",
  );
  refused("misspelt keys", "{ cookies: [{ names: [a], ‸pth: auto }] }", ".cookies[0].pth", "unknown key; did you mean `path`?");
  check(
    "a prefix to tell of where nothing is rewritten",
    route("forwardPrefix: false").replace("rewrite: {", "rewrite: ‸{"),
    `${AT}: give \`path\`, or \`stripPrefix\` and/or \`addPrefix\`, or \`regex\` with \`to\`; or \`response\` alone`,
  );
});

it("a route may store what it maps back", () => {
  expect(problemsOf(withRoutes("- { name: a, to: users, cache: {}, rewrite: { response: auto } }"))).toEqual([]);
});

describe("what is warned about", () => {
  const warnings = (rewrite: string) => good([route(rewrite)]).warnings.map(formatProblem);
  const told = (column: number, kind: string) => [
    `c.yaml:6:${column}: ${AT}.response: \`auto\` finds no way back through \`rewrite.${kind}\`: paths stay as the service says; list them, as in \`location: [{ from: /v2, to: /shop }, auto]\` and \`cookies: { path: [{ from: /v2, to: /shop }] }\``,
  ];
  it("`auto` behind a template or a regular expression", () => {
    expect(warnings("path: /x, response: auto")).toEqual(told(56, "path"));
    expect(warnings("path: /x, response: { cookies: { path: auto } }")).toEqual(told(56, "path"));
    expect(warnings("regex: '^/a(.*)$', to: '/b$1', response: auto")).toEqual(told(77, "regex"));
  });
  it("not where paths are listed, or left alone", () => {
    expect(warnings("path: /x, response: { location: [{ from: /x, to: /y }, auto], cookies: { secure: true, domain: auto } }")).toEqual([]);
    expect(warnings("response: auto")).toEqual([]);
    expect(warnings("addPrefix: /x, response: auto")).toEqual([]);
  });
});

describe("defaults and sets", () => {
  it("lie under the route's own keys", () => {
    const text = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
defaults: { rewrite: { response: { location: auto } } }
policySets: { safe-cookies: { rewrite: { response: { cookies: { secure: auto, httpOnly: true } } } } }
routes:
- { name: a, match: { path: /a/** }, use: [safe-cookies], rewrite: { stripPrefix: /a }, to: users }
- { name: b, match: { path: /b/** }, rewrite: { stripPrefix: /b, response: null }, to: users }
`;
    const [a, b] = good([text]).config.routes.map(({ policies }) => policies.find(({ name }) => name === "rewrite")?.config);
    expect(a).toMatchObject({
      strip: "/a",
      response: { location: { rules: [], auto: true }, cookies: [{ names: [], rule: { secure: "auto", httpOnly: true } }] },
    });
    expect(b).toMatchObject({ strip: "/b", response: null });
  });
});

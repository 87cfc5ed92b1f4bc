// What a route may say about who may call it, and what the loader says when that names nobody or leaves it open.
import { describe, expect, it } from "vitest";
import { good, problemsOf, unmark, withRoutes } from "../../../support/config-text.ts";

/** Line 6 is the route. */
const withAuth = (auth: string, section = ""): string => withRoutes(`- { name: a, match: {}, to: users, auth: ${auth} }\n${section}`);

/** Among the problems is this one, at the mark. */
const finds = (marked: string, message: string) => {
  const { text, places } = unmark(marked);
  expect(problemsOf(text)).toContain(`${places[0]}${message}`);
};

const nested = (depth: number): string => (depth === 0 ? "a" : `{ optional: ${nested(depth - 1)} }`);

describe("the tree", () => {
  it.each([
    [withAuth("‸{}"), "routes[0].auth: expected exactly one of any, all and optional"],
    [withAuth("‸{ any: [a], all: [b] }"), "routes[0].auth: expected exactly one of any, all and optional"],
    [withAuth("‸{ forwardCredentials: true }"), "routes[0].auth: expected exactly one of any, all and optional"],
    [withAuth("{ any: ‸[] }"), "routes[0].auth.any: expected at least 1 entry"],
    [withAuth("{ any: [a, { all: ‸[] }] }"), "routes[0].auth.any[1].all: expected at least 1 entry"],
    [withAuth("{ optional: { ‸ani: [a] } }"), "routes[0].auth.optional.ani: unknown key; did you mean `any`?"],
    [
      withAuth("{ any: [{ any: [a], ‸forwardCredentials: true }] }"),
      "routes[0].auth.any[0].forwardCredentials: unknown key; known keys: any, all, optional",
    ],
    [withAuth("‸7"), "routes[0].auth: expected a text or a map; write it in quotes"],
    [withAuth("{ any: [‸7] }"), "routes[0].auth.any[0]: expected a text or a map; write it in quotes"],
    [withAuth(`‸${nested(6)}`), "routes[0].auth: nested deeper than 5 levels"],
    [withAuth(`‸{ any: [{ all: [${Array(32).fill("a")}] }, b] }`), "routes[0].auth: names more than 32 authenticators"],
  ])("%s", finds);
});

describe("names", () => {
  it.each([
    [withAuth("‸corp", "auth: { corp-jwt: {} }"), "routes[0].auth: there is no authenticator named corp; authenticators: corp-jwt"],
    [
      withAuth("{ any: [corp-jwt, { optional: { all: [corp-jwt, ‸corp-jvt] } }] }", "auth: { corp-jwt: {} }"),
      "routes[0].auth.any[1].optional.all[1]: there is no authenticator named corp-jvt; did you mean `corp-jwt`?",
    ],
    [withAuth("‸corp-jwt"), "routes[0].auth: there is no authenticator named corp-jwt; there are no authenticators"],
    [
      withAuth("{ any: [corp-jwt, ‸none] }", "auth: { corp-jwt: {} }"),
      "routes[0].auth.any[1]: `none` stands alone: `auth: none`; write `optional` for callers who may be nobody",
    ],
    [withAuth("none", "auth: { none: ‸{} }"), "auth.none: `none` is the word for public routes; give the authenticator another name"],
    [
      withRoutes("- ‸{ name: a, match: {}, to: users }\nauth: { corp-jwt: {} }"),
      "routes[0]: the route a does not say who may call it; add `auth: corp-jwt`, or `auth: none` to make it public; `defaults.auth` says it for all routes",
    ],
  ])("%s", finds);

  it("defaults choose for the routes that do not, and a route's own tree replaces theirs whole", () => {
    const text = withRoutes(
      "- { name: a, match: {}, to: users }\n- { name: b, match: { path: /b }, to: users, auth: { optional: y } }\ndefaults: { auth: { any: [x] } }",
    );
    expect(problemsOf(text)).toEqual([
      "c.yaml:7:64: routes[1].auth.optional: there is no authenticator named y; there are no authenticators",
      "c.yaml:8:27: routes[0].auth.any[0]: there is no authenticator named x; there are no authenticators",
    ]);
  });

  it("without authenticators nobody has to choose", () => {
    expect(good([withRoutes("- { name: a, match: {}, to: users }")]).warnings).toEqual([]);
    expect(good([withAuth("none")]).warnings).toEqual([]);
  });
});

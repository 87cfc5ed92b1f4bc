// What is said of client types, versions and deprecations that do not fit together, each at its place.
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { check, good, problemsOf, unmark } from "../../../../support/config-text.ts";

const text = (sections: string, ...routes: string[]): string => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  users: { targets: [{ url: http://10.0.0.1 }] }
${sections}
routes:
${routes.map((route, i) => `  - { name: r${i}, ${route}, to: users }`).join("\n")}
`;

/** Warnings of a text with marks. */
const warns = (name: string, marked: string, ...expected: string[]) =>
  it(name, () => {
    const { text: plain, places } = unmark(marked);
    expect(good([plain]).warnings.map(formatProblem)).toEqual(expected.map((message, i) => `${places[i]}${message}`));
  });

const KIOSK = "clients: { kiosk: { headers: { x-device: kiosk } } }";

describe("client types", () => {
  check(
    "one that nobody defines",
    text(KIOSK, "match: { client: ‸kiosc }"),
    "routes[0].match.client: there is no client type named kiosc; did you mean `kiosk`?",
  );
  check(
    "one that is far from all",
    text(KIOSK, "match: { client: ‸television }"),
    "routes[0].match.client: there is no client type named television; client types: kiosk, mobile, desktop, bot",
  );
  check(
    "one of nothing",
    text("clients: { kiosk: ‸{} }", "match: { client: kiosk }"),
    "clients.kiosk: the type is defined by nothing; give `headers`, `userAgent` or both",
  );
  check(
    "a pattern that is none",
    text('clients: { kiosk: { userAgent: { regex: ‸"(a" } } }', "match: { client: kiosk }"),
    "clients.kiosk.userAgent.regex: character 1: this group is not closed",
  );
  check(
    "a header's pattern that could take long",
    text('clients: { kiosk: { headers: { x-device: { regex: ‸"(a+)+" } } } }', "match: { client: kiosk }"),
    "clients.kiosk.headers.x-device.regex: a repeated group can take exponential time: repeat a class instead",
  );
  check(
    "two routes for one type",
    text(KIOSK, "match: { path: /a, client: kiosk }", "match: ‸{ path: /a, client: kiosk }"),
    "routes[1].match: matches the same requests as r0 (c.yaml:7), and neither is more specific; give one of them a longer path or a further condition",
  );
  warns(
    "one that is not used",
    text("clients: { kiosk: ‸{ userAgent: Kiosk* } }", "match: {}"),
    "clients.kiosk: no route matches this client type; remove it, or use it in `match.client`",
  );
  it("the built-in ones need no definition, and may have one", () => {
    expect(problemsOf(text("", "match: { client: bot }", "match: { client: mobile }"))).toEqual([]);
    expect(problemsOf(text("clients: { bot: { userAgent: [Acme*, { regex: '(?i).*crawler.*' }] } }", "match: { client: bot }"))).toEqual(
      [],
    );
  });
  it("a later file lays over, and takes away", () => {
    const base = text(KIOSK, "match: { client: kiosk }");
    const over = "clients: { kiosk: { headers: { x-device: k } } }";
    expect(good([base, over]).config.clients).toEqual([
      { name: "kiosk", headers: [{ name: "x-device", kind: "exact", value: "k" }], userAgents: [] },
    ]);
  });
});

describe("versions", () => {
  check(
    "one that nothing says where to find",
    text("", 'match: { version: ‸"2" }'),
    "routes[0].match.version: nothing says where requests name their version; add `versioning: { from: [path, header] }` at the top level",
  );
  check(
    "a number that loses its zeros",
    text("versioning: { from: [path] }", "match: { version: ‸1.10 }"),
    "routes[0].match.version: a version that looks like a number loses its zeros; write it in quotes",
  );
  check(
    "no version",
    text("versioning: { from: [path] }", 'match: { version: ‸"a/b" }'),
    "routes[0].match.version: expected a version such as 2, 2.1 or 2026-01-31; at most 32 letters, digits, '.', '_' and '-'",
  );
  check(
    "a default that no route has",
    text('versioning: { from: [path], default: ‸"3" }', "match: { version: 1 }", "match: { path: /a, version: [2, beta] }"),
    "versioning.default: no route has version 3; routes have 1, 2, beta",
  );
  check(
    "beside other mistakes",
    text('versioning: { from: [path], default: ‸"3" }', "match: { version: 1, client: ‸tv }"),
    "versioning.default: no route has version 3; routes have 1",
    "routes[0].match.client: there is no client type named tv; client types: mobile, desktop, bot",
  );
  check(
    "two routes for one version",
    text("versioning: { from: [path] }", "match: { path: /a, version: [1, 2] }", "match: ‸{ path: /a, version: [2, 3] }"),
    "routes[1].match: matches the same requests as r0 (c.yaml:7), and neither is more specific; give one of them a longer path or a further condition",
  );
  check(
    "two routes that meet where the version is in the path",
    text("versioning: { from: [path] }", "match: { path: /users, version: 2 }", "match: ‸{ path: /v2/users, version: 2 }"),
    "routes[1].match: matches the same requests as r0 (c.yaml:7), and neither is more specific; give one of them a longer path or a further condition",
  );
  check(
    "places and names that cannot be",
    text("versioning: { from: ‸[path, path], path: ‸/version, header: ‸'a b', accept: { parameter: ‸q } }", "match: { version: 1 }"),
    "versioning.from: a place is listed twice",
    "versioning.path: expected a path that ends in {version}, such as /v{version} or /api/v{version}",
    "versioning.header: expected an HTTP header name",
    "versioning.accept.parameter: q is the weight of a media type",
  );
  check(
    "a place that there is not",
    text("versioning: { from: [‸cookie] }", "match: { version: 1 }"),
    "versioning.from[0]: expected path, header, accept or query",
  );
  warns(
    "a name for a place that does not count, and versions that nobody demands",
    text("versioning: ‸{ from: [path], header: ‸x }", "match: {}"),
    "versioning: no route demands a version; remove it, or add `match.version` to routes",
    "versioning.header: requests do not name versions there; add `header` to versioning.from",
  );
  warns(
    "a preflight that another version's route would answer differently",
    text(
      "versioning: { from: [path, header], default: 2 }",
      "match: { path: /a, version: 1 }, cors: ‸{ origins: [https://a.example] }",
      "match: { path: /a, version: 2 }, cors: { origins: ['*'] }",
      "match: { path: /a, version: 3 }, cors: { origins: ['*'] }",
      "match: { path: /b, version: 1 }, cors: { origins: [https://a.example] }",
    ),
    "routes[0].cors: preflights of this version are answered by r1, whose cors differs: they name no version; give both the same cors, or name versions in the path or query alone",
  );
  warns(
    "no preflight where versions stand in the address",
    text(
      "versioning: { from: [path, query] }",
      "match: { path: /a, version: 1 }, cors: { origins: [https://a.example] }",
      "match: { path: /a, version: 2 }",
    ),
  );
  it("are lowercase, sorted and once each in the plan; whole numbers are versions too", () => {
    const { config } = good([text("versioning: { from: [header, accept], default: 2 }", "match: { version: [Beta, 2, 10, beta] }")]);
    expect(config.routes[0]?.match.versions).toEqual(["10", "2", "beta"]);
    expect(config.versioning).toEqual({
      path: null,
      header: "api-version",
      query: null,
      accept: { parameter: "version", vendor: null },
      default: "2",
    });
  });
});

describe("deprecations", () => {
  check(
    "an end before the deprecation",
    text("", "match: {}, deprecation: { since: 2026-03-01, sunset: ‸2026-02-28T23:59:59Z }"),
    "routes[0].deprecation.sunset: the end comes before the deprecation; write a day that is not before `since`",
  );
  check(
    "days that are none, and links that are none",
    text("", 'match: {}, deprecation: { since: ‸2026-02-30, sunset: ‸"@1688169599", link: ‸"javascript:alert(1)" }'),
    "routes[0].deprecation.since: expected a day such as 2026-03-01 or a moment such as 2026-03-01T12:00:00Z",
    "routes[0].deprecation.sunset: expected a day such as 2026-03-01 or a moment such as 2026-03-01T12:00:00Z",
    "routes[0].deprecation.link: expected a URL such as https://example.com/changes, or a path, percent-encoded",
  );
  check(
    "none without its day",
    text("", "match: {}, deprecation: ‸{ sunset: 2026-03-01 }"),
    "routes[0].deprecation.since: is required; add it",
  );
});

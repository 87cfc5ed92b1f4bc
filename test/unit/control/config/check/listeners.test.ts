// Listeners' names, `match.listener` and `match.scheme`, and `redirectToHttps`: what is refused, with which words and where, and what compiles.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { good, problemsOf } from "../../../../support/config-text.ts";

const config = (listeners: string, match: string, more = ""): string => `version: 1
listeners: [${listeners}]
upstreams: { a: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: r, match: { ${match} }, to: a }${more}]
`;
const TWO = "{ name: public, address: 127.0.0.1:81 }, { name: internal, address: 127.0.0.1:82 }";
const warnings = (text: string): readonly string[] => good([text]).warnings.map(formatProblem);

it("names and redirects reach the plan, a route's listener as one or several", () => {
  const plan = (match: string) =>
    compilePlan(good([config("{ name: public, address: 127.0.0.1:81, redirectToHttps: 444 }, { address: 127.0.0.1:82 }", match)]).config, {
      version: 1,
      metricSlot: () => 0,
    });
  const { listeners, routes } = plan("listener: public");
  expect(listeners.map(({ name, redirectToHttps }) => [name, redirectToHttps])).toEqual([
    ["public", 444],
    ["", null],
  ]);
  expect(routes[0]?.match).toMatchObject({ listeners: ["public"], scheme: null });
  expect(plan("listener: [public], scheme: http").routes[0]?.match).toMatchObject({ listeners: ["public"], scheme: "http" });
});

describe("refused is", () => {
  it.each<[string, string, string, string]>([
    [
      "a name that no listener has",
      TWO,
      "listener: intern",
      "c.yaml:4:40: routes[0].match.listener: there is no listener named intern; did you mean `internal`?",
    ],
    [
      "one of several that no listener has",
      TWO,
      "listener: [public, x]",
      "c.yaml:4:49: routes[0].match.listener[1]: there is no listener named x; listeners: public, internal",
    ],
    [
      "a name where no listener has one",
      "{ address: 127.0.0.1:81 }",
      "listener: x",
      "c.yaml:4:40: routes[0].match.listener: there is no listener named x; give listeners a `name`",
    ],
    [
      "a name twice",
      "{ name: a, address: 127.0.0.1:81 }, { name: a, address: 127.0.0.1:82 }",
      "path: /",
      "c.yaml:2:57: listeners[1].name: the name a is taken by listeners[0]; give each its own",
    ],
    ["another scheme", TWO, "scheme: ws", "c.yaml:4:38: routes[0].match.scheme: expected http or https"],
    [
      "a redirect without a port",
      "{ address: 127.0.0.1:81, redirectToHttps: true }",
      "path: /",
      "c.yaml:2:55: listeners[0].redirectToHttps: expected the port of the https address, such as 443",
    ],
  ])("%s", (_, listeners, match, message) => {
    expect(problemsOf(config(listeners, match))).toEqual([message]);
  });

  it("a redirect of a listener with TLS, where nobody comes by plain HTTP", () => {
    const text = config("{ address: 127.0.0.1:81, redirectToHttps: 443, tls: { certificates: [{ cert: a, key: b }] } }", "path: /");
    expect(problemsOf(text)).toContain(
      "c.yaml:2:55: listeners[0].redirectToHttps: redirectToHttps and tls exclude each other: nobody comes here by plain HTTP; remove it",
    );
  });
});

describe("a tie", () => {
  const tied = (a: string, b: string): boolean =>
    problemsOf(config(TWO, `path: /a, ${a}`, `, { name: s, match: { path: /a, ${b} }, to: a }`)).some((problem) =>
      problem.includes("matches the same requests"),
    );
  it.each<[string, string, boolean]>([
    ["listener: public", "listener: internal", false],
    ["listener: public", "listener: [internal, public]", true],
    ["listener: public", "methods: []", false],
    ["scheme: http", "scheme: https", false],
    ["scheme: http", "scheme: http", true],
    ["listener: public", "scheme: http", false],
  ])("of %s and %s: %j", (a, b, expected) => {
    expect(tied(a, b)).toBe(expected);
  });
});

describe("a scheme by which nobody comes is warned about", () => {
  it("without a listener of that scheme, unless a proxy may say so", () => {
    const text = config(TWO, "scheme: https");
    expect(warnings(text)).toEqual([
      "c.yaml:4:38: routes[0].match.scheme: no request comes by https: no listener has `tls`; name the proxies that end TLS in `trustedProxies`, or remove it",
    ]);
    expect(warnings(`${text}trustedProxies: [10.0.0.0/8]\n`)).toEqual([]);
    expect(warnings(config(TWO, "scheme: http, listener: public"))).toEqual([]);
  });

  it("where plain HTTP is redirected", () => {
    expect(
      warnings(config("{ name: a, address: 127.0.0.1:81, redirectToHttps: 443 }, { address: 127.0.0.1:82 }", "scheme: http, listener: a")),
    ).toEqual([
      "c.yaml:4:38: routes[0].match.scheme: no request comes by http: every listener has `tls` or redirects to https; name the proxies that end TLS in `trustedProxies`, or remove it",
    ]);
  });
});

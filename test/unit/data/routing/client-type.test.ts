// Which type of client a request is of, by definitions and by the guess behind them, and what a response then varies by.
import { describe, expect, it, test } from "vitest";
import { ClientTypes, globMatches } from "../../../../src/data/routing/client-type.ts";
import { compileRouter } from "../../../../src/data/routing/compile.ts";
import type { ClientTypePlan } from "../../../../src/plan/routing-terms.ts";
import { ReadExchange } from "../../../support/read-exchange.ts";
import { exact, match, prefix, present } from "./route-sketch.ts";

const APP: ClientTypePlan = { name: "app", headers: [prefix("x-client", "acme/")], userAgents: [] };
const TV: ClientTypePlan = {
  name: "tv",
  headers: [],
  userAgents: [
    { kind: "glob", value: "*smarttv*" },
    { kind: "regex", value: "Web0S/[0-9.]+" },
  ],
};
const KIOSK: ClientTypePlan = { name: "kiosk", headers: [present("x-device")], userAgents: [{ kind: "glob", value: "kiosk/*" }] };

const typeOf = (plans: readonly ClientTypePlan[], named: readonly string[], headers: string[]): string =>
  new ClientTypes(plans, new Set(named)).typeOf(new ReadExchange({ headers }));

const PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148";

describe("the type of a client", () => {
  it.each<[string, string[], string]>([
    ["a header in the form that match.headers has", ["x-client", "acme/2"], "app"],
    ["a User-Agent by a pattern with stars, in any case", ["user-agent", "Mozilla/5.0 (SMARTTV; Linux)"], "tv"],
    ["a User-Agent by a regular expression, whole", ["user-agent", "Web0S/1.2"], "tv"],
    ["not by a part of the User-Agent", ["user-agent", "Web0S/1.2 x"], "desktop"],
    ["all that is defined, together", ["user-agent", "Kiosk/3", "x-device", "7"], "kiosk"],
    ["not by one of two", ["user-agent", "Kiosk/3"], "desktop"],
    ["the first of several that hold", ["x-client", "acme/2", "user-agent", "SmartTV"], "app"],
    ["a definition before the guess", ["x-client", "acme/2", "user-agent", PHONE], "app"],
    ["the guess behind all definitions", ["user-agent", PHONE], "mobile"],
    ["not by a header of which one line holds and another does not", ["x-client", "acme/2", "x-client", "other"], "desktop"],
    ["not by a User-Agent that is there twice", ["user-agent", "SmartTV", "user-agent", "SmartTV"], "desktop"],
    ["not behind the part of a User-Agent that is read", ["user-agent", `${"x".repeat(512)}SmartTV`], "desktop"],
  ])("is found by %s", (_, headers, expected) => {
    expect(typeOf([APP, TV, KIOSK], ["app", "tv", "kiosk", "desktop"], headers)).toBe(expected);
  });

  it("is no guess for a built-in name that is defined", () => {
    const mobile = { name: "mobile", headers: [exact("x-small", "1")], userAgents: [] };
    expect(typeOf([mobile], ["mobile", "desktop"], ["x-small", "1"])).toBe("mobile");
    expect(typeOf([mobile], ["mobile", "desktop"], ["user-agent", PHONE])).toBe("");
    expect(typeOf([mobile], ["mobile", "desktop"], [])).toBe("desktop");
  });

  it("is none when no route names what is left", () => {
    expect(typeOf([APP, TV], ["app"], ["user-agent", PHONE])).toBe("");
    expect(typeOf([APP, TV], ["app"], ["user-agent", "SmartTV"])).toBe("");
  });
});

describe("a response varies", () => {
  const varies = (plans: readonly ClientTypePlan[], named: readonly string[]) => new ClientTypes(plans, new Set(named)).headers;
  it("by what is read up to the last type that a route names", () => {
    expect(varies([APP, TV, KIOSK], ["app"])).toEqual(["x-client"]);
    expect(varies([APP, TV, KIOSK], ["tv"])).toEqual(["x-client", "user-agent"]);
    expect(varies([APP, TV, KIOSK], ["kiosk", "app"])).toEqual(["x-client", "user-agent", "x-device"]);
    expect(varies([APP], ["bot"])).toEqual(["x-client", "user-agent", "sec-ch-ua-mobile"]);
    expect(varies([{ name: "bot", headers: [present("x-bot")], userAgents: [] }], ["bot"])).toEqual(["x-bot"]);
  });

  it("only where the outcome rested on the type, then also without a route of that type", () => {
    const routes = [match("/a", { client: "app" }), match("/a"), match("/b"), match("/c", { client: "app", methods: ["GET"] })].map(
      (each) => ({
        match: each,
      }),
    );
    const router = compileRouter(routes, { clients: [APP], versioning: null });
    const outcome = (path: string, method: string, headers: string[] = []) => [
      router.match(new ReadExchange({ path, method, headers })),
      router.vary,
    ];
    expect(outcome("/a", "GET", ["x-client", "acme/1"])).toEqual([0, "x-client"]);
    expect(outcome("/a", "GET")).toEqual([1, "x-client"]);
    expect(outcome("/b", "GET")).toEqual([2, ""]);
    expect(outcome("/c", "GET")).toEqual([-1, "x-client"]);
    expect(outcome("/c", "PUT")).toEqual([-2, ""]);
  });
});

test("a pattern with stars matches what its plain reading matches", () => {
  const plain = (pattern: string, text: string) =>
    new RegExp(
      `^${pattern
        .split("*")
        .map((part) => part.replace(/[^a-z]/g, "\\$&"))
        .join("[^]*")}$`,
    ).test(text);
  const letters = ["a", "b", "*"];
  const words = (length: number, of: readonly string[]): string[] =>
    length === 0 ? [""] : words(length - 1, of).flatMap((word) => ["", ...of].map((letter) => word + letter));
  for (const pattern of new Set(words(5, letters)))
    for (const text of new Set(words(4, ["a", "b"])))
      expect(globMatches(pattern.split("*"), text), `${pattern} on ${text}`).toBe(plain(pattern, text));
});

test("a hostile User-Agent costs no more than its length for each star", () => {
  const text = "a".repeat(512);
  expect(globMatches(`*${"a*".repeat(200)}b`.split("*"), text)).toBe(false);
  expect(globMatches(`*${"a*".repeat(200)}`.split("*"), text)).toBe(true);
});

// What clients are told of a deprecated route, beside what the service says itself, and who is counted.
import { describe, expect, it, test } from "vitest";
import type { Services } from "../../../../../src/data/exchange/runtime.ts";
import { buildPolicy, parsePolicy, responseHead, TestExchange } from "../../../../support/exchange.ts";

const SINCE = "2026-03-01"; // 1772323200
const SUNSET = "2026-12-31T22:59:59-01:00";
const LINK = "https://developer.example.com/v1?a=b#end";
const OURS = {
  deprecation: "@1772323200",
  sunset: "Thu, 31 Dec 2026 23:59:59 GMT",
  link: `<${LINK}>; rel="deprecation"`,
};

function told(config: object, fields: Record<string, string | readonly string[]> = {}) {
  const head = responseHead({ fields });
  buildPolicy("deprecation", config).onResponse?.(new TestExchange(), head);
  return head.headers;
}

const ALL = { since: SINCE, sunset: SUNSET, link: LINK };

describe("a response of a deprecated route", () => {
  it("has the day as RFC 9745 has it, the end as RFC 8594 has it, and a link", () => {
    expect(told(ALL)).toEqual(["deprecation", OURS.deprecation, "sunset", OURS.sunset, "link", OURS.link]);
  });
  it("has what is configured only", () => {
    expect(told({ since: SINCE })).toEqual(["deprecation", OURS.deprecation]);
    expect(told({ since: "1969-12-31T23:59:58Z" })).toEqual(["deprecation", "@-2"]);
  });

  it.each<[string, Record<string, string>, readonly string[]]>([
    ["the service's day", { deprecation: "@1700000000" }, ["deprecation", "@1700000000", "sunset", OURS.sunset, "link", OURS.link]],
    ["the service's day in a form of old", { deprecation: "true" }, ["deprecation", "true", "sunset", OURS.sunset, "link", OURS.link]],
    [
      "the service's end",
      { sunset: "Wed, 01 Apr 2026 00:00:00 GMT" },
      ["sunset", "Wed, 01 Apr 2026 00:00:00 GMT", "deprecation", OURS.deprecation, "link", OURS.link],
    ],
    ["both", { deprecation: "@1", sunset: "x" }, ["deprecation", "@1", "sunset", "x", "link", OURS.link]],
    ["a day of the service after our end", { deprecation: "@1900000000" }, ["deprecation", "@1900000000", "link", OURS.link]],
    [
      "an end of the service before our day",
      { sunset: "Sun, 01 Feb 2026 00:00:00 GMT" },
      ["sunset", "Sun, 01 Feb 2026 00:00:00 GMT", "link", OURS.link],
    ],
  ])("keeps %s, and never says that the end comes first", (_, fields, expected) => {
    expect(told(ALL, fields)).toEqual(expected);
  });

  it.each([
    '</a>; rel="deprecation"',
    "</a>; rel=deprecation",
    '</a>; title="x"; REL="next deprecation"',
    '</b>; rel=next, </a>; rel="deprecation next"',
  ])("keeps the service's link %j alone", (link) => {
    expect(told({ since: SINCE, link: LINK }, { link })).toEqual(["link", link, "deprecation", OURS.deprecation]);
  });
  it.each(['</a>; rel="next"', '</a>; rel="nodeprecation"', '</deprecation>; rel=next; title="deprecation"'])(
    "adds its link to %j",
    (link) => {
      expect(told({ since: SINCE, link: LINK }, { link })).toEqual(["link", link, "deprecation", OURS.deprecation, "link", OURS.link]);
    },
  );
});

test("each exchange is counted once, by route and consumer", () => {
  const counted: string[] = [];
  const services = { recordDeprecated: (route: string, consumer: string) => counted.push(`${route} ${consumer}`) } as unknown as Services; // the policy calls nothing else
  const policy = buildPolicy("deprecation", ALL, { name: "old" });
  const known = new TestExchange({ services });
  known.identity = { consumer: "acme" } as TestExchange["identity"]; // nothing else is read
  policy.onFinish?.(known);
  policy.onFinish?.(new TestExchange({ services }));
  expect(counted).toEqual(["old acme", "old "]);
});

test("links that could leave their brackets are refused", () => {
  for (const link of ['https://a/>; rel="x"', "https://a/\r\nx: y", "https://a/ b", "//a/b", "ftp://a", "a", "https://"])
    expect(parsePolicy("deprecation", { since: SINCE, link }), link).toHaveProperty("problems");
  for (const link of ["/changes", "https://a/b?c=d&e=%20#f", "http://[2001:db8::1]/x"])
    expect(parsePolicy("deprecation", { since: SINCE, link }), link).toHaveProperty("config");
});

// Where credentials are found, and what is left when they are taken out. In doubt there are SEVERAL.
import { describe, expect, it } from "vitest";
import { isAmbiguousFieldName } from "../../../../../src/base/http.ts";
import * as reading from "../../../../../src/data/policies/auth/reading.ts";
import { flat, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

const { NONE, SEVERAL } = reading;

/** As admission leaves it. */
function exchange(sketch: RequestSketch): TestExchange {
  const x = new TestExchange(sketch);
  x.hasAmbiguousFieldNames = x.headers.some((name, i) => i % 2 === 0 && isAmbiguousFieldName(name));
  return x;
}

describe("header", () => {
  const check = (name: string, headers: RequestSketch["headers"], expected: reading.Reading, of = "x-api-key") =>
    it(name, () => expect(reading.readHeader(exchange({ headers: headers ?? {} }), of)).toBe(expected));
  check("none", { "x-other": "1" }, NONE);
  check("one", { "x-api-key": "abc" }, "abc");
  check("empty", { "x-api-key": "" }, "");
  check("twice, the same", { "x-api-key": ["abc", "abc"] }, SEVERAL);
  check("twice, one empty", { "x-api-key": ["", "abc"] }, SEVERAL);
  check("a look-alike alone", { x_api_key: "abc" }, SEVERAL);
  check("a look-alike beside it", { "x-api-key": "abc", "x.api.key": "abc" }, SEVERAL);
  check("another odd name", { "x-api-key": "abc", x_tenant: "1" }, "abc");
  check("an odd name that is asked for", { api_key: "abc" }, "abc", "api_key");
  check("its plain look-alike", { "api-key": "abc" }, NONE, "api_key");
  check("both", { "api-key": "abc", api_key: "abc" }, SEVERAL, "api_key");
});

describe("Authorization", () => {
  const check = (value: string | string[], expected: reading.Reading) =>
    it(JSON.stringify(value), () =>
      expect(reading.readAuthorization(exchange({ headers: { authorization: value } }), "basic")).toBe(expected),
    );
  check("Basic abc", "abc");
  check("bAsIc   abc", "abc");
  check("Basic", "");
  check("Basic ", "");
  check("Basically abc", NONE);
  check("Bearer abc", NONE);
  check("Basic\tabc", SEVERAL);
  check("Basic\xa0abc", SEVERAL);
  check("Basic,abc", SEVERAL);
  check("\xa0Basic abc", SEVERAL);
  check("\tBearer abc", SEVERAL);
  check("Bearer\tabc", NONE);
  check("", NONE);
  check(["Basic abc", "Bearer x"], SEVERAL);
});

describe("cookie", () => {
  const check = (lines: string | string[], expected: reading.Reading) =>
    it(JSON.stringify(lines), () => expect(reading.readCookie(exchange({ headers: { cookie: lines } }), "key")).toBe(expected));
  check("key=abc", "abc");
  check("a=1; key=abc; b=2", "abc");
  check("a=1;key = abc", "abc");
  check('key="abc"', "abc");
  check("key=a=b", "a=b");
  check("key=", "");
  check("key", NONE);
  check("Key=abc; keys=1; xkey=2", NONE);
  check("key=abc; key=abc", SEVERAL);
  check(["a=1", "key=abc"], "abc");
  check(["key=abc", "key=def"], SEVERAL);
});

describe("query", () => {
  const check = (query: string, expected: reading.Reading) =>
    it(query, () => expect(reading.readQuery(exchange({ query }), "api_key")).toBe(expected));
  check("", NONE);
  check("a=1", NONE);
  check("api_key=abc", "abc");
  check("a=1&api%5Fkey=a%62c", "abc");
  check("api_key", "");
  check("api_key=", "");
  check("api_key=a&api_key=a", SEVERAL);
  check("api_key=a&%61pi_key=b", SEVERAL);
  check("API_KEY=abc", NONE);
});

describe("taking out", () => {
  const check = (name: string, change: (headers: string[]) => void, before: RequestSketch["headers"], after: RequestSketch["headers"]) =>
    it(name, () => {
      const headers = flat(before ?? {});
      change(headers);
      expect(headers).toEqual(flat(after ?? {}));
    });
  check("a header", (h) => reading.stripHeader(h, "x-api-key"), { "x-api-key": ["1", "2"], a: "1" }, { a: "1" });
  check(
    "its look-alikes",
    (h) => reading.stripHeader(h, "x-api-key"),
    { x_api_key: "1", "x-api_key": "2", xapikey: "3" },
    { xapikey: "3" },
  );
  check("an odd name's look-alikes", (h) => reading.stripHeader(h, "api_key"), { api_key: "1", "api-key": "2", "api.key": "3" }, {});
  check("Basic", (h) => reading.stripAuthorization(h, "basic"), { authorization: "BASIC abc", a: "1" }, { a: "1" });
  check("Bearer stays", (h) => reading.stripAuthorization(h, "basic"), { authorization: "Bearer abc" }, { authorization: "Bearer abc" });
  for (const value of ["Basic", "Basic\tabc", "basic\xa0abc", "Basic,abc", "\xa0Basic abc", '"Basic abc"'])
    check(
      `Basic as some services read it: ${value}`,
      (h) => reading.stripAuthorization(h, "basic"),
      { authorization: value, a: "1" },
      { a: "1" },
    );
  check(
    "a longer scheme's name",
    (h) => reading.stripAuthorization(h, "basic"),
    { authorization: "Basics abc" },
    { authorization: "Basics abc" },
  );
  const key = (h: string[]) => reading.stripCookie(h, "key");
  check("a cookie alone", key, { cookie: "key=abc", a: "1" }, { a: "1" });
  check("a cookie among others", key, { cookie: "a=1; key=abc; b=2" }, { cookie: "a=1; b=2" });
  check("a cookie that stands first", key, { cookie: "key=abc; b=2; key=d" }, { cookie: "b=2" });
  check("over lines", key, { cookie: ["key=abc", "b=2"] }, { cookie: "b=2" });
  check("others' spelling stays", key, { cookie: 'a="x y";b' }, { cookie: 'a="x y";b' });

  const query = (before: string, after: string) => it(before, () => expect(reading.stripQuery(before, "api_key")).toBe(after));
  query("/a", "/a");
  query("/a?b=1", "/a?b=1");
  query("/a?api_key=x", "/a");
  query("/a?b=%31&api_key=x&c", "/a?b=%31&c");
  query("/a?api_key=x&api%5fkey=y&api_key", "/a");
  query("/api_key=1?api_keys=2", "/api_key=1?api_keys=2");
});

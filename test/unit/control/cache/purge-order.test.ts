// What is purged is understood wholly or refused, and URLs come into the form that the store's keys have.
import { describe, expect, test } from "vitest";
import {
  cachedUrls,
  EVERYTHING,
  type PurgeOrder,
  purgeOrderFrom,
  readOrder,
  writeOrder,
} from "../../../../src/control/cache/purge-order.ts";

const order = (changes: Partial<PurgeOrder>): PurgeOrder => ({
  soft: false,
  everything: false,
  urls: [],
  prefixes: [],
  tags: [],
  ...changes,
});
const from = (query: string) => purgeOrderFrom(new URLSearchParams(query));

describe("a query", () => {
  test.each<[string, Partial<PurgeOrder>]>([
    ["url=https://a.example/x", { urls: ["https://a.example/x"] }],
    ["url=https://a.example/x&url=https://a.example/x&url=http://b.example/", { urls: ["https://a.example/x", "http://b.example/"] }],
    ["prefix=https://a.example/x/*&soft", { prefixes: ["https://a.example/x/"], soft: true }],
    ["prefix=https://a.example", { prefixes: ["https://a.example/"] }],
    ["tag=a,b&tag=b%20c", { tags: ["a", "b", "c"] }],
    ["everything=1", { everything: true }],
    ["everything=true&soft=false", { everything: true }],
  ])("%s", (query, expected) => {
    expect(from(query)).toEqual(order(expected));
  });

  test.each([
    ["", "", /nothing is named/],
    ["soft=true", "", /nothing is named/],
    ["urls=https://a.example/", "urls", /no such parameter/],
    ["url=https://a.example/?a=1&b=2", "b", /no such parameter/],
    ["url=/x", "url", /expected a host/],
    ["url=ftp://a.example/", "url", /expected a host/],
    ["url=https://user@a.example/", "url", /expected a host/],
    ["url=https://caf%C3%A9.example/", "url", /visible ASCII/],
    ["url=https://a.example/x%23y", "url", /fragment/],
    ["prefix=", "prefix", /expected a host/],
    ["tag=%20,", "tag", /no tag/],
    ["everything=maybe", "everything", /true or false/],
  ])("%s is refused", (query, parameter, problem) => {
    expect(from(query)).toMatchObject({ parameter, problem: expect.stringMatching(problem), remedy: expect.stringMatching(/./) });
  });
});

test.each([
  ["HTTPS://A.Example:443", ["https://a.example/"]],
  ["http://a.example:80/x", ["http://a.example/x"]],
  ["https://a.example:80/x", ["https://a.example:80/x"]],
  ["https://[::1]:8443/x", ["https://[::1]:8443/x"]],
  ["https://a.example/a/../b/%7Ec?", ["https://a.example/b/~c"]],
  ["https://a.example/a//b?q=%7e", ["https://a.example/a//b?q=%7e"]],
  ["//a.example/x", ["https://a.example/x", "http://a.example/x"]],
  ["a.example/x", ["https://a.example/x", "http://a.example/x"]],
])("%s stands in keys as %j", (text, expected) => {
  expect(cachedUrls(text)).toEqual(expected);
});

describe("an order in the fleet's log", () => {
  test.each([EVERYTHING, order({ soft: true, urls: ["https://a.example/?x"], tags: ["t"], prefixes: ["https://a.example/"] })])(
    "is read as it was written: %j",
    (each) => {
      expect(readOrder(writeOrder(each))).toEqual(each);
    },
  );

  test.each([
    "",
    "null",
    "{}",
    "[]",
    '{"soft":false}',
    JSON.stringify({ ...EVERYTHING, hosts: ["a"] }),
    JSON.stringify({ ...EVERYTHING, urls: [7] }),
  ])("%s is none", (text) => {
    expect(readOrder(text)).toBeNull();
  });
});

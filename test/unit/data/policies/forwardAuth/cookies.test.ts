// Cookies of a service beside those of the upstream, and that no shared cache keeps the response then.
import { describe, expect, it } from "vitest";
import { addCookies, makePrivate } from "../../../../../src/data/policies/forwardAuth/cookies.ts";

describe("cookies", () => {
  const added = (wanted: "all" | readonly string[], ...values: string[]): readonly string[] => {
    const headers = ["set-cookie", "own=1", "cache-control", "private"];
    addCookies(headers, values, wanted);
    return headers.filter((_, i) => i % 2 === 1 && headers[i - 1] === "set-cookie").slice(1);
  };
  it("all of them are added, each on its own line", () => expect(added("all", "a=1; Path=/", "b=2")).toEqual(["a=1; Path=/", "b=2"]));
  it("only those that are named are added", () =>
    expect(added(["b"], "a=b", "b=2; HttpOnly", "bb=3", " b =4", "=b", "b")).toEqual(["b=2; HttpOnly", " b =4"]));
  it("a response that none are added to stays as it is", () => {
    const headers = ["cache-control", "public"];
    addCookies(headers, ["a=1"], ["b"]);
    expect(headers).toEqual(["cache-control", "public"]);
  });
});

describe("a response with a client's cookies is for that client alone", () => {
  const check = (before: readonly string[], after: readonly string[]) =>
    it(before.join(" | ") || "without cache-control", () => {
      const headers = before.flatMap((value) => ["cache-control", value]);
      makePrivate(headers);
      expect(headers.filter((_, i) => i % 2 === 1)).toEqual(after);
    });
  check([], ["private"]);
  check(["no-store"], ["private, no-store"]);
  check(["public"], ["private"]);
  check(["Public, max-age=60, S-MaxAge=600"], ["private, max-age=60"]);
  check(['private="x", max-age=5'], ["private, max-age=5"]);
  check(["max-age=60", "public, immutable"], ["private, max-age=60", "immutable"]);
  check(["max-age=60", "public"], ["private, max-age=60"]);
});

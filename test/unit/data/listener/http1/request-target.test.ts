import { describe, expect, it } from "vitest";
import { readRequestLine, sentTarget } from "../../../../../src/data/listener/http1/request-line.ts";

const target = (path: string, query = "", authority: string | null = null) => ({ path, query, authority });

function read(text: string, secure: boolean): unknown {
  const line = `GET ${text} HTTP/1.1`;
  const found = readRequestLine(`${line}\r\nHost: a\r\n`, line.length, secure);
  return "code" in found ? found.code : target(found.path, found.query, found.authority ?? null);
}

describe("the target of a request", () => {
  it.each([
    ["/", target("/")],
    ["/a/b?c=d?e", target("/a/b", "c=d?e")],
    ["/a?", target("/a", "")],
    ["//evil", target("//evil")],
    ["/http://b", target("/http://b")],
    ["http://b", target("/", "", "b")],
    ["http://b/", target("/", "", "b")],
    ["HTTP://B:80/x?y", target("/x", "y", "B:80")],
    ["http://b?y", target("/", "y", "b")],
    ["http://[::1]:8080/x", target("/x", "", "[::1]:8080")],
    ["http://b#f", target("/#f", "", "b")],
    // Left to admission, which refuses such authorities.
    ["http://", target("/", "", "")],
    ["http://u@b/x", target("/x", "", "u@b")],
    ["http://b\\@c/x", target("/x", "", "b\\@c")],
  ])("takes %s apart", (text, expected) => {
    expect(read(text, false)).toEqual(expected);
  });

  it.each(["", "*", "a", "b.example:443", "?x", "https://b/x", "ftp://b/x", "http:/b", "http:b", "://b", " http://b"])(
    "refuses %j",
    (text) => {
      expect(read(text, false)).toBe("bad_request");
    },
  );

  it("takes only the scheme it came over", () => {
    expect(read("https://b/x", true)).toEqual(target("/x", "", "b"));
    expect(read("http://b/x", true)).toBe("bad_request");
  });
});

it.each([
  ["//a/%2e?b=1", "//a/%2e", "b=1"],
  ["/a@b", "/a@b", ""],
  ["http://user:secret@a.test/x@y?z", "http://***@a.test/x@y", "z"],
  ["user:secret@a.test:443", "***@a.test:443", ""],
  ["a.test:443", "a.test:443", ""],
  ["*", "*", ""],
  ["", "", ""],
])("a target as it was sent goes into the log without a password: %s", (target, path, query) => {
  expect(sentTarget(`GET ${target} HTTP/1.1`)).toEqual({ path, query });
});

import { expect, test } from "vitest";
import { shownUrl } from "../../../src/base/shown-url.ts";

test.each([
  ["https://id.example/keys?code=abc&x=1", "https://id.example/keys?***"],
  ["https://id.example/keys?code=abc#part", "https://id.example/keys?***#part"],
  ["redis://user:pass@host:6379/0", "redis://***@host:6379/0"],
  ["rediss://:pass@host", "rediss://***@host"],
  ["/path?key=1", "/path?***"],
  ["/path", "/path"],
  ["/path?", "/path?"],
  ["https://id.example/a@b", "https://id.example/a@b"],
  ["what is this? a text", "what is this? a text"],
  ["", ""],
])("%j is shown as %j", (text, shown) => {
  expect(shownUrl(text)).toBe(shown);
});

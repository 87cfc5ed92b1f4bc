// How much an Accept field wants a media type: RFC 9110 section 12.5.1, and what clients really send.
import { describe, expect, it } from "vitest";
import { MediaRanges } from "../../../src/base/media-ranges.ts";

const FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

describe("the weight of a type", () => {
  it.each<[accept: string | undefined, type: string, weight: number]>([
    [undefined, "text/html", 1],
    ["*/*", "text/html", 1],
    ["*", "text/html", 1],
    ["", "text/html", 0],
    ["text/html", "text/html", 1],
    ["TEXT/HTML ; Q=0.5", "text/html", 0.5],
    ["text/*;q=0.3, text/html;q=0.7", "text/html", 0.7],
    ["text/*;q=0.3, text/html;q=0.7", "text/plain", 0.3],
    ["text/*;q=0.3, */*;q=0.1", "application/json", 0.1],
    [FIREFOX, "text/html", 1],
    [FIREFOX, "application/problem+json", 0.8],
    ["application/json", "application/problem+json", 0],
    ["text/html;q=0, */*", "text/html", 0],
    ["text/html;level=1", "text/html", 1],
    ['text/html;title="a,b;q=0";q=0.4, text/plain', "text/html", 0.4],
    ['text/html;title="a\\",b";q=0.4', "text/html", 0.4],
    ["text/html;q=1.000", "text/html", 1],
    ["text/html;q=2", "text/html", 0],
    ["text/html;q=0.1234, text/*;q=0.2", "text/html", 0.2],
    ["text/html;q=", "text/html", 0],
    [",,text/html,,", "text/html", 1],
    ['"text/html', "text/html", 0],
    ["texthtml", "text/html", 0],
  ])("%s wants %s by %d", (accept, type, weight) => {
    expect(new MediaRanges(accept).weightOf(type)).toBe(weight);
  });

  it("looks at a bounded number of ranges and characters", () => {
    expect(new MediaRanges(`${"a/b,".repeat(64)}text/html`).weightOf("text/html")).toBe(0);
    expect(new MediaRanges(`${"a/b,".repeat(63)}text/html`).weightOf("text/html")).toBe(1);
    expect(new MediaRanges(`a/b;${"x".repeat(2044)},text/html`).weightOf("text/html")).toBe(0);
  });
});

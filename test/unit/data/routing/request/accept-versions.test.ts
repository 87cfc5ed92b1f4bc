// Which versions an Accept field names, best first; and what cannot be read.
import { describe, expect, it } from "vitest";
import { ACCEPT_RANGES_MAX, acceptedRanges } from "../../../../../src/data/routing/request/accept-versions.ts";
import type { AcceptVersionPlan } from "../../../../../src/plan/routing-terms.ts";

const ACME: AcceptVersionPlan = { parameter: "version", vendor: "acme" };
const ANY: AcceptVersionPlan = { parameter: "v", vendor: null };
const KNOWN = new Set(["1", "2", "beta"]);

/** `version@weight` for each range; `-` for none. */
function read(text: string, form = ACME): string | null {
  const ranges = acceptedRanges(text, form, KNOWN);
  return ranges === null ? null : ranges.map(({ version, weight }) => `${version ?? "-"}@${weight}`).join(" ");
}

describe("Accept", () => {
  it.each<[string, string | null]>([
    ["", ""],
    ["*/*", "-@1"],
    ["application/json", "-@1"],
    ["application/vnd.acme.v2+json", "2@1"],
    ["application/vnd.acme.v2", "2@1"],
    ["APPLICATION/VND.ACME.V2+JSON", "2@1"],
    ["application/vnd.acme.users.v2.raw+json", "2@1"],
    ["application/vnd.acme.v2.1+json", "2.1@1"],
    ["application/vnd.acme.v2026-01-31+json", "2026-01-31@1"],
    ["application/vnd.acme.vBeta+json", "beta@1"],
    ["application/vnd.acme.video+json", "-@1"],
    ["application/vnd.acmev2+json", "-@1"],
    ["application/vnd.other.v2+json", "-@1"],
    ["text/vnd.acme.v2", "2@1"],
    ["image/vnd.acme.v2", "-@1"],
    ["application/json;version=2", "2@1"],
    ["application/json ; VERSION = 2", null],
    ["application/json ; VERSION=2 ", "2@1"],
    ['application/json;version="2"', "2@1"],
    ['application/json;version="\\2"', "2@1"],
    ['application/json;profile="a,b;version=1";version=2', "2@1"],
    ['application/json;profile="\\"";version=2', "2@1"],
    ["application/json;version=2;q=0.5", "2@0.5"],
    ["application/json;q=0.5;version=2", "2@0.5"],
    ["application/json;version=Beta", "beta@1"],
    ["application/json;v=2", "-@1"],
    ["application/json;;version=2;", "2@1"],
    [", ,application/json;version=2,,", "2@1"],
    // By weight, then the more specific, then as they stand.
    ["application/json;version=1;q=0.4, application/json;version=2;q=0.9", "2@0.9 1@0.4"],
    ["*/*, application/*, application/json, application/json;version=2", "2@1 -@1 -@1 -@1"],
    ["application/json;version=1, application/json;version=2", "1@1 2@1"],
    ["*/*;q=0.1, application/vnd.acme.v9+json", "9@1 -@0.1"],
    ["application/json;version=1;q=0, */*", "-@1 1@0"],
    // What old clients send.
    ["text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "-@1 -@1 -@1 -@0.2 -@0.2"],
    ["application/json;q=1.000", "-@1"],
    // Nobody can say what is meant.
    ["application/json;version=1;version=2", null],
    ["application/vnd.acme.v1+json;version=2", null],
    ['application/json;version="2', null],
    ["application/json;version=", null],
    ["application/json;version", null],
    ["application/json;q=2", null],
    ["application/json;q=x", null],
    ["application/json;q=1;q=1", null],
    ["application", null],
    ["application/", null],
    ["/json", null],
    ["application/json version=2", null],
    ["application/json=2", null],
    ["{}", null],
  ])("%j is %j", (text, expected) => {
    expect(read(text)).toBe(expected);
  });

  it("names a version by any vendor's type unless one is said, and by the parameter that is", () => {
    expect(read("application/vnd.github.v3+json", ANY)).toBe("3@1");
    expect(read("application/json;v=2;version=1", ANY)).toBe("2@1");
    expect(read("application/vnd.v3+json", ANY)).toBe("3@1");
    expect(read("application/vnd+json", ANY)).toBe("-@1");
  });

  it("may hold a number of ranges", () => {
    const ranges = (count: number) => Array.from({ length: count }, () => "a/b").join(",");
    expect(acceptedRanges(ranges(ACCEPT_RANGES_MAX), ACME, KNOWN)).toHaveLength(ACCEPT_RANGES_MAX);
    expect(acceptedRanges(ranges(ACCEPT_RANGES_MAX + 1), ACME, KNOWN)).toBeNull();
  });
});

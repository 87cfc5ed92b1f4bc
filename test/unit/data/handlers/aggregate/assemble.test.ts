// The document that legs' values become: declared order, winners, and the same bytes whatever came first.
import { describe, expect, test } from "vitest";
import { parseExact } from "../../../../../src/base/exact-json.ts";
import { CLOSE, Layout, OPEN, type Part } from "../../../../../src/data/handlers/aggregate/assemble.ts";
import type { AggregateConfig, LegConfig } from "../../../../../src/data/handlers/aggregate/config-plan.ts";
import { seededRandom } from "../../../../support/upstreams.ts";

const leg = (name: string, as: string | null = name): LegConfig => ({ name, as }) as LegConfig; // a layout reads only these
const layout = (legs: readonly LegConfig[], more: Partial<Pick<AggregateConfig, "wins" | "incomplete">> = {}): Layout =>
  new Layout({ legs, wins: [], incomplete: null, ...more });
const value = (of: unknown): Part => ({ kind: "value", value: of });
const raw = (json: string): Part => ({ kind: "raw", json: Buffer.from(json) });

test("nested legs are members in the declared order, with their bytes as they came", () => {
  const made = layout([leg("user"), leg('a"b'), leg("n")]).document([raw('{"id":12345678901234567890 }'), value([1]), raw("null")], []);
  expect(made.toString()).toBe('{"user":{"id":12345678901234567890 },"a\\"b":[1],"n":null}');
});

test("a failed leg leaves no member, and is named where that was asked for", () => {
  const legs = [leg("user"), leg("recs")];
  const missing = [{ leg: "recs", code: "response_timeout" }];
  expect(
    layout(legs)
      .document([raw("1"), null], missing)
      .toString(),
  ).toBe('{"user":1}');
  expect(
    layout(legs, { incomplete: "missing" })
      .document([raw("1"), null], missing)
      .toString(),
  ).toBe('{"user":1,"missing":[{"leg":"recs","code":"response_timeout"}]}');
  expect(layout(legs, { incomplete: "missing" }).document([null, null], missing).toString()).toBe(
    '{"missing":[{"leg":"recs","code":"response_timeout"}]}',
  );
  expect(layout(legs).document([null, null], missing).toString()).toBe("{}");
});

describe("flat legs", () => {
  const legs = [leg("a", null), leg("b", null), leg("c")];

  test("the winner's member stands, wherever it is declared, and only once", () => {
    const parts = [value({ x: "a", y: "a" }), value({ y: "b", z: "b", c: "b" }), raw('"c"')];
    expect(
      layout(legs, { wins: ["b"] })
        .document(parts, [])
        .toString(),
    ).toBe('{"x":"a","y":"b","z":"b","c":"b"}');
    expect(
      layout(legs, { wins: ["a", "c"] })
        .document(parts, [])
        .toString(),
    ).toBe('{"x":"a","y":"a","z":"b","c":"c"}');
  });

  test("a winner that failed gives way", () => {
    expect(
      layout(legs, { wins: ["b"] })
        .document([value({ y: "a" }), null, null], [])
        .toString(),
    ).toBe('{"y":"a"}');
  });

  test("the gateway's own member is nobody else's", () => {
    expect(
      layout([leg("a", null)], { incomplete: "incomplete" })
        .document([value({ incomplete: [], x: 1 })], [])
        .toString(),
    ).toBe('{"x":1}');
  });

  test("an object without members leaves no comma behind", () => {
    expect(
      layout(legs)
        .document([value({}), value({ b: 1 }), raw("2")], [])
        .toString(),
    ).toBe('{"b":1,"c":2}');
    expect(
      layout(legs)
        .document([value({ a: parseExact("1e400") }), value({}), null], [])
        .toString(),
    ).toBe('{"a":1e400}');
  });

  test("a member named __proto__ stays a member", () => {
    const made = layout(legs)
      .document([value(JSON.parse('{"__proto__":{"admin":true}}')), null, null], [])
      .toString();
    expect(made).toBe('{"__proto__":{"admin":true}}');
  });
});

test("a document is what merging objects in the order of who wins gives, for any legs", () => {
  const random = seededRandom(3);
  for (let round = 0; round < 2000; round++) {
    const count = 1 + Math.floor(random() * 5);
    const legs = Array.from({ length: count }, (_, i) => leg(`l${i}`, random() < 0.4 ? `m${Math.floor(random() * 3)}` : null));
    const wins = legs
      .filter(() => random() < 0.6)
      .map(({ name }) => name)
      .sort(() => random() - 0.5);
    const parts = legs.map(({ as, name }): Part | null => {
      if (random() < 0.2) return null;
      if (as !== null) return raw(JSON.stringify(name));
      return value(Object.fromEntries(["m0", "m1", "x", "y"].filter(() => random() < 0.5).map((key) => [key, name])));
    });
    const rank = (name: string, i: number): number => (wins.includes(name) ? wins.indexOf(name) : wins.length + i);
    const expected: Record<string, unknown> = {};
    for (const [i, { name, as }] of [...legs.entries()].sort(([i, a], [j, b]) => rank(b.name, j) - rank(a.name, i))) {
      const part = parts[i];
      if (part != null) Object.assign(expected, as !== null ? { [as]: name } : part.kind === "value" ? part.value : {});
    }
    const text = layout(legs, { wins }).document(parts, []).toString();
    expect(JSON.parse(text)).toEqual(expected);
    expect(text.match(/"\w+":/g) ?? []).toHaveLength(Object.keys(expected).length);
  }
});

test("what is sent leg by leg is the document, to the byte", () => {
  const legs = [leg("a", null), leg("b"), leg("c", null)];
  const whole = layout(legs);
  const parts = [value({}), raw("[1]"), value({ x: 1 })];
  const out: Uint8Array[] = [OPEN];
  for (let i = 0; i < parts.length; i++) out.push(...whole.members(i, parts, out.length === 1));
  out.push(CLOSE);
  expect(Buffer.concat(out).toString()).toBe(whole.document(parts, []).toString());
});

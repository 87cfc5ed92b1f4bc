// Holds docs/porting.md to its cases: every row has one, every case a row, each case has the settings that its rows name, and loads; what a row says is
// refused does not load. That the settings do what the rows say is tried by test/integration/porting/porting.test.ts.
import { dump, load as parseYaml } from "js-yaml";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/control/config/load.ts";
import { formatProblem } from "../../src/control/config/source/problem.ts";
import { CALLERS, CONSUMERS, FILES } from "../integration/porting/callers.ts";
import { CASES, REFUSED_CASES } from "../integration/porting/cases.ts";
import { asWritten, ownPart, type PortingCase, type Refusal, withServices } from "../integration/porting/porting-case.ts";
import { hasSettings, keyOf, portingRows, REFUSED } from "../support/porting-tables.ts";

const rows = portingRows();
const URLS = ["http://10.0.0.1", "http://10.0.0.2", "https://10.0.0.3"];

const load = (config: Readonly<Record<string, unknown>>) =>
  parseConfig({
    texts: [{ file: "c.yaml", text: dump({ version: 1, admin: false, listeners: [{ address: "127.0.0.1:0" }], ...config }) }],
    env: { JWT_SECRET: CALLERS.jwtSecret },
  });

/** What is wrong with a configuration. */
function problemsOf(refusal: Refusal): string {
  const result = load(withServices(asWritten(refusal), "", URLS));
  return result.ok ? "" : result.problems.map(formatProblem).join("\n");
}

const loaded = (each: PortingCase) => {
  const part = JSON.stringify({ ...ownPart(each, "x", URLS), consumers: CONSUMERS });
  const inlined = part.replaceAll('"file:users.htpasswd"', JSON.stringify(FILES["users.htpasswd"]));
  const listeners = each.listeners === undefined ? {} : { listeners: parseYaml(each.listeners) };
  return load({ ...listeners, ...(JSON.parse(inlined) as Record<string, unknown>) }); // just written
};

describe("docs/porting.md", () => {
  it("has a table for each of the gateways that people come from", () => {
    const products = [...new Set(rows.map(({ product }) => product))];
    expect(products).toEqual([
      "What differs from all of them",
      "Kong",
      "Traefik",
      "nginx",
      "KrakenD",
      "APISIX",
      "HAProxy",
      "Envoy Gateway",
    ]);
    for (const product of products) expect([product, rows.filter((row) => row.product === product).length > 10]).toEqual([product, true]);
  });

  it("has a case for every row, and a row for every case", () => {
    const wanted = [...new Set(rows.map(keyOf))].sort();
    expect([...CASES.map(({ here }) => here), ...REFUSED_CASES.map(({ row }) => row)].sort()).toEqual(wanted);
  });

  it("has no cell that is empty, but for what does not differ", () => {
    expect(rows.filter(({ theirs, here }) => theirs === "" || here === "")).toEqual([]);
    const general = rows.filter(({ product, differs }) => product.startsWith("What differs") && differs === "");
    expect(general).toEqual([]);
  });
});

describe.each(CASES)("$here", (each) => {
  it("stands in the configuration of its case", () => {
    expect([
      each.here,
      hasSettings([asWritten(each), each.listeners ?? ""], each.here) || (each.listeners ?? "").includes(each.here),
    ]).toEqual([each.here, true]);
  });

  it("loads, with the warnings that its rows name", () => {
    const result = loaded(each);
    expect(result.ok ? "" : result.problems.map(formatProblem).join("\n")).toBe("");
    const warnings = result.ok ? result.warnings.map(formatProblem) : [];
    for (const expected of each.warnings ?? []) expect(warnings.join("\n")).toMatch(expected);
  });

  it("is tried by requests, or by what is refused and warned of", () => {
    expect(each.asks.length + (each.warnings?.length ?? 0)).toBeGreaterThan(0);
    for (const refusal of each.refuses ?? []) expect(problemsOf(refusal)).toMatch(refusal.problem);
  });
});

describe.each(REFUSED_CASES)("$row", (each) => {
  it("is refused, and what is said names the remedy", () => {
    expect(rows.find((row) => keyOf(row) === each.row)?.here).toBe(REFUSED);
    expect(problemsOf(each)).toMatch(each.problem);
  });
});

// From raw samples to rows, verdicts and reports; adding a case to results that are there.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { htmlOf } from "../../../native-bench/report/html.ts";
import { markdownOf } from "../../../native-bench/report/markdown.ts";
import {
  type CaseResult,
  mergeResults,
  RESULTS_VERSION,
  type Results,
  readResults,
  resultsName,
  writeResults,
} from "../../../native-bench/report/results.ts";
import { aimRowsOf, rowsOf } from "../../../native-bench/report/summary.ts";
import { textOf } from "../../../native-bench/report/text.ts";

const contender = (label: string, reason: string | null = null) => ({
  label,
  peer: label,
  baseline: "nginx",
  reason,
  configuration: reason === null ? "<conf>" : "",
});
const sample = (label: string, round: number, micros: number, errors = 0) => ({
  label,
  round,
  values: { micros, errors, p99: micros / 10 },
});

const RESULT: CaseResult = {
  name: "plain-256",
  title: "Plain proxy & more",
  about: "About.",
  primary: "micros",
  columns: ["micros", "p99", "errors"],
  aims: [
    { metric: "micros", label: "sluice", against: "nginx", ratioMax: 1.2, text: "at most 1.2 x nginx" },
    { metric: "micros", label: "caddy", against: "nginx", ratioMax: 1, text: "never" },
  ],
  rounds: 3,
  seconds: 2,
  date: "2029-01-01T10:00:00.000Z",
  commit: "abc1234",
  contenders: [contender("sluice"), contender("nginx"), contender("caddy", "not installed; apt-get install caddy\nmore")],
  samples: [
    ...[20, 44, 22].map((micros, round) => sample("sluice", round, micros, round === 1 ? 3 : 0)),
    ...[20, 40, 20].map((micros, round) => sample("nginx", round, micros)),
  ],
};

const RESULTS: Results = {
  version: RESULTS_VERSION,
  date: RESULT.date,
  commit: RESULT.commit,
  machine: { cpu: "CPU", cores: 2, memoryMiB: 1024, kernel: "6.1", system: "Debian", node: "v24", loadBefore: 0.5 },
  peers: [
    { name: "sluice", title: "Sluice", role: "ours", version: "1", note: "" },
    { name: "nginx", title: "nginx", role: "peer", version: "1.22", note: "" },
  ],
  cases: [RESULT],
};

describe("rowsOf", () => {
  const [ours, nginx, caddy] = rowsOf(RESULT);
  it("takes the ratio within rounds, and its median", () => {
    expect(ours?.ratio).toEqual({ median: 1.1, min: 1, max: 1.1, count: 3 });
    expect(ours?.values.micros).toEqual({ median: 22, min: 20, max: 44, count: 3 });
  });
  it("gives the baseline no ratio, and who did not run nothing but the reason", () => {
    expect(nginx?.ratio).toBeNull();
    expect(caddy).toMatchObject({ values: {}, ratio: null, reason: expect.stringContaining("not installed") });
  });
});

describe("aimRowsOf", () => {
  it("judges by the median ratio", () => {
    expect(aimRowsOf(RESULT)[0]).toMatchObject({ met: true, reason: "" });
    expect(aimRowsOf({ ...RESULT, aims: RESULT.aims.map((aim) => ({ ...aim, ratioMax: 1.05 })) })[0]).toMatchObject({ met: false });
  });
  it("does not judge what was not measured, and says why", () => {
    expect(aimRowsOf(RESULT)[1]).toMatchObject({ met: null, reason: expect.stringContaining("caddy: not installed") });
  });
});

describe("reports", () => {
  it("show the spread of what counts and the worst of the errors", () => {
    const text = textOf(RESULT);
    expect(text).toMatch(/sluice +22\.0 \(20\.0-44\.0\) +2\.20 +3 +1\.10x \(1\.00-1\.10\) nginx/);
    expect(text).toContain("aim: at most 1.2 x nginx: met");
    expect(text).not.toContain("caddy  ");
  });
  it("Markdown has a row for each, and the first line of each reason", () => {
    const markdown = markdownOf(RESULTS);
    expect(markdown).toContain("| sluice | 22.0 (20.0-44.0) | 2.20 | 3 | 1.10x (1.00-1.10) nginx |");
    expect(markdown).toContain("- caddy: not run; not installed; apt-get install caddy\n");
    expect(markdown).toContain("| Plain proxy & more | at most 1.2 x nginx | 1.10x (1.00-1.10) | met |");
  });
  it("HTML needs nothing from elsewhere and escapes what it shows", () => {
    const html = htmlOf(RESULTS, "raw.json");
    expect(html).not.toMatch(/(src|href)="(?!#)|@import|url\(|<script/);
    expect(html).toContain("Plain proxy &amp; more");
    expect(html).toContain("&lt;conf&gt;");
    expect(html).toContain("<svg");
    expect(html.match(/<section/g)?.length).toBe(html.match(/<\/section>/g)?.length);
  });
  it("bars are as long as their values", () => {
    const widths = [...htmlOf(RESULTS, "raw.json").matchAll(/<rect class="fill" x="0" y="3" width="([\d.]+)%"/g)].map(([, width]) =>
      Number(width),
    );
    // The whisker of the largest reaches the end: 44.
    expect(widths).toEqual([50, 45.45]);
  });
});

describe("results", () => {
  it("come back as they were written", () => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-results-")), "sub", "r.json");
    writeResults(file, RESULTS);
    expect(readResults(file)).toEqual(RESULTS);
    fs.writeFileSync(file, JSON.stringify({ ...RESULTS, version: 0 }));
    expect(() => readResults(file)).toThrow("no results of version");
    fs.rmSync(path.dirname(path.dirname(file)), { recursive: true });
  });
  it("take a case that was run alone, in place of the old one, in the order of the catalog", () => {
    const later = { ...RESULT, commit: "def5678", date: "2029-01-02T10:00:00.000Z" };
    const merged = mergeResults(RESULTS, { ...RESULTS, commit: "def5678", cases: [{ ...later, name: "tls" }, later] }, [
      "plain-256",
      "tls",
    ]);
    expect(merged.cases.map(({ name, commit }) => [name, commit])).toEqual([
      ["plain-256", "def5678"],
      ["tls", "def5678"],
    ]);
    expect(merged.commit).toBe("abc1234");
    expect(markdownOf(merged)).toContain("Measured 2029-01-02 at commit def5678.");
  });
  it("are named after day and commit", () => {
    expect(resultsName({ date: RESULT.date, commit: "abc1234+" })).toBe("2029-01-01-abc1234-dirty.json");
  });
});

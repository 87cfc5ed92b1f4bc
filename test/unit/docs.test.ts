// Holds the documents to the code: the error table, the commands, the npm scripts, and every relative link.
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { ERRORS } from "../../src/base/errors.ts";

const root = path.join(import.meta.dirname, "../..");
const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8");
const readme = read("README.md");
const DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/** The rows of the table under a heading, cells trimmed. */
function tableUnder(heading: string): string[][] {
  const section = readme.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe("README", () => {
  it("lists every error code exactly as the table of errors has it", () => {
    const expected = Object.entries(ERRORS).map(([code, { status, source, title, remedy }]) => [
      `\`${code}\``,
      status === 0 ? "-" : String(status),
      source,
      title,
      remedy,
    ]);
    expect(tableUnder("Errors")).toEqual(expected);
  });

  it("lists every command with its usage", () => {
    const usages = [...read("src/main.ts").matchAll(/usage: "([^"]+)"/g)].map((match) => match[1]);
    expect(usages.length).toBeGreaterThan(0);
    expect(tableUnder("Commands").map(([usage]) => usage?.replaceAll("`", ""))).toEqual(usages);
  });
});

describe.each(DOCUMENTS)("%s", (document) => {
  const text = read(document);

  it("links only to files that exist", () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1] ?? "");
    expect(links.filter((link) => !fs.existsSync(path.join(root, link)))).toEqual([]);
  });

  it("names only npm scripts that exist", () => {
    const scripts = [...text.matchAll(/npm run (?:-s )?([a-z][a-z:-]*)/g)].map((match) => match[1] ?? "");
    expect(scripts.filter((script) => !Object.hasOwn(manifest.scripts, script))).toEqual([]);
  });
});

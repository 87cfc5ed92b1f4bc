// Holds the documents to the code: the error table, the commands, the npm scripts, every relative link with its anchor, every file that a document or
// a comment names, and every test that an invariant or a defence names.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import schema from "../../config/sluice.schema.json" with { type: "json" };
import manifest from "../../package.json" with { type: "json" };
import { ERRORS } from "../../src/base/errors.ts";
import { HELP } from "../../src/cli/commands/help.ts";
import { loadConfig } from "../../src/control/config/load.ts";
import { PHASES } from "../../src/data/exchange/policy.ts";
import { POLICIES } from "../../src/data/policies/registry.ts";
import { dottedKeysIn, isKeyPath, keyPairs } from "../support/configuration-keys.ts";
import { anchorsOf, brokenLinks, withoutCode } from "../support/markdown.ts";
import { danglingNames, hasTest, testsNamedIn } from "../support/named-files.ts";
import { listed } from "../support/sources.ts";

const root = path.join(import.meta.dirname, "../..");
/** What a reader sees first must stay short: two screens. */
const README_LINES_MAX = 110;
/** Not ours (packages), or made by the build. */
const SKIPPED = new Set(["node_modules", "dist", ".git"]);
/** Names files that do not exist, on purpose. */
const OWN_NAME = "test/unit/docs.test.ts";
const SOURCE_NAME = /\.(ts|mjs|sh|ya?ml|service)$|^Dockerfile$/;

const files = filesUnder(root);
const documents = files.filter((file) => file.endsWith(".md"));
const pages = documents.filter((file) => path.dirname(file) === "docs");

function read(file: string): string {
  return fs.readFileSync(path.join(root, file), "utf8");
}

/** Paths relative to the root, of everything that belongs to the repository. */
function filesUnder(folder: string): string[] {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !(SKIPPED.has(entry.name) || entry.name.startsWith("dist.")))
    .flatMap((entry) => {
      const full = path.join(folder, entry.name);
      if (entry.isDirectory()) {
        return filesUnder(full);
      }
      return entry.isFile() ? [path.relative(root, full)] : [];
    });
}

/** Runs with an empty folder that is gone afterwards. */
function inFolder(run: (folder: string) => void): void {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-docs-"));
  try {
    run(folder);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

/** The rows of the table under a heading of level 2, cells trimmed. */
function tableUnder(document: string, heading: string): string[][] {
  const section = read(document).split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => line.startsWith("| "));
  return rows.slice(2).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

describe("docs/errors.md", () => {
  it("lists every error code exactly as the table of errors has it", () => {
    const expected = Object.entries(ERRORS).map(([code, { status, source, title, remedy }]) => [
      `\`${code}\``,
      status === 0 ? "-" : String(status),
      source,
      title,
      remedy,
    ]);
    expect(tableUnder("docs/errors.md", "Codes")).toEqual(expected);
  });
});

describe("docs/configuration.md", () => {
  it("has the order of policies as the registry has it", () => {
    const rows = tableUnder("docs/configuration.md", "Order of policies");
    expect(rows.map(([phase]) => phase)).toEqual(PHASES.map((phase) => `\`${phase}\``));
    for (const [i, phase] of PHASES.entries()) {
      const named = (rows[i]?.[1] ?? "").split("; ").map((part) => /^`(\w+)`/.exec(part)?.[1]);
      const own = POLICIES.filter((each) => each.phase === phase).map(({ name }) => name);
      expect(named).toEqual(expect.arrayContaining(own));
      // A part of a policy of another phase stands in the registry's order too.
      expect(named).toEqual(POLICIES.map(({ name }) => name).filter((name) => named.includes(name)));
    }
  });
});

describe("README.md", () => {
  it("lists every command with its usage", () => {
    const usages = Object.values(HELP).map(({ usage }) => usage);
    expect(tableUnder("README.md", "Commands").map(([usage]) => usage?.replaceAll("`", ""))).toEqual(usages);
  });

  it("fits on two screens", () => {
    expect(read("README.md").trimEnd().split("\n").length).toBeLessThanOrEqual(README_LINES_MAX);
  });

  it("has a smallest file that loads", () => {
    const [, yaml = ""] = /```yaml\n(.*?)```/s.exec(read("README.md")) ?? [];
    inFolder((folder) => {
      const file = path.join(folder, "sluice.yaml");
      fs.writeFileSync(file, yaml);
      expect(loadConfig({ files: [file], env: {} })).toMatchObject({ ok: true, config: { routes: [{ name: "users" }] } });
    });
  });

  it("links to every page in docs/", () => {
    const readme = read("README.md");
    expect(pages.length).toBeGreaterThan(0);
    expect(pages.filter((page) => !readme.includes(`](${page})`))).toEqual([]);
  });
});

describe.each(documents)("%s", (document) => {
  it("has no relative link whose file or anchor does not exist", () => {
    expect(brokenLinks(root, document)).toEqual([]);
  });

  it("names only npm scripts that exist", () => {
    const scripts = [...read(document).matchAll(/npm run (?:-s )?([a-z][a-z:-]*)/g)].map((match) => match[1] ?? "");
    expect(scripts.filter((script) => !Object.hasOwn(manifest.scripts, script))).toEqual([]);
  });
});

/** Neither its text nor its names are ours: made by npm, or measured. */
const NOT_WRITTEN = /^package-lock\.json$|^native-bench\/results\//;

describe("documents, and comments of sources and examples", () => {
  const written = files.filter(
    (file) => (SOURCE_NAME.test(path.basename(file)) || file.endsWith(".md")) && !NOT_WRITTEN.test(file) && file !== OWN_NAME,
  );

  it("name only files that exist", () => {
    expect(written.length).toBeGreaterThan(500);
    expect(written.flatMap((file) => danglingNames(file, read(file), files).map((name) => `${file}: ${name}`))).toEqual([]);
  });
});

describe("the keys of the configuration", () => {
  const pairs = keyPairs(schema);

  it.each(["README.md", "SECURITY.md", ...pages])("that %s names exist", (document) => {
    expect(dottedKeysIn(read(document), pairs).filter((name) => !isKeyPath(pairs, name))).toEqual([]);
  });

  it("that remedies of errors name exist", () => {
    const remedies = Object.values(ERRORS).map(({ remedy }) => remedy.replace(/[a-z][A-Za-z]*(?:\.[A-Za-z]+)+/g, "`$&`"));
    const named = dottedKeysIn(remedies.join("\n"), pairs);
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !isKeyPath(pairs, name))).toEqual([]);
  });

  it("are told from other names, through maps with names of the user's", () => {
    const text =
      "`limits.webSocket.bufferBytes`, `upstreams.NAME.breaker`, `limits.webSocketBufferBytes: 1KiB`, `retry.bodyBytes`, `claims-identity.ts`, `a.b`";
    const named = dottedKeysIn(text, pairs);
    expect(named).toEqual(["limits.webSocket.bufferBytes", "upstreams.NAME.breaker", "limits.webSocketBufferBytes", "retry.bodyBytes"]);
    expect(named.filter((name) => !isKeyPath(pairs, name))).toEqual(["limits.webSocketBufferBytes", "retry.bodyBytes"]);
  });
});

describe("metrics", () => {
  it("that documents and examples name exist", () => {
    const exposed = new Set(listed("src/observe").flatMap((file) => read(file).match(/sluice_[a-z_]+/g) ?? []));
    const named = ["README.md", "SECURITY.md", "CONTRIBUTING.md", ...pages].flatMap(
      (document) => read(document).match(/sluice_[a-z_]+/g) ?? [],
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !exposed.has(name))).toEqual([]);
    // In lists the beginning is left out: `_sync_failures_total`.
    const lines = pages.flatMap((page) => read(page).split("\n")).filter((line) => line.includes("sluice_"));
    const ends = lines.flatMap((line) => [...line.matchAll(/`(_[a-z_]+)`/g)].map((match) => match[1] ?? ""));
    expect(ends.filter((end) => ![...exposed].some((name) => name.endsWith(end)))).toEqual([]);
  });
});

/** The entries of a list at the top level under a heading of level 2, and the rows of tables. */
function entriesUnder(document: string, heading: string): string[] {
  const section = read(document).split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  return section.split(/\n(?=- |\| )/).filter((entry) => /^(- |\| (?!---))/.test(entry));
}

describe.each(["ARCHITECTURE.md", "SECURITY.md"])("%s", (document) => {
  it("names only tests that exist", () => {
    const named = testsNamedIn(read(document));
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter(({ file, name }) => !(files.includes(file) && hasTest(read(file), name)))).toEqual([]);
  });
});

describe("every invariant of ARCHITECTURE.md and every defence of SECURITY.md", () => {
  const invariants = entriesUnder("ARCHITECTURE.md", "Invariants");
  const defences = entriesUnder("SECURITY.md", "What is defended").filter((row) => !row.startsWith("| Against "));

  it.each([
    ["invariant", invariants],
    ["defence", defences],
  ])("%s: names its test, or says that none holds it", (_, entries) => {
    expect(entries.length).toBeGreaterThan(20);
    expect(entries.filter((entry) => testsNamedIn(entry).length === 0 && !entry.includes("No test holds "))).toEqual([]);
  });

  it("names no test file without a name that the check of names sees", () => {
    const text = [...invariants, ...defences].join("\n");
    const seen = new Set(testsNamedIn(text).map(({ file }) => file));
    const mentioned = [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)`/g)].map((match) => match[1] ?? "");
    expect(mentioned.filter((file) => !seen.has(file) && file !== "test/unit/docs.test.ts")).toEqual([]);
  });
});

describe("the check of named files", () => {
  const known = ["src/data/pool.ts", "docs/a.md", "start/sluice.sh"];

  it("finds names that no file has, in comments and prose only, and takes the end of a path for its file", () => {
    expect(danglingNames("x.ts", 'import "./gone.ts"; // see data/pool.ts, pool.ts and ool.ts\n/** See gone.md. */', known)).toEqual([
      "ool.ts",
      "gone.md",
    ]);
    expect(danglingNames("x.yaml", "a: b.sh # see sluice.sh, c.sh", known)).toEqual(["c.sh"]);
    expect(danglingNames("x.md", "`docs/a.md`, [a](docs/a.md), `other/pool.ts`\n```sh\nrm gone.ts\n```\n", known)).toEqual([
      "other/pool.ts",
    ]);
  });

  it("reads the tests of an entry, and finds each by the text of its name alone", () => {
    const entry = 'Held by `test/a.test.ts`: "one", "two of %s"; `test/b.test.ts`: "three".';
    expect(testsNamedIn(entry)).toEqual([
      { file: "test/a.test.ts", name: "one" },
      { file: "test/a.test.ts", name: "two of %s" },
      { file: "test/b.test.ts", name: "three" },
    ]);
    expect(hasTest('it("one", () => {});', "one")).toBe(true);
    expect(hasTest('it("one more", () => {});', "one")).toBe(false);
  });
});

describe("the check of links", () => {
  it("makes anchors as GitHub does: lower case, no punctuation, hyphens for blanks, a number for a repeated heading", () => {
    const text =
      "# A `code` & more\n## It's: 1.5 (of 2)\n## Twice\n## Twice\n```sh\n# no heading\n```\n## [Linked](x.md) _text_\n## snake_case\n";
    expect([...anchorsOf(text)]).toEqual(["a-code--more", "its-15-of-2", "twice", "twice-1", "linked-text", "snake_case"]);
  });

  it("does not read code as links", () => {
    expect(withoutCode("a `[b](c)` d\n```\n[e](f)\n```\n[g](h)")).toBe("a  d\n\n[g](h)");
  });

  it("finds a missing file, a missing anchor here and in another file, and nothing in a sound document", () => {
    inFolder((folder) => {
      fs.mkdirSync(path.join(folder, "pages"));
      fs.writeFileSync(path.join(folder, "pages/b.md"), "# B\n[up](../a.md#one) [self](#b) [web](https://example.org/x#y)\n");
      fs.writeFileSync(
        path.join(folder, "a.md"),
        "# One\n[b](pages/b.md#no) [c](pages/c.md) [here](#two) [[d]: e](pages/b.md)\n\n[ref]: pages/gone.md\n",
      );
      expect(brokenLinks(folder, "pages/b.md")).toEqual([]);
      expect(brokenLinks(folder, "a.md")).toEqual(["pages/b.md#no", "pages/c.md", "#two", "pages/gone.md"]);
    });
  });
});

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { readConsumers, readDocument } from "../../../../../src/control/config/source/document.ts";
import { nodeAt, positionAt, toPlain } from "../../../../../src/control/config/source/located.ts";
import type { Position } from "../../../../../src/control/config/source/problem.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { ALIAS_NODES_MAX } from "../../../../../src/control/config/source/walk.ts";
import { TEXT_BYTES_MAX } from "../../../../../src/control/config/source/yaml-text.ts";

const read = (text: string, env: Record<string, string> = {}) => readDocument({ file: "c.yaml", text }, env);
const plain = (text: string, env: Record<string, string> = {}) => {
  const { root, problems } = read(text, env);
  expect(problems.map(formatProblem)).toEqual([]);
  return root === null ? null : toPlain(root);
};

describe("values", () => {
  const check = (name: string, text: string, expected: unknown, env: Record<string, string> = {}) =>
    it(name, () => expect(plain(text, env)).toEqual(expected));
  check("scalars of the core schema", "a: 1\nb: true\nc: x\nd: '1'\ne: 1.5", { a: 1, b: true, c: "x", d: "1", e: 1.5 });
  check("JSON", '{"a": [1, {"b": null}]}', { a: [1, { b: null }] });
  check("YAML 1.1 booleans are text", "a: yes\nb: on\nc: no", { a: "yes", b: "on", c: "no" });
  check("numeric keys are names", "1: x", { 1: "x" });
  check("templates in a flow map need no quotes", "{ path: /users/{id}/x/{b}, to: a }", { path: "/users/{id}/x/{b}", to: "a" });
  check("templates in query texts", "{ path: /s?q={query.q} }", { path: "/s?q={query.q}" });
  check("variables in a flow map need no quotes", "{ a: ${A}, b: ${B:-x} }", { a: "1", b: "x" }, { A: "1" });
  check("templates elsewhere are what they are", "a: /x/{id}\nb: '/x/{id}'\nc: \"/x/{id}\" # /x/{id}", {
    a: "/x/{id}",
    b: "/x/{id}",
    c: "/x/{id}",
  });
  check("flow maps right after a colon stay maps", '{"a":{b: 1}}', { a: { b: 1 } });
  check("text from the environment cannot become structure", "a: ${A}", { a: "{b: 1}\nc: 2" }, { A: "{b: 1}\nc: 2" });
  check("keys are not interpolated", "${A}: 1", { "${A}": 1 }, { A: "x" });
});

describe("anchors", () => {
  const check = (name: string, text: string, expected: unknown) => it(name, () => expect(plain(text)).toMatchObject(expected as object));
  check("aliases copy", "a: &x { b: 1 }\nc: *x", { c: { b: 1 } });
  check("merge keys fill gaps", "a: &x { b: 1, c: 2 }\nd: { <<: *x, c: 3 }", { d: { b: 1, c: 3 } });
  check("earlier merge sources win", "a: &x { b: 1 }\nc: &y { b: 2, d: 4 }\ne: { <<: [*x, *y] }", { e: { b: 1, d: 4 } });
});

describe("mistakes", () => {
  const check = (name: string, text: string, ...expected: string[]) =>
    it(name, () => expect(read(text).problems.map(formatProblem)).toEqual(expected));
  check("duplicate keys", "a: 1\nb: 2\na: 3", "c.yaml:3:1: a: this key is written twice, first at c.yaml:1; keep one of them");
  check(
    "the same key as number and text",
    "m: { 1: x, '1': y }",
    "c.yaml:1:12: m.1: this key is written twice, first at c.yaml:1; keep one of them",
  );
  check("tabs", "a:\n\tb: 1", "c.yaml:2:1: a tab can't indent; use spaces");
  check(
    "crooked indentation",
    "a:\n  - b: 1\n   c: 2",
    "c.yaml:3:1: Sequence item without - indicator; check the indentation: what belongs together starts at the same column",
  );
  check(
    "two documents",
    "a: 1\n---\nb: 2",
    "c.yaml:2:1: a second document begins here; write one document a file, and give several files with -c",
  );
  check("not a map", "- a", "c.yaml:1:1: the file holds no configuration; start with `version: 1`");
  check("empty", "", "c.yaml:1:1: the file holds no configuration; start with `version: 1`");
  check("one syntax error is one problem", "a: { b: x{y}, c: [1, 2] }\nd: 1", "c.yaml:1:10: Unexpected flow-map-start at node end");
  check(
    "unset variable, at its place",
    "a: 1\nb: http://${HOST}:1",
    "c.yaml:2:11: b: the environment variable HOST is not set; set it, or write ${HOST:-default}",
  );
  check("malformed reference", "a: ${x y}", "c.yaml:1:4: a: this is neither ${VAR} nor ${VAR:-default}; write $${ for a literal ${");
  check("unknown tag", "a: !exec rm", "c.yaml:1:4: Unresolved tag: !exec");
  check("unknown anchor", "a: *nowhere", "c.yaml:1:4: a: there is no anchor `&nowhere` before this; define it above");
  check("a map as a key", "? {a: 1}\n: 2", "c.yaml:1:3: a key must be a plain name");
  check("__proto__", "__proto__: { a: 1 }", "c.yaml:1:1: a key must be a plain name");
  check("merging what is no map", "a: { <<: 3 }", "c.yaml:1:10: a: `<<` takes a map or a list of maps; write `<<: *anchor`");
});

describe("bounds", () => {
  it("a text that expands for ever is refused", () => {
    const levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i < 9; i++)
      levels.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(", ")}]`,
      );
    const { problems } = read(levels.join("\n"));
    expect(problems).toHaveLength(1);
    expect(problems[0]?.message).toBe(`aliases expand to more than ${ALIAS_NODES_MAX} values`);
  });
  it("an anchor that holds itself is refused", () => {
    expect(read("a: &a { b: *a }").problems.length).toBeGreaterThan(0);
  });
  it("deep nesting is refused", () => {
    expect(read(`a: ${"[".repeat(100)}${"]".repeat(100)}`).problems.map((p) => p.message)).toEqual(["nested deeper than 64 levels"]);
  });
  it("a huge file is refused before it is parsed", () => {
    expect(read("#".repeat(TEXT_BYTES_MAX + 1)).problems[0]?.message).toBe("the file is larger than 16 MiB");
  });
});

describe("positions", () => {
  const { root } = read("a:\n  - b: 1\n    c: { d: x, e: /u/{id}, f: y }\n");
  const check = (path: (string | number)[], line: number, column: number) =>
    it(path.join("."), () => expect(root === null ? null : positionAt(root, path)).toEqual({ file: "c.yaml", line, column }));
  check(["a", 0, "b"], 2, 8);
  check(["a", 0, "c", "d"], 3, 13);
  check(["a", 0, "c", "f"], 3, 31);
  check(["a", 0, "c", "missing"], 3, 8);
  check(["a", 7], 2, 3);
  it("nodeAt is exact", () => expect(root === null ? null : nodeAt(root, ["a", 7])).toBeUndefined());
});

describe("a map with a long list says the same whether that is read in pieces or all is read as a whole", () => {
  const item = (i: number, indent: string): string =>
    `${indent}- name: r${i}\n${indent}  match: { path: /t/{x} } # ${i}\n${indent}  to: "*"\n`;
  const list = (indent: string, ...odd: string[]): string => {
    const items = Array.from({ length: 200 }, (_, i) => item(i, indent));
    for (const [i, text] of odd.entries()) items.splice(70 + i * 30, 0, text);
    return items.join("");
  };
  const around = (items: string, before = "", after = "last: { a: [1, ${A}] }\n"): string =>
    `# a configuration\nversion: 1\n${before}routes: # all\n\n  # the first\n${items}${after}`;
  const byPlace = (a: Position, b: Position): number => a.line - b.line || a.column - b.column;
  const readSorted = (text: string) => {
    const { root, problems, unread } = readDocument({ file: "d.yaml", text }, { A: "1" });
    const sorted = { root, problems: problems.toSorted((a, b) => byPlace(a.at, b.at)), unread: unread.toSorted(byPlace) };
    return inspect(sorted, { depth: null, maxArrayLength: null, maxStringLength: null }).replaceAll("&0", "0").split("\n");
  };
  /** What looks like an anchor in a comment means nothing, and keeps a text in one piece. */
  const check = (name: string, text: string) =>
    it(name, () => {
      const whole = text.replace("# 0", "# &0");
      expect(whole).not.toBe(text);
      expect(readSorted(text)).toEqual(readSorted(whole));
    });
  check("nothing odd", around(list("  ")));
  check("items at the margin", around(list("")));
  check("items far from the margin", around(list("      ")));
  check("nothing behind it", around(list("  "), "", ""));
  check("no line end at the end", around(list("  "), "", "").trimEnd());
  check("line ends of another system", around(list("  ")).replaceAll("\n", "\r\n"));
  check("comments at the margin and empty lines", around(list("  ", "# here\n\n", "\n\n  # there\n")));
  check("a second list, which is shorter", around(list("  "), "listeners:\n  - address: x\n"));
  check("an item over several lines", around(list("  ", "  - name: x\n    hosts:\n    - a\n    - b\n    note: |+\n      - c\n\n\n")));
  check("variables", around(list("  ", "  - { id: ${A} }\n", "  - { id: ${B}, tenant: '${' }\n")));
  check("a variable that is not set, on both sides", around(list("  ", "  - ${B}\n"), "a: ${B}\n", "b: ${B}\n"));
  check("a key twice", around(list("  ", "  - { id: a, id: b }\n")));
  check("the list twice", around(list("  "), "", `routes:\n${list("  ")}`));
  check("the key twice, once without", around(list("  "), "", "routes:\n"));
  check("the key in quotes, too", around(list("  "), '"routes": null\n'));
  check("an anchor before, an alias in it", around(list("  ", "  - *a\n"), "x-a: &a { b: 1 }\n"));
  check("an anchor in it, an alias behind", around(list("  ", "  - &a x\n"), "x-a: &a { b: 1 }\n", "last: *a\n"));
  check("an anchor and an alias around it", around(list("  "), "x-a: &a { b: 1 }\n", "last: *a\n"));
  check("a merge at the margin", around(list("  "), "x-a: &a { b: 1 }\n", "<<: *a\n"));
  check("an anchor of the list", around(list("  ")).replace("routes:", "routes: &r"));
  check("a syntax error in it", around(list("  ", "  - { id: x\n")));
  check("a syntax error behind it", around(list("  "), "", "last: { a: \n"));
  check("an open quote", around(list("  ", '  - "abc\n')));
  check("an item that goes on at the margin", around(list("  ", "  - { id: x,\nnote: y }\n")));
  check("an item that is indented less", around(list("   ", "  - name: x\n")));
  check("an item that is indented more", around(list("  ", "   - name: x\n")));
  check("a key that is indented less", around(list("   ", "  name: x\n")));
  check("a tab that indents", around(list("  ", "  - id: x\n\tnote: y\n")));
  check("a second document", around(list("  "), "", "---\na: 1\n"));
  check("a map in one text", `{ routes: null, a: "\nroutes:\n${list("  ").replaceAll('"', "")}" }\n`);
  check("a key in a text", around(list("  ").replaceAll('"', ""), 'a: "\n', '"\nroutes:\n'));
  check("a key in a text of several lines", around(list("  "), "a: |\n  b\n", "c: |\n  routes:\n    - x\n"));
  check("items of all kinds", around(list("  ", "  - x\n", "  - - y\n    - z\n  - \n  -\n  - null\n")));
  it("positions behind it count from the head of the file", () => {
    const text = around(list("  "));
    const { root } = readDocument({ file: "d.yaml", text }, { A: "1" });
    const line = text.split("\n").findIndex((each) => each.startsWith("last")) + 1;
    expect(root === null ? null : positionAt(root, ["last", "a", 1])).toEqual({ file: "d.yaml", line, column: 16 });
    expect(root === null ? null : positionAt(root, ["routes", 199, "to"])).toEqual({ file: "d.yaml", line: line - 1, column: 9 });
  });
});

describe("a long list says the same whether it is read in pieces or as a whole", () => {
  const item = (i: number): string => `- { id: c${i}, scopes: ["orders:read", "a:*"], tenant: /t/{x} } # ${i}\n`;
  const list = (...odd: string[]): string => {
    const items = Array.from({ length: 120 }, (_, i) => item(i));
    for (const [i, text] of odd.entries()) items.splice(70 + i * 30, 0, text);
    return items.join("");
  };
  /** The mark of the end, which means nothing here, keeps a text in one piece. */
  const check = (name: string, text: string) =>
    it(name, () => {
      const [pieces, whole] = [text, `${text}...\n`].map((each) => readConsumers({ file: "d.yaml", text: each }, { A: "1" }));
      expect(pieces).toEqual(whole);
    });
  check("nothing odd", list());
  check("line ends of another system", list().replaceAll("\n", "\r\n"));
  check("no line end at the end", list().trimEnd());
  check("a head, comments and empty lines", `%YAML 1.2\n---\n# all of them\n\n${list("\n# more\n\n")}`);
  check("an item over several lines", list("- id: x\n  scopes:\n  - a\n  - b\n  note: |+\n    - c\n\n\n"));
  check("variables", list("- { id: ${A} }\n", "- { id: ${B}, tenant: '${' }\n"));
  check("a key twice, and one that is none", list("- { id: a, id: b }\n", "- { id: a, [x]: 1 }\n"));
  check("an alias in its item", list("- { id: &a x, note: *a }\n"));
  check("an alias of another item", list("- &a { id: x }\n", "- *a\n"));
  check("an alias of nothing", list("- *a\n"));
  check("a syntax error", list("- { id: x\n"));
  check("an open quote", list('- "abc\n'));
  check("an item that goes on at the margin", list("- { id: x,\nnote: y }\n"));
  check("a tab that indents", list("- id: x\n\tnote: y\n"));
  check("what is no item", list("id: x\n"));
  check("a second document", list("---\n"));
  check("the end of the document in the middle", list("...\n"));
  check("a map with a list at the margin", `keys:\n${list()}`);
  check("a text that looks like a list", `--- |\n${list()}`);
  check("a long text before a list", `text\n${list()}`);
  check("items of all kinds", list("- x\n", "- - y\n  - z\n- \n-\n- null\n"));
  it("positions count from the head of the file", () => {
    const { root } = readConsumers({ file: "d.yaml", text: list() }, {});
    expect(root === null ? null : positionAt(root, [119, "id"])).toEqual({ file: "d.yaml", line: 120, column: 9 });
  });
});

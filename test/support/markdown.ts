// Owns what tests know of Markdown: the anchors of a document and the links in it. Not a parser of all of it: only what this repository's documents use.
import fs from "node:fs";
import path from "node:path";

/** `](target)`, with or without a title, and `[label]: target` on a line of its own. */
const LINK = /\]\(\s*([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)/gm;
const HEADING = /^#{1,6} +(.*?) *#*$/gm;
const FENCED = /^(```|~~~)[^\n]*\n[\s\S]*?^\1[^\n]*$/gm;

/** The text without fenced blocks and inline code, in which nothing is a link. */
export function withoutCode(text: string): string {
  return text.replace(FENCED, "").replace(/`[^`\n]*`/g, "");
}

/** The anchors of all headings, as GitHub makes them, in their order. */
export function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  const counts = new Map<string, number>();
  for (const match of text.replace(FENCED, "").matchAll(HEADING)) {
    const slug = slugOf(match[1] ?? "");
    const count = counts.get(slug) ?? 0;
    counts.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return anchors;
}

function slugOf(heading: string): string {
  const shown = heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/(?<!\w)_([^_]+)_(?!\w)/g, "$1")
    .trim()
    .toLowerCase();
  return shown.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
}

/** The relative links of a document (path relative to `root`) whose file or anchor does not exist, as they are written. */
export function brokenLinks(root: string, document: string): string[] {
  const text = fs.readFileSync(path.join(root, document), "utf8");
  const links = [...withoutCode(text).matchAll(LINK)].map((match) => match[1] ?? match[2] ?? "");
  return links.filter((link) => !(/^[a-z][a-z+.-]*:/.test(link) || resolves(root, document, link)));
}

function resolves(root: string, document: string, link: string): boolean {
  const [file = "", anchor] = link.split("#");
  const target = file === "" ? path.join(root, document) : path.join(root, path.dirname(document), decodeURIComponent(file));
  if (!fs.existsSync(target)) {
    return false;
  }
  return anchor === undefined || (target.endsWith(".md") && anchorsOf(fs.readFileSync(target, "utf8")).has(anchor));
}

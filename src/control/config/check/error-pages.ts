// Owns the check that error pages can be sent: files that are there, are text and no larger than they may be; no two pages for the same error.
// What many routes have from one place is checked once.
import { formatSizeBytes } from "../../../base/units.ts";
import { decodeUtf8 } from "../../../base/utf8.ts";
import { areTied, type ErrorPagesConfig, type ErrorVariantConfig } from "../schema/error-pages.ts";
import type { Draft } from "../schema/sections.ts";
import type { ConfigFiles } from "../source/files.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";

export function checkErrorPages(draft: Draft, files: ConfigFiles, findings: Findings): void {
  const check = new PageCheck(files, findings, draft.sections.limits?.errorPageBytes ?? Number.POSITIVE_INFINITY);
  const { errorPages } = draft.sections;
  if (errorPages != null) check.set(errorPages, ["errorPages"]);
  for (const [i, route] of draft.routes.entries())
    if (route.errorPages !== undefined) check.set(route.errorPages, ["routes", i, "errorPages"]);
}

/** The paths of all files that pages are in. */
export const pageFiles = ({ errorPages, routes }: Pick<Draft, "routes"> & { readonly errorPages: ErrorPagesConfig | null }): string[] => [
  ...new Set(
    [errorPages, ...routes.map((route) => route.errorPages)].flatMap((set) =>
      (set?.pages ?? []).flatMap(({ variants }) => variants.flatMap((each) => (each.kind === "file" ? [each.file] : []))),
    ),
  ),
];

class PageCheck {
  readonly #files: ConfigFiles;
  readonly #findings: Findings;
  readonly #bytesMax: number;
  /** Values that were looked at, wherever they are in force. */
  readonly #seen = new Set<object>();

  constructor(files: ConfigFiles, findings: Findings, bytesMax: number) {
    this.#files = files;
    this.#findings = findings;
    this.#bytesMax = bytesMax;
  }

  set({ pages }: ErrorPagesConfig, path: readonly PathPart[]): void {
    for (const [i, page] of pages.entries()) {
      const at = [...path, page.key];
      const tied = pages.slice(0, i).find((other) => areTied(other, page));
      if (tied !== undefined && this.#isNew([...path, tied.key], at))
        this.#findings.report(
          at,
          `${page.key} and ${tied.key} have statuses in common, and neither is narrower`,
          "write ranges that do not overlap",
        );
      if (!this.#isNew(at)) continue;
      for (const [j, each] of page.variants.entries()) this.#variant(each, page.isList ? [...at, j] : at);
    }
  }

  /** @returns whether one of the values was not looked at yet: a merged tree has the very nodes of its layers */
  #isNew(...paths: readonly (readonly PathPart[])[]): boolean {
    const positions = paths.map((path) => nodeAt(this.#findings.root, path)?.at).filter((each) => each !== undefined);
    const isNew = positions.some((each) => !this.#seen.has(each));
    for (const each of positions) this.#seen.add(each);
    return isNew || positions.length === 0;
  }

  #variant(each: ErrorVariantConfig, path: readonly PathPart[]): void {
    if (each.kind === "redirect") return;
    const { report } = this.#findings;
    const bounded = (bytes: number, what: string, key: PathPart): void => {
      if (bytes > this.#bytesMax)
        report(
          [...path, key],
          `${what} is larger than limits.errorPageBytes (${formatSizeBytes(this.#bytesMax)})`,
          "make it smaller, or raise that",
        );
    };
    if (each.kind === "text")
      return bounded(Buffer.byteLength(each.text), "the page", nodeAt(this.#findings.root, [...path, "body"]) ? "body" : "json");
    const content = this.#files.read(each.file);
    if (content instanceof Error)
      return report([...path, "file"], `can't read ${each.file}: ${content.message}`, "paths are relative to the configuration file");
    const text = decodeUtf8(content);
    if (typeof text !== "string")
      return report([...path, "file"], `can't use ${each.file}: ${text.what} (line ${text.line})`, "save it as UTF-8");
    bounded(content.length, each.file, "file");
  }
}

// Owns what lists of replacements under `rewrite.response` are made of: addresses, paths, `auto` among them. Schema and types only.
import * as z from "zod";
import { parseAuthority } from "../../../base/http.ts";

/** Entries of one list of replacements, and names of one rule for cookies. */
export const ENTRIES_MAX = 32;
const ADDRESS_CHARS_MAX = 2048;

/** @property rules the most specific first @property auto maps what none of them has */
export interface Mapping<Rule> {
  readonly rules: readonly Rule[];
  readonly auto: boolean;
}

/** `/`, or segments that normalisation leaves as they are. */
const PATH = /^\/(?:[A-Za-z0-9._~!$&'()*+,=:@-]+(?:\/[A-Za-z0-9._~!$&'()*+,=:@-]+)*\/?)?$/;
const DOTS = /\/\.\.?(?:\/|$)/;

const withoutSlash = (path: string): string => (path.endsWith("/") ? path.slice(0, -1) : path);

/** @returns null when it is no such path */
const pathOf = (text: string): string | null => (PATH.test(text) && !DOTS.test(text) ? withoutSlash(text) : null);

const PATH_EXPECTED = "expected a path such as /v2, without query, empty or encoded segments";

/** @returns `origin` in normal form with its path; null when it is neither a path nor http(s)://host[:port][/path] */
function parseAddress(text: string): { readonly origin: string; readonly path: string } | null {
  const [, scheme = "", authority = "", path = text] = /^(https?):\/\/([^/?#]+)(.*)$/i.exec(text) ?? [];
  const rest = scheme !== "" && path === "" ? "" : pathOf(path);
  if (rest === null) return null;
  if (scheme === "") return { origin: "", path: rest };
  const origin = originOf(scheme, authority);
  return origin === null ? null : { origin, path: rest };
}

/** An origin in the form in which two can be compared: lower case, without the scheme's own port. @returns null for what is no authority (base/http.ts) */
function originOf(scheme: string, authority: string): string | null {
  const parsed = parseAuthority(authority);
  if (parsed === null) return null;
  const lower = scheme.toLowerCase();
  const isUsual = parsed.port === -1 || parsed.port === (lower === "https" ? 443 : 80);
  return `${lower}://${parsed.host}${isUsual ? "" : `:${parsed.port}`}`;
}

export const address = () =>
  z
    .string()
    .max(ADDRESS_CHARS_MAX)
    .transform((text, ctx) => {
      const parsed = parseAddress(text);
      if (parsed !== null) return parsed;
      ctx.addIssue({
        code: "custom",
        message: "expected a path such as /v2, or http(s)://host[:port] with or without a path; no query, no templates",
      });
      return z.NEVER;
    });

export const literalPath = () =>
  z
    .string()
    .max(ADDRESS_CHARS_MAX)
    .transform((text, ctx) => {
      const path = pathOf(text);
      if (path !== null) return path;
      ctx.addIssue({ code: "custom", message: PATH_EXPECTED });
      return z.NEVER;
    });

/** `auto`, or a list of replacements in which `auto` may stand too. @param keyOf what may stand only once @param length how specific it is */
export function mapping<Rule extends object, Input>(
  rule: z.ZodType<Rule, Input>,
  { keyOf, length }: { readonly keyOf: (rule: Rule) => string; readonly length: (rule: Rule) => number },
) {
  const entry = z.union([rule, z.literal("auto")], {
    error: ({ input }) => (isMap(input) ? undefined : "expected auto, or a map with from and to"),
  });
  return z
    .array(entry)
    .min(1)
    .max(ENTRIES_MAX)
    .transform((list, ctx): Mapping<Rule> => {
      const rules = list.filter((each) => each !== "auto");
      const keys = rules.map(keyOf);
      for (const [i, each] of list.entries()) {
        const first = list.findIndex((other) => (each === "auto" || other === "auto" ? each === other : keyOf(other) === keyOf(each)));
        if (first < i)
          ctx.addIssue({ code: "custom", path: [i], message: `the same as entry ${first}`, params: { remedy: "keep one of them" } });
      }
      return { rules: rules.toSorted((a, b) => length(b) - length(a)), auto: keys.length < list.length };
    });
}

export const isObject = (input: unknown): boolean => typeof input === "object" && input !== null;
export const isMap = (input: unknown): boolean => isObject(input) && !Array.isArray(input);

export const auto = <Rule>() => z.literal("auto").transform((): Mapping<Rule> => ({ rules: [], auto: true }));

/**
 * Says what may stand there, where none of the branches is the one that was meant. In unions a word comes last: of branches that fail alike the first is told.
 * @param isBranch whether a value is of a kind for which a branch says more
 */
export const expecting = (message: string, isBranch: (input: unknown) => boolean) => ({
  error: ({ input }: { readonly input?: unknown }) => (isBranch(input) ? undefined : message),
});

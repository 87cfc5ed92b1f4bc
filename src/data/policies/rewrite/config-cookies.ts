// Owns the key `rewrite.response.cookies`: what becomes of Set-Cookie in a service's responses. Schema, types and docs only.
import * as z from "zod";
import { parseAuthority } from "../../../base/http.ts";
import { ipFamily } from "../../../base/ip.ts";
import { type Objection, withRules } from "../../../base/rules.ts";
import { auto, ENTRIES_MAX, expecting, isMap, isObject, literalPath, type Mapping, mapping } from "./config-mapping.ts";

const COOKIE_RULES_MAX = 32;

/** Paths without trailing slash, '' for the root. */
export interface PathRule {
  readonly from: string;
  readonly to: string;
}

/** Names in lower case without leading dot; `to` is '' where the attribute is removed. */
export interface DomainRule {
  readonly from: string;
  readonly to: string;
}

export type SameSite = "Lax" | "Strict" | "None";

/** What is done to cookies of some names. */
export interface CookieRule {
  readonly path: Mapping<PathRule> | null;
  /** remove: whatever it is. */
  readonly domain: Mapping<DomainRule> | "remove" | null;
  /** auto: for clients that came by https. */
  readonly secure: "always" | "auto" | null;
  readonly httpOnly: boolean;
  readonly sameSite: { readonly value: SameSite; readonly onlyIfAbsent: boolean } | null;
}

/** @property names exact names, and prefixes that end in `*`; none: every cookie that has no rule of its own */
export interface NamedCookieRule {
  readonly names: readonly string[];
  readonly rule: CookieRule;
}

export const AUTO_COOKIES: readonly NamedCookieRule[] = [
  {
    names: [],
    rule: { path: { rules: [], auto: true }, domain: { rules: [], auto: true }, secure: null, httpOnly: false, sameSite: null },
  },
];

const pathRule = () =>
  z
    .strictObject({
      from: literalPath().meta({
        description: "What the cookie's Path begins with, up to a segment boundary; the longest that fits counts.",
      }),
      to: literalPath().meta({ description: "What stands there instead." }),
    })
    .transform(({ from, to }): PathRule => ({ from, to }));

/** @returns lower case without leading dot; null when it is no host */
function hostOf(text: string): string | null {
  const parsed = parseAuthority(text.replace(/^\./, ""));
  return parsed === null || parsed.port !== -1 ? null : parsed.host;
}

const domainHost = (isTarget: boolean) =>
  z.string().transform((text, ctx) => {
    if (isTarget && text === "remove") return "";
    const host = hostOf(text);
    if (host !== null && !(isTarget && ipFamily(host.replace(/^\[|\]$/g, "")) !== 0)) return host;
    const message = isTarget
      ? "expected a host name without port, or `remove`: browsers refuse an address as Domain"
      : "expected a host name or address without port";
    ctx.addIssue({ code: "custom", message });
    return z.NEVER;
  });

const domainRule = () =>
  z
    .strictObject({
      from: domainHost(false).meta({
        description: "The cookie's Domain, whole; a leading dot and case do not matter.",
        examples: ["shop.internal"],
      }),
      to: domainHost(true).meta({
        description: "The Domain instead, or `remove`: then the cookie belongs to the client's host alone.",
        examples: ["example.com", "remove"],
      }),
    })
    .transform(({ from, to }): DomainRule => ({ from, to }));

const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;

const takesProtection = (attribute: string) => ({
  error: () =>
    `expected ${attribute === "Secure" ? "true or auto" : "true"}: leave it out to leave cookies as they are; ${attribute} is never taken from a cookie`,
});

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;
const sameSiteName = () => z.enum(["lax", "strict", "none"]);

const cookieRule = () =>
  withRules(
    z.strictObject({
      names: z
        .array(z.string().regex(COOKIE_NAME, "expected the name of a cookie, or a prefix such as app_*"))
        .min(1)
        .max(ENTRIES_MAX)
        .optional()
        .meta({
          description:
            "Which cookies: names, or prefixes such as `app_*`; a name counts before a prefix, a longer prefix before a shorter one. Left out: all that no other rule names. A rule with nothing but names leaves these cookies alone.",
          examples: [["XSRF-TOKEN", "app_*"]],
        }),
      path: z
        .union(
          [mapping(pathRule(), { keyOf: ({ from }) => from, length: ({ from }) => from.length }), auto<PathRule>()],
          expecting("expected auto, or a list such as `[{ from: ..., to: ... }]`", Array.isArray),
        )
        .optional()
        .meta({
          description:
            "Path. `auto`: as the client sees it, the way back through `stripPrefix` and `addPrefix`. Or a list of replacements, in which `auto` may stand for the rest. Cookies without Path, and those named `__Host-*`, are left alone.",
          examples: ["auto", [{ from: "/v2", to: "/shop" }, "auto"]],
        }),
      domain: z
        .union(
          [
            mapping(domainRule(), { keyOf: ({ from }) => from, length: ({ from }) => from.length }),
            auto<DomainRule>(),
            z.literal("remove"),
          ],
          expecting("expected auto, remove, or a list such as `[{ from: ..., to: ... }]`", Array.isArray),
        )
        .optional()
        .meta({
          description:
            "Domain. `auto`: the service's own, which no browser takes from the client's host, is removed, so that the cookie belongs to the client's host alone. `remove`: it always is. Or a list of replacements. Cookies named `__Host-*` are left alone.",
          examples: ["auto", [{ from: "shop.internal", to: "example.com" }]],
        }),
      secure: z
        .union([z.literal(true), z.literal("auto")], takesProtection("Secure"))
        .optional()
        .meta({ description: "Add Secure: sent over https only. `auto`: when the client came by https." }),
      httpOnly: z.literal(true, takesProtection("HttpOnly")).optional().meta({ description: "Add HttpOnly: kept from scripts." }),
      sameSite: z
        .union(
          [sameSiteName(), z.strictObject({ ifAbsent: sameSiteName().meta({ description: "Only where the service says nothing." }) })],
          {
            error: ({ input }) => (isMap(input) ? undefined : "expected lax, strict or none, or a map such as `{ ifAbsent: lax }`"),
          },
        )
        .optional()
        .meta({
          description: "SameSite: which requests of other sites' pages it goes with. Replaces what the service says.",
          examples: ["lax", { ifAbsent: "lax" }],
        }),
    }),
    (rule, object) => {
      const { names, path, domain, secure, httpOnly, sameSite } = rule;
      if (names === undefined && [path, domain, secure, httpOnly, sameSite].every((each) => each === undefined))
        object("changes nothing", [], "write `path: auto`, `domain: auto`, `secure`, `httpOnly` or `sameSite`");
    },
    ({ sameSite, secure }, object) => {
      const value = typeof sameSite === "object" ? sameSite.ifAbsent : sameSite;
      if (value === "none" && secure === undefined)
        object("browsers refuse SameSite=None without Secure", ["sameSite"], "write `secure: true` beside it");
    },
    ({ names, path, domain }, object) => {
      const host = names?.find((each) => /^__host-/i.test(each));
      if (host === undefined) return;
      const says = `browsers refuse ${host} with another Path than / or with a Domain (RFC 6265bis section 4.1.3)`;
      if (path !== undefined) object(says, ["path"], "name these cookies in a rule without `path` and `domain`");
      if (domain !== undefined) object(says, ["domain"], "name these cookies in a rule without `path` and `domain`");
    },
  ).transform(({ names = [], path, domain, secure, httpOnly, sameSite }): NamedCookieRule => {
    const value = typeof sameSite === "object" ? sameSite.ifAbsent : sameSite;
    return {
      names,
      rule: {
        path: path ?? null,
        domain: domain ?? null,
        secure: secure === undefined ? null : secure === true ? "always" : "auto",
        httpOnly: httpOnly === true,
        sameSite: value === undefined ? null : { value: SAME_SITE[value], onlyIfAbsent: typeof sameSite === "object" },
      },
    };
  });

/** A name in two rules, or two rules for the rest: nobody could tell which counts. */
function onlyOnce(rules: readonly NamedCookieRule[], object: Objection): void {
  const seen = new Map<string, number>();
  for (const [i, { names }] of rules.entries())
    for (const name of names.length === 0 ? [""] : names) {
      const before = seen.get(name);
      if (before === undefined) seen.set(name, i);
      else if (name === "") object(`entry ${before} has no names either`, [i], "give one of them `names`");
      else object(`${name} is named twice`, [i, "names"], "keep one of them");
    }
}

export const cookies = () =>
  z.union(
    [
      cookieRule().transform((rule): readonly NamedCookieRule[] => [rule]),
      z
        .array(cookieRule())
        .min(1)
        .max(COOKIE_RULES_MAX)
        .superRefine((rules, ctx) => {
          if (ctx.issues.length > 0) return; // of rules that could not be read
          onlyOnce(rules, (message, path = [], remedy = "") =>
            ctx.addIssue({ code: "custom", message, path: [...path], params: { remedy } }),
          );
        }),
      z.literal("auto").transform(() => AUTO_COOKIES),
    ],
    expecting("expected auto, a map such as `{ path: auto, secure: true }`, or a list of such maps with `names`", isObject),
  );

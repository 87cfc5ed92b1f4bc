// Owns the key `rewrite.response`: how what a service says of itself (Location, cookies) becomes what the client can use. Schema, types and docs only.
import * as z from "zod";
import { parseAuthority } from "../../../base/http.ts";
import { ipFamily } from "../../../base/ip.ts";
import { type Objection, withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";

/** Entries of one list of replacements, and names of one rule for cookies. */
const ENTRIES_MAX = 32;
const COOKIE_RULES_MAX = 32;
const ADDRESS_CHARS_MAX = 2048;

/** Of a replacement that stands in a list: the part of the address that is kept begins behind it. */
export interface LocationRule {
  /** `https://host[:port]` in normal form; '' for what the service says of itself, with its own authority or none. */
  readonly origin: string;
  /** Without trailing slash; '' for every path. */
  readonly path: string;
  /** A path or an absolute URL, without trailing slash; '' for the root. */
  readonly to: string;
}

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

/** @property rules the most specific first @property auto maps what none of them has */
export interface Mapping<Rule> {
  readonly rules: readonly Rule[];
  readonly auto: boolean;
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

export interface ResponseRewrite {
  /** Of Location, Content-Location and Refresh; null: they are left alone. */
  readonly location: Mapping<LocationRule> | null;
  readonly cookies: readonly NamedCookieRule[];
}

const AUTO_LOCATION: Mapping<LocationRule> = { rules: [], auto: true };
const AUTO_COOKIES: readonly NamedCookieRule[] = [
  {
    names: [],
    rule: { path: { rules: [], auto: true }, domain: { rules: [], auto: true }, secure: null, httpOnly: false, sameSite: null },
  },
];

/** `/`, or segments that normalisation leaves as they are. */
const PATH = /^\/(?:[A-Za-z0-9._~!$&'()*+,=:@-]+(?:\/[A-Za-z0-9._~!$&'()*+,=:@-]+)*\/?)?$/;
const DOTS = /\/\.\.?(?:\/|$)/;

const withoutSlash = (path: string): string => (path.endsWith("/") ? path.slice(0, -1) : path);

/** @returns null when it is no such path */
const pathOf = (text: string): string | null => (PATH.test(text) && !DOTS.test(text) ? withoutSlash(text) : null);

const PATH_EXPECTED = "expected a path such as /v2, without query, empty or encoded segments";

/** @returns `origin` in normal form with its path; null when it is neither a path nor http(s)://host[:port][/path] */
export function parseAddress(text: string): { readonly origin: string; readonly path: string } | null {
  const [, scheme = "", authority = "", path = text] = /^(https?):\/\/([^/?#]+)(.*)$/i.exec(text) ?? [];
  const rest = scheme !== "" && path === "" ? "" : pathOf(path);
  if (rest === null) return null;
  if (scheme === "") return { origin: "", path: rest };
  const origin = originOf(scheme, authority);
  return origin === null ? null : { origin, path: rest };
}

/** An origin in the form in which two can be compared: lower case, without the scheme's own port. @returns null for what is no authority (base/http.ts) */
export function originOf(scheme: string, authority: string): string | null {
  const parsed = parseAuthority(authority);
  if (parsed === null) return null;
  const lower = scheme.toLowerCase();
  const isUsual = parsed.port === -1 || parsed.port === (lower === "https" ? 443 : 80);
  return `${lower}://${parsed.host}${isUsual ? "" : `:${parsed.port}`}`;
}

const address = () =>
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

const literalPath = () =>
  z
    .string()
    .max(ADDRESS_CHARS_MAX)
    .transform((text, ctx) => {
      const path = pathOf(text);
      if (path !== null) return path;
      ctx.addIssue({ code: "custom", message: PATH_EXPECTED });
      return z.NEVER;
    });

const locationRule = () =>
  z
    .strictObject({
      from: address().meta({
        description:
          "What the address begins with: `http(s)://host[:port]` with or without a path, or a path of the service's own, whether it comes with the service's authority or alone. Ends at a segment boundary; the longest that fits counts.",
        examples: ["http://login.internal:8080", "/v2"],
      }),
      to: address().meta({
        description: "What stands there instead: a path on the client's own host, or `http(s)://host[:port]` with or without a path.",
        examples: ["/shop", "https://login.example.com"],
      }),
    })
    .transform(({ from, to }): LocationRule => ({ ...from, to: to.origin + to.path }));

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

/** `auto`, or a list of replacements in which `auto` may stand too. @param keyOf what may stand only once @param length how specific it is */
function mapping<Rule extends object, Input>(
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

const isObject = (input: unknown): boolean => typeof input === "object" && input !== null;
const isMap = (input: unknown): boolean => isObject(input) && !Array.isArray(input);

const auto = <Rule>() => z.literal("auto").transform((): Mapping<Rule> => ({ rules: [], auto: true }));

/**
 * Says what may stand there, where none of the branches is the one that was meant. In unions a word comes last: of branches that fail alike the first is told.
 * @param isBranch whether a value is of a kind for which a branch says more
 */
const expecting = (message: string, isBranch: (input: unknown) => boolean) => ({
  error: ({ input }: { readonly input?: unknown }) => (isBranch(input) ? undefined : message),
});

const location = () =>
  z.union(
    [
      mapping(locationRule(), { keyOf: ({ origin, path }) => `${origin} ${path}`, length: ({ path }) => path.length }),
      auto<LocationRule>(),
    ],
    expecting("expected auto, or a list such as `[{ from: ..., to: ... }]`", Array.isArray),
  );

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

const cookies = () =>
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

export const responseRewrite = once(() =>
  z
    .union(
      [
        withRules(
          z.strictObject({
            location: location()
              .optional()
              .meta({
                description:
                  "Location, Content-Location and the URL of Refresh. `auto`: what has the service's own authority, or none, becomes a path on the client's own host, the way back through `stripPrefix` and `addPrefix`; every other host is left alone. Or a list of replacements, in which `auto` may stand for the rest.",
                examples: ["auto", [{ from: "http://login.internal", to: "https://login.example.com" }, "auto"]],
              }),
            cookies: cookies()
              .optional()
              .meta({
                description:
                  "Set-Cookie. `auto`: `{ path: auto, domain: auto }`; or what to do with all cookies; or a list of rules with `names`. Never those that the gateway sets itself (`sticky`).",
                examples: ["auto", { path: "auto", secure: "auto", sameSite: { ifAbsent: "lax" } }],
              }),
          }),
          ({ location: where, cookies: which }, object) => {
            if (where === undefined && which === undefined) object("changes nothing", [], "write `location: auto` or `cookies: auto`");
          },
        ),
        z.literal("auto"),
      ],
      expecting("expected auto, or a map with location and cookies", isMap),
    )
    .transform(
      (value): ResponseRewrite =>
        value === "auto"
          ? { location: AUTO_LOCATION, cookies: AUTO_COOKIES }
          : { location: value.location ?? null, cookies: value.cookies ?? [] },
    )
    .meta({
      description:
        "What becomes of the addresses and cookies in a service's responses. Left out: they go to the client as they are. `auto`: `{ location: auto, cookies: auto }`. What the gateway answers itself, and the cookies it sets, are never changed.",
      examples: ["auto"],
    }),
);

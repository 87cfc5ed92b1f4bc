// Owns the schema of where a credential stands: `from`, a list of places, and its short form `in` and `name`. For the primary only.
// Must never let two places look at the same part of a request: each credential there would be two.
import * as z from "zod";
import { cgiEquivalent } from "../../../base/http.ts";
import { isProtected } from "../../../base/protected-headers.ts";
import { headerName, once } from "../../../base/schema.ts";

export interface PlaceConfig {
  readonly in: "header" | "cookie" | "query";
  /** Of the header (lowercase), cookie or query parameter. */
  readonly name: string;
  /** What stands before the credential in the header, as written; null for nothing. */
  readonly scheme: string | null;
}

/** Each is looked at in every request. */
const PLACES_MAX = 8;
/** Headers with a meaning of their own, which credentials must not be looked for in. */
const TAKEN: ReadonlySet<string> = new Set(["cookie", "forwarded", "proxy-authorization", "via"]);

export const parameterName = once(() => z.string().regex(/^[A-Za-z0-9._~-]{1,64}$/, "expected 1 to 64 letters, digits and . _ ~ -"));
export const cookieName = once(() => z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/, "expected a cookie name"));
const header = once(() =>
  headerName().refine((name) => !isProtected(name) && !TAKEN.has(name), "this header can't carry a credential; use one such as x-api-key"),
);

const place = once(() =>
  z
    .strictObject({
      header: header()
        .optional()
        .meta({ description: "In this header.", examples: ["x-api-key"] }),
      scheme: z
        .string()
        .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/, "expected the name of a scheme, such as Bearer")
        .optional()
        .meta({
          description:
            "What stands before it in the header, with a blank between; in `authorization` it is required. Another scheme's credential is not looked at.",
          examples: ["Bearer"],
        }),
      query: parameterName()
        .optional()
        .meta({
          description: "In this query parameter. It may end up in other people's logs: prefer a header.",
          examples: ["apikey"],
        }),
      cookie: cookieName()
        .optional()
        .meta({ description: "In this cookie.", examples: ["session"] }),
    })
    .transform(({ header, scheme, query, cookie }, ctx): PlaceConfig => {
      const complain = (message: string, remedy: string, path: string[] = []): PlaceConfig => {
        ctx.addIssue({ code: "custom", message, path, params: { remedy } });
        return z.NEVER;
      };
      if ([header, query, cookie].filter((name) => name !== undefined).length !== 1)
        return complain("expected exactly one of header, query and cookie", "write an entry for each place");
      if (scheme !== undefined && header === undefined)
        return complain("only headers have schemes", "remove it, or name a header", ["scheme"]);
      if (header === "authorization" && scheme === undefined)
        return complain(
          "in `authorization` a scheme stands before each credential",
          "add `scheme: Bearer`, or whatever clients write there",
        );
      if (header !== undefined) return { in: "header", name: header, scheme: scheme ?? null };
      return query === undefined ? { in: "cookie", name: cookie ?? "", scheme: null } : { in: "query", name: query, scheme: null };
    }),
);

export const fromPlaces = once(() =>
  z
    .array(place())
    .min(1)
    .max(PLACES_MAX)
    .superRefine((places, ctx) => {
      for (const [i, each] of places.entries()) {
        const before = places.findIndex((other) => overlap(other, each));
        if (before < i)
          ctx.addIssue({
            code: "custom",
            path: [i],
            message: `looks at what [${before}] looks at: each credential there would be two`,
            params: { remedy: "remove one of them" },
          });
      }
    })
    .meta({
      description:
        "Where the credential may stand, in place of `in` and `name`. A request with one in two of these places is refused, whatever they are; each is taken out before forwarding.",
      examples: [[{ header: "x-api-key" }, { header: "authorization", scheme: "Bearer" }, { query: "apikey" }]],
    }),
);

/** Whether one part of a request could be the credential of both. */
function overlap(a: PlaceConfig, b: PlaceConfig): boolean {
  if (a.in !== b.in) return false;
  if (a.in !== "header") return a.name === b.name;
  const schemes = a.scheme === null || b.scheme === null || a.scheme.toLowerCase() === b.scheme.toLowerCase();
  return cgiEquivalent(a.name) === cgiEquivalent(b.name) && schemes;
}

/** What a kind's schema read of its places. */
interface WrittenPlaces {
  readonly from?: readonly PlaceConfig[] | undefined;
  readonly in?: PlaceConfig["in"] | undefined;
  readonly name?: string | undefined;
}

/** The keys of tokens' places, for the kinds that take tokens. */
export const tokenPlaceFields = once(() => ({
  in: z
    .enum(["header", "cookie", "query"])
    .optional()
    .meta({ description: "Where the token stands, when that is one place; by default `header`." }),
  name: z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, "expected the name of a header, cookie or query parameter")
    .optional()
    .meta({
      description:
        "Of the header, cookie or parameter. In `authorization`, the default, `Bearer` stands before the token; elsewhere the token alone.",
    }),
  from: fromPlaces().optional(),
}));

/** @returns null when it complained */
export function tokenPlaces(written: WrittenPlaces, ctx: z.RefinementCtx): readonly PlaceConfig[] | null {
  const { from, in: where = "header", name } = written;
  if (from !== undefined) return besideFrom(written, ctx) ? null : from;
  const named = name ?? { header: "authorization", query: "access_token", cookie: undefined }[where];
  if (named === undefined) {
    ctx.addIssue({ code: "custom", path: ["name"], message: "is required for a cookie", params: { remedy: "add the cookie's name" } });
    return null;
  }
  const lower = where === "header" ? named.toLowerCase() : named;
  return [{ in: where, name: lower, scheme: lower === "authorization" && where === "header" ? "Bearer" : null }];
}

/** The short form stands beside `from`: nobody could say which is meant. @returns whether it complained */
export function besideFrom(written: Pick<WrittenPlaces, "in" | "name">, ctx: z.RefinementCtx): boolean {
  const keys = (["in", "name"] as const).filter((key) => written[key] !== undefined);
  for (const key of keys)
    ctx.addIssue({ code: "custom", path: [key], message: "stands beside `from`", params: { remedy: "put that place into `from`" } });
  return keys.length > 0;
}

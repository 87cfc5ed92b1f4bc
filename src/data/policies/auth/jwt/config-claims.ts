// Owns how the claims of a credential are read into an identity: schema, defaults and docs. For every kind whose credentials name the consumer
// themselves; for the primary only, workers import types.
import * as z from "zod";
import { once } from "../../../../base/schema.ts";

const PATH_PARTS_MAX = 8;
/** Claims of which the first that is there names the consumer. */
const FALLBACKS_MAX = 8;

/** Member names from the payload inwards; of a single one the dots may lead inwards too, if no claim has the whole name. */
export type ClaimPath = readonly string[];

const PATH = `expected the name of a claim, or up to ${PATH_PARTS_MAX} names joined by dots`;

const isPath = (path: readonly string[]): boolean => {
  const parts = path.length === 1 ? path.flatMap((name) => (name.includes("://") ? [name] : name.split("."))) : path;
  return parts.length > 0 && parts.length <= PATH_PARTS_MAX && parts.every((part) => part !== "");
};

/** `sub`, `realm_access.roles`, or a list of member names, each as it is. */
export const claim = (description: string) =>
  z
    .union([z.string(), z.array(z.string())])
    .transform((value) => (typeof value === "string" ? [value] : value))
    .refine(isPath, PATH)
    .meta({ description, examples: ["sub", "realm_access.roles"] });

/** One claim, or several of which the first that a token has counts. */
const consumerClaim = once(() =>
  z
    .union([
      z.string(),
      z
        .array(z.union([z.string(), z.array(z.string())]))
        .min(1)
        .max(FALLBACKS_MAX),
    ])
    .transform((value) => [value].flat(1).map((each): ClaimPath => (typeof each === "string" ? [each] : each)))
    .refine((paths) => paths.every(isPath), PATH)
    .meta({
      description:
        "Who calls: the consumer's id. A list: the first of these claims that the token has; it decides, also when it is no name that can be used.",
      examples: ["sub", ["client_id", "azp", "sub"]],
    }),
);

export const claims = once(() =>
  z
    .strictObject({
      consumer: consumerClaim().prefault("sub"),
      scopes: claim("A list, or a text with blanks between the scopes.").prefault("scope"),
      roles: claim(
        "A list of names; a text or a whole number is one name, blanks and all. Of a map in the list its `name`, `value` or `id` counts, of a map instead of the list its keys (not those whose value is `false` or `null`). Names that cannot be used are left out: others than 1 to 256 characters without control characters. Scopes are read alike, without other characters than RFC 6749 allows.",
      ).optional(),
      groups: claim("As roles.").optional(),
      tier: claim("Name of a tier; a tier given under `consumers` wins.").optional(),
    })
    .prefault({})
    .meta({
      description:
        "Where the identity stands in the token. `a.b` is member b of claim a, unless a claim is called `a.b`, as `https://example.com/roles` is.",
    }),
);

/** What a prefix does. */
export const PREFIX =
  "Put before the consumer's id, so that no two issuers can name the same one: an id belongs to the issuers (or certificates) with the longest prefix that it begins with, and credentials of others that name it are refused.";

/** Of every kind whose credentials name the consumer themselves. */
export const consumerFields = once(
  () =>
    ({
      consumerPrefix: z
        .string()
        .regex(/^[\x21-\x7a\x7c\x7e]{0,64}$/, "expected visible ASCII characters without spaces and braces")
        .prefault("")
        .meta({ description: PREFIX, examples: ["partner:"] }),
      onlyKnownConsumers: z
        .boolean()
        .prefault(false)
        .meta({ description: "Take credentials of consumers that stand under `consumers` only." }),
    }) as const,
);

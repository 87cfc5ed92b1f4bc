// Owns the schema of `auth.NAME.apiKey`. Loaded by the primary only.
import * as z from "zod";
import { isProtected } from "../../../../base/protected-headers.ts";
import { headerName, once } from "../../../../base/schema.ts";
import { besideFrom, cookieName, fromPlaces, type PlaceConfig, parameterName } from "../config-places.ts";

/** Also for other kinds: `file:` is read before the schema sees it. A shorter one could be guessed. */
const PEPPER_CHARS_MIN = 16;
const PEPPER_CHARS_MAX = 1024;
/** Headers with a meaning of their own, which keys must not be looked for in. */
const TAKEN: ReadonlySet<string> = new Set(["cookie", "forwarded", "proxy-authorization", "via"]);

const keyHeader = once(() =>
  headerName()
    .refine(
      (name) => name !== "authorization",
      "a scheme stands before what is in it; write `from: [{ header: authorization, scheme: Bearer }]`",
    )
    .refine((name) => !isProtected(name) && !TAKEN.has(name), "this header can't carry a key; use one such as x-api-key"),
);

const NAMES = once(() => ({ header: keyHeader(), query: parameterName(), cookie: cookieName() }) as const);

export const apiKeyConfig = once(() =>
  z
    .strictObject({
      in: z.enum(["header", "query", "cookie"]).optional().meta({
        description: "Where the key is, by default in a header. In the query it may end up in other people's logs: prefer a header.",
      }),
      name: z
        .string()
        .optional()
        .meta({
          description: "Name of the header, query parameter or cookie. Exactly one may be there, and it is taken out before forwarding.",
          examples: ["x-api-key", "api_key"],
        }),
      from: fromPlaces().optional(),
      pepper: z
        .string()
        .min(PEPPER_CHARS_MIN)
        .max(PEPPER_CHARS_MAX)
        .optional()
        .meta({
          description:
            "Secret that `hmac-sha256:` hashes of keys were made with (`sluice key create --pepper`): without it a stolen configuration is of no use for guessing keys.",
          examples: ["file:secrets/pepper"],
        }),
    })
    .transform((value, ctx): ApiKeyConfig => {
      const from = placesOf(value, ctx);
      return from === null ? z.NEVER : { from, pepper: value.pepper ?? null };
    })
    .meta({ description: "API keys, looked up by their hash among `consumers[].keys`." }),
);

export interface ApiKeyConfig {
  readonly from: readonly PlaceConfig[];
  readonly pepper: string | null;
}

interface Written {
  readonly in?: PlaceConfig["in"] | undefined;
  readonly name?: string | undefined;
  readonly from?: readonly PlaceConfig[] | undefined;
}

/** @returns null when it complained */
function placesOf(written: Written, ctx: z.RefinementCtx): readonly PlaceConfig[] | null {
  const { in: where = "header", name, from } = written;
  if (from !== undefined) return besideFrom(written, ctx) ? null : from;
  if (name === undefined) {
    ctx.addIssue({
      code: "custom",
      message: "is required",
      path: ["name"],
      params: { remedy: "add `name`, or `from` for several places" },
    });
    return null;
  }
  const parsed = NAMES()[where].safeParse(name);
  if (parsed.success) return [{ in: where, name: parsed.data, scheme: null }];
  ctx.addIssue({ code: "custom", message: parsed.error.issues[0]?.message ?? "", path: ["name"] });
  return null;
}

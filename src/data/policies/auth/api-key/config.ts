// Owns the schema of `auth.NAME.apiKey`. Loaded by the primary only.
import * as z from "zod";
import { isProtected } from "../../../../base/protected-headers.ts";
import { headerName, once } from "../../../../base/schema.ts";

/** Also for other kinds: `file:` is read before the schema sees it. A shorter one could be guessed. */
const PEPPER_CHARS_MIN = 16;
const PEPPER_CHARS_MAX = 1024;
/** Headers with a meaning of their own, which keys must not be looked for in. */
const TAKEN: ReadonlySet<string> = new Set(["authorization", "cookie", "forwarded", "proxy-authorization", "via"]);

const parameterName = once(() => z.string().regex(/^[A-Za-z0-9._~-]{1,64}$/, "expected 1 to 64 letters, digits and . _ ~ -"));
const cookieName = once(() => z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/, "expected a cookie name"));
const keyHeader = once(() =>
  headerName().refine((name) => !isProtected(name) && !TAKEN.has(name), "this header can't carry a key; use one such as x-api-key"),
);

const NAMES = once(() => ({ header: keyHeader(), query: parameterName(), cookie: cookieName() }) as const);

export const apiKeyConfig = once(() =>
  z
    .strictObject({
      in: z
        .enum(["header", "query", "cookie"])
        .prefault("header")
        .meta({ description: "Where the key is. In the query it may end up in other people's logs: prefer a header." }),
      name: z.string().meta({
        description: "Name of the header, query parameter or cookie. Exactly one may be there, and it is taken out before forwarding.",
        examples: ["x-api-key", "api_key"],
      }),
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
    .transform((value, ctx) => {
      const parsed = NAMES()[value.in].safeParse(value.name);
      if (parsed.success) return { in: value.in, name: parsed.data, pepper: value.pepper ?? null };
      ctx.addIssue({ code: "custom", message: parsed.error.issues[0]?.message ?? "", path: ["name"] });
      return z.NEVER;
    })
    .meta({ description: "API keys, looked up by their hash among `consumers[].keys`." }),
);

export type ApiKeyConfig = z.output<ReturnType<typeof apiKeyConfig>>;

// Owns the schema of `auth.NAME.signature`. Loaded by the primary only.
import * as z from "zod";
import { once, size } from "../../../../base/schema.ts";
import { period } from "../jwt/config-provider.ts";
import { DERIVED_COMPONENTS, isComponent } from "./message.ts";

const COMPONENTS_MAX = 32;
const BODY_BYTES_MAX = 16 * 1024 ** 2;
const TARGETS = ["@path", "@target-uri", "@request-target"];

export const signatureConfig = once(() =>
  z
    .strictObject({
      components: z
        .array(z.string().refine(isComponent, `expected a header's name in lowercase, or one of ${DERIVED_COMPONENTS.join(", ")}`))
        .min(1)
        .max(COMPONENTS_MAX)
        .refine((list) => list.includes("@method"), "without @method a signature for one method would do for all")
        .refine(
          (list) => TARGETS.some((name) => list.includes(name)),
          `without one of ${TARGETS.join(", ")} a signature for one resource would do for all`,
        )
        .prefault(["@method", "@authority", "@path", "@query"])
        .meta({
          description:
            "What every signature must cover; it may cover more. Paths are compared in normalised form, so clients sign them in that form.",
          examples: [["@method", "@target-uri", "date"]],
        }),
      body: z.enum(["signed", "unsigned"]).prefault("signed").meta({
        description:
          "`signed`: a request with a body must cover `content-digest` (sha-256 or sha-512), and the body is read and held to it before anything is forwarded. `unsigned`: bodies are not covered by signatures, and anybody between may change them.",
      }),
      bodyBytes: size()
        .refine((bytes) => bytes <= BODY_BYTES_MAX, "expected at most 16MiB")
        .prefault("1MiB")
        .meta({ description: "Largest signed body, as it is held in memory; a larger one is answered with 413." }),
      maxAge: period(1000, 3_600_000)
        .prefault("1m")
        .meta({ description: "Longest time since a signature's `created`, which it must have." }),
      clockSkew: period(0, 600_000).prefault("5s").meta({ description: "Tolerance for `created` and `expires`." }),
      requireNonce: z.boolean().prefault(true).meta({
        description:
          "Every signature has a `nonce`, and each is taken once, by all workers of the instance together (other instances and restarts do not know it). `false`: one without may be sent again until it is too old.",
      }),
      tag: z
        .string()
        .regex(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,64}$/, "expected 1 to 64 printable ASCII characters without quotes and backslashes")
        .optional()
        .meta({ description: "Look only at the signature with this `tag`. By default there must be exactly one signature." }),
    })
    .transform(({ maxAge, clockSkew, tag, ...rest }) => ({ ...rest, maxAgeMs: maxAge, clockSkewMs: clockSkew, tag: tag ?? null }))
    .meta({ description: "Signed requests (RFC 9421, hmac-sha256) with the secrets under `consumers[].signingSecrets`." }),
);

export type SignatureConfig = z.output<ReturnType<typeof signatureConfig>>;

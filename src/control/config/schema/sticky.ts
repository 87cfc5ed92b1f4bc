// Owns the schema of an upstream's session affinity: the cookie by which a client comes back to its target. Its output is the plan's, so that no secret
// goes further than here.
import { hkdfSync } from "node:crypto";
import * as z from "zod";
import { once } from "../../../base/schema.ts";
import type { StickyPlan } from "../../../plan/plan.ts";
import { period } from "./fields.ts";

const SECRET_CHARS_MIN = 32;
/** RFC 6265bis section 5.5: browsers keep no cookie for longer. */
const LIFETIME_MS_MAX = 400 * 86_400_000;
const KEY_BYTES = 32;
/** Says what the derived key is for (RFC 5869 section 3.2), so that the same secret gives other keys elsewhere. */
const INFO = "sluice sticky cookie 1";

const SAME_SITE = { lax: "Lax", strict: "Strict", none: "None" } as const;

export const sticky = once(() =>
  z
    .strictObject({
      cookie: z
        .string()
        .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, "expected the name of a cookie: letters, digits and !#$%&'*+-.^_`|~")
        .meta({
          description: "Name of the cookie. Upstreams with different targets that a client reaches at the same host need different names.",
          examples: ["shop-node"],
        }),
      secret: z
        .string()
        .min(SECRET_CHARS_MIN, `expected a secret of at least ${SECRET_CHARS_MIN} characters, as \`openssl rand -hex 32\` writes it`)
        .max(4096)
        .meta({
          description:
            "What the cookie's value is made with: a keyed hash of the target, which reveals nothing of it and can't be made up. Equal in all instances; with another secret every client is assigned anew.",
          examples: ["file:secrets/sticky"],
        }),
      lifetime: z
        .union([z.literal("session"), period({ min: 1000, max: LIFETIME_MS_MAX })])
        .prefault("session")
        .meta({
          description: "How long the browser keeps the cookie from the moment it is set; `session`: until it is closed.",
          examples: ["session", "8h"],
        }),
      path: z
        .string()
        .regex(/^\/[\x21-\x3a\x3c-\x7e]{0,255}$/, "expected a path that begins with /")
        .prefault("/")
        .meta({ description: "The paths that the browser sends it with." }),
      secure: z
        .union([z.boolean(), z.literal("auto")])
        .prefault("auto")
        .meta({ description: "Sent over https only. `auto`: when the client came by https." }),
      httpOnly: z.boolean().prefault(true).meta({ description: "Kept from scripts." }),
      sameSite: z
        .enum(["lax", "strict", "none"])
        .prefault("lax")
        .meta({ description: "Which requests of other sites' pages it goes with." }),
    })
    .superRefine(({ cookie, secure, sameSite, path }, ctx) => {
      const issue = (at: string, message: string) => ctx.addIssue({ code: "custom", path: [at], message });
      if (sameSite === "none" && secure !== true) issue("sameSite", "browsers refuse `sameSite: none` without `secure: true`");
      if (/^__(host|secure)-/i.test(cookie) && secure !== true) issue("cookie", `browsers refuse ${cookie} without \`secure: true\``);
      if (/^__host-/i.test(cookie) && path !== "/") issue("path", `browsers refuse ${cookie} with another path than /`);
    })
    .transform(({ cookie, secret, lifetime, path, secure, httpOnly, sameSite }): StickyPlan => {
      const age = lifetime === "session" ? "" : `; Max-Age=${Math.floor(lifetime / 1000)}`;
      return {
        cookie,
        key: Buffer.from(hkdfSync("sha256", secret, "", INFO, KEY_BYTES)).toString("base64url"),
        attributes: `; Path=${path}${age}${httpOnly ? "; HttpOnly" : ""}; SameSite=${SAME_SITE[sameSite]}`,
        secure,
      };
    })
    .meta({
      description:
        "Session affinity: the gateway sets a cookie that brings the client back to the target that answered it, in every worker and instance and after restarts. When that target is down, ejected or gone, another is chosen by `balance` and the cookie is set anew.",
    }),
);

// Owns the schema of what a request body's pace is held to, for the instance and for a route.
import * as z from "zod";
import { once, size } from "../../../base/schema.ts";
import type { BodyRatePlan } from "../../../plan/limits-plan.ts";
import { period } from "./fields.ts";

const RATE_BYTES_MAX = 2 ** 30;

/** Output null for `none`. Kestrel asks 240 bytes a second of a body, Apache's mod_reqtimeout 500. */
export const bodyRate = once(() =>
  z
    .union(
      [
        z.literal("none"),
        z.strictObject({
          bytes: size()
            .refine((n) => n >= 1 && n <= RATE_BYTES_MAX, "expected at least 1 byte and at most 1GiB")
            .prefault(240)
            .meta({ description: "Bytes that must come in a second, on average." }),
          after: period({ min: 0 }).prefault("10s").meta({ description: "Nothing is asked of a body in its first time." }),
          grace: period().prefault("10s").meta({ description: "Over what time the average is taken: how long a body may be slower." }),
        }),
      ],
      {
        error: ({ input }) =>
          typeof input === "object" && input !== null && !Array.isArray(input)
            ? undefined
            : "expected none, or a map with bytes, after and grace",
      },
    )
    .transform((v): BodyRatePlan | null => (v === "none" ? null : { bytesPerSecond: v.bytes, afterMs: v.after, graceMs: v.grace })),
);

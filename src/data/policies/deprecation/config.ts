// Owns the `deprecation` key of a route: since when it is deprecated, until when it is there, and where that is explained. Schema, type and docs only.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)(?:T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))?$/;

/** A day (its beginning in UTC) or a moment of RFC 3339 in whole seconds. Output seconds since the epoch. */
const moment = once(() =>
  z
    .string()
    .transform((text, ctx) => {
      const [, year, month, day] = (MOMENT.exec(text) ?? []).map(Number);
      const isDay = year !== undefined && new Date(Date.UTC(year, (month ?? 0) - 1, day)).toISOString().startsWith(text.slice(0, 10));
      if (isDay) return Date.parse(text) / 1000;
      ctx.addIssue({ code: "custom", message: "expected a day such as 2026-03-01 or a moment such as 2026-03-01T12:00:00Z" });
      return z.NEVER;
    })
    .meta({ pattern: MOMENT.source, examples: ["2026-03-01", "2026-03-01T12:00:00Z"] }),
);

/** Written between `<` and `>` as it is. */
const link = once(() =>
  z
    .string()
    .max(2048)
    .regex(/^(https?:\/\/|\/(?!\/))[!#-;=?-[\]_a-z~]*$/, "expected a URL such as https://example.com/changes, or a path, percent-encoded")
    .refine((text) => URL.canParse(text, "http://host"), "expected a URL"),
);

export const deprecationSchema = once(() =>
  withRules(
    z.strictObject({
      since: moment().meta({ description: "When it was, or will be, deprecated: the header `Deprecation` (RFC 9745)." }),
      sunset: moment().optional().meta({
        description: "When it will be gone: the header `Sunset` (RFC 8594). Not before `since`. Nothing is switched off by it.",
      }),
      link: link()
        .optional()
        .meta({
          description: 'A page that says what to use instead: the header `Link` with `rel="deprecation"`.',
          examples: ["https://developer.example.com/v1-sunset"],
        }),
    }),
    ({ since, sunset }, object) => {
      if (sunset !== undefined && sunset < since)
        object("the end comes before the deprecation", ["sunset"], "write a day that is not before `since`");
    },
  ).meta({
    description:
      "Tells clients that the route is deprecated, in each response, and counts who still calls it (`sluice_deprecated_requests_total`). What the service says of that itself is left as it is.",
  }),
);

export type DeprecationConfig = z.output<ReturnType<typeof deprecationSchema>>;

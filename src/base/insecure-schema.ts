// Owns the schema of `insecure`, the one key for the named ways out. Imported by config schemas only (primary), as base/schema.ts is.
import * as z from "zod";
import { isWayOut, placesOf, WAYS_OUT, type WayOut, type WayOutPlace, waysOutAt } from "./ways-out.ts";

/** @param place whose ways out it takes; others are refused, with where they belong */
export function insecure(place: WayOutPlace) {
  const names = waysOutAt(place);
  return z
    .array(
      z.enum(names as readonly [WayOut, ...WayOut[]], {
        // A place has at least one.
        error: ({ input }) => (isWayOut(input) ? `\`${input}\` opens nothing here: it belongs under ${placesOf(input)}` : undefined),
      }),
    )
    .min(1)
    .transform((list): readonly WayOut[] => [...new Set(list)])
    .optional()
    .meta({
      description: `Ways out of what is refused otherwise, by name; \`validate\`, \`routes\`, \`/readyz\`, the status page and the log name them. ${names.map((name) => `\`${name}\`: ${WAYS_OUT[name].opens}`).join(" ")}`,
    });
}

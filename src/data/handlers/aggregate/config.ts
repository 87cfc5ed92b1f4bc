// Owns the `aggregate` key of a route: one answer made of several services' answers. Schema and docs only; what legs are to each other is checked
// in the primary (control/config/check/aggregate.ts).
import * as z from "zod";
import type { UpstreamUse } from "../../../base/feature-schema.ts";
import { once } from "../../../base/schema.ts";
import { bounded, bytes, compiledLeg, legName, member, writtenLeg } from "./config-leg.ts";
import { type AggregateConfig, LEGS_MAX } from "./config-plan.ts";

const BYTES_PRESET = 1024 * 1024;

const legs = once(() =>
  z
    .record(legName(), writtenLeg())
    .refine((map) => bounded(map, LEGS_MAX), `expected at most ${LEGS_MAX} legs`)
    .refine((map) => Object.keys(map).length > 0, "expected at least one leg"),
);

const INCOMPLETE = "incomplete";

const whole = once(() =>
  z.strictObject({
    legs: legs().meta({ description: "What is asked, by name; all at once, but for those that use what another answered." }),
    merge: z.enum(["nest", "flat"]).prefault("nest").meta({
      description:
        "`nest`: each leg is a member of the answer. `flat`: the members of each leg are; legs that could give the same one are refused, unless `wins` says whose it is.",
    }),
    wins: z
      .array(z.string())
      .max(LEGS_MAX)
      .prefault([])
      .meta({
        description: "Legs whose members win over equal ones of others; the first over the next.",
        examples: [["user", "account"]],
      }),
    incomplete: z
      .union([z.enum(["header", "member"]), z.strictObject({ member: member().meta({ description: "Its name." }) })], {
        error: "expected header, member or {member: NAME}",
      })
      .prefault("header")
      .meta({
        description:
          "How an answer says which optional legs failed: in the header `x-aggregate-incomplete`; with `member` also in the member `incomplete`, with their error codes.",
      }),
    stream: z.boolean().prefault(false).meta({
      description:
        "Send what there is when every required leg has ended, and optional legs as they come. Then the member (always) and a trailer say what failed: the header is out already.",
    }),
    maxBytes: bytes().prefault("1MiB").meta({
      description: "Largest answer of one leg; of all its calls together, for one with `forEach`. A larger one fails the leg.",
    }),
    maxRequestBytes: bytes()
      .prefault("1MiB")
      .meta({ description: "Largest request body that is kept for legs with `body: client`. More: 413." }),
  }),
);

type Written = z.output<ReturnType<typeof whole>>;

/** Of the short form: what {@link whole} fills in. */
const PRESETS: Omit<Written, "legs"> = {
  merge: "nest",
  wins: [],
  incomplete: "header",
  stream: false,
  maxBytes: BYTES_PRESET,
  maxRequestBytes: BYTES_PRESET,
};

export const aggregateSchema = once(() =>
  z
    .union([whole(), legs()])
    .transform(
      (value): AggregateConfig =>
        "wins" in value ? compiled(value as Written, ["legs"]) : compiled({ ...PRESETS, legs: value as Written["legs"] }, []),
    )
    .meta({
      description:
        "Answer with one JSON document made of several services' answers. Short form: the map of legs alone. Identity headers and forwarding rules hold for each leg as for a proxied request.",
    }),
);

function compiled(
  { legs, merge, wins, incomplete, stream, maxBytes, maxRequestBytes }: Written,
  legsAt: readonly string[],
): AggregateConfig {
  const named = incomplete === "member" ? INCOMPLETE : typeof incomplete === "object" ? incomplete.member : null;
  return {
    legsAt,
    legs: Object.entries(legs).map(([name, written]) => compiledLeg(name, written, { merge, maxBytes })),
    wins,
    incomplete: named ?? (stream ? INCOMPLETE : null),
    stream,
    requestBytes: maxRequestBytes,
  };
}

/** Every upstream that a leg asks. */
export const upstreamsIn = ({ legsAt, legs }: AggregateConfig): readonly UpstreamUse[] =>
  legs.map(({ name, to }) => ({ path: [...legsAt, name, "to"], name: to }));

/** For the plan. */
export const linkedLegs = (config: AggregateConfig, indexOf: (upstream: string) => number): AggregateConfig => ({
  ...config,
  legs: config.legs.map((leg) => ({ ...leg, upstream: indexOf(leg.to) })),
});

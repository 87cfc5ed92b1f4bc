// Owns the schema of overload control: an upstream's in-flight limit, the line in front of it, and priorities. The output has the plan's shape.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { headerName, once, size } from "../../../base/schema.ts";
import { BACKGROUND, type FairBy, type OverloadPlan, PRIORITIES } from "../../../plan/overload-plan.ts";
import { count, period } from "./fields.ts";

const IN_FLIGHT_MAX = 1_000_000;
const QUEUE_LENGTH_MAX = 1_000_000;
const FLOWS_MAX = 4096;
const WAIT_MS_MAX = 60_000;
export const WEIGHT_MAX = 1000;

/** An index of PRIORITIES. `background` is the gateway's own. */
export const priority = once(() =>
  z
    .enum(PRIORITIES.slice(0, BACKGROUND) as ["critical", "high", "normal", "low"], {
      error: "expected critical, high, normal or low: who is refused last under load (routes have no order: the more specific one wins)",
    })
    .transform((name): number => PRIORITIES.indexOf(name)),
);

const fairBy = once(() =>
  z
    .union(
      [z.enum(["consumer", "address", "route", "none"]), z.strictObject({ header: headerName().meta({ description: "Its name." }) })],
      {
        error: "expected consumer, address, route, none or {header: name}",
      },
    )
    .prefault("consumer")
    .transform((value): FairBy => value)
    .meta({
      description:
        "Whose requests have an equal share when some must wait: each `consumer`, else each client address (default; an IPv6 network of 64 bits is one); each `address`; each `route`; each value of a `{header: name}` that something in front sets; or `none`: first come, first served.",
    }),
);

const queue = once(() =>
  z
    .strictObject({
      length: count(0, QUEUE_LENGTH_MAX).prefault(1024).meta({ description: "Requests that may wait, for each worker." }),
      bytes: size()
        .prefault("16MiB")
        .meta({ description: "What these may hold, for each worker: 4 KiB each, and the first part of bodies." }),
      flows: count(1, FLOWS_MAX).prefault(256).meta({
        description: "Callers told apart in line, for each worker; further ones share with others.",
      }),
      wait: period({ min: 1, max: WAIT_MS_MAX }).prefault("250ms").meta({
        description: "Longest wait. Up to four times as long at a service whose answers take longer than a quarter of it.",
      }),
    })
    .prefault({})
    .meta({ description: "Who may wait for a place." }),
);

export const overload = once(() =>
  withRules(
    z.strictObject({
      mode: z.enum(["on", "shadow", "off"]).prefault("shadow").meta({
        description:
          "`on`: what the service can't work on waits in a fair line, and what would wait too long is refused with 503 `overloaded`. `shadow` (default): nothing waits or is refused for it; what would have been is counted in `sluice_overload_shadowed_total`. `off`: nothing is counted.",
      }),
      minimum: count(1, IN_FLIGHT_MAX).prefault(1).meta({ description: "The limit never goes below: requests in flight, of all workers." }),
      maximum: count(1, IN_FLIGHT_MAX).prefault(1000).meta({ description: "The limit never goes above." }),
      queue: queue(),
      fairBy: fairBy(),
    }),
    ({ minimum, maximum }, object) => {
      if (minimum > maximum) object("is more than `maximum`", ["minimum"], "lower it, or raise `maximum`");
    },
  )
    .transform(({ mode, minimum, maximum, queue: { wait, ...line }, fairBy }): Omit<OverloadPlan, "slot" | "tiers"> | null =>
      mode === "off" ? null : { shadow: mode === "shadow", minimum, maximum, queue: { ...line, waitMs: wait }, fairBy },
    )
    .prefault({})
    .meta({
      description:
        "What happens when the service has more to do than it can: an in-flight limit that follows its latency, and a line in front of it in which every caller has a fair share. See docs/overload.md.",
    }),
);

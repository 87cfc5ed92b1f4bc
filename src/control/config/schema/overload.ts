// Owns the schema of overload control: an upstream's in-flight limit, the line in front of it, and priorities; and when a worker itself sheds. The output
// has the plan's shape.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { fraction, headerName, once, size } from "../../../base/schema.ts";
import { type FairBy, type OverloadPlan, PRIORITIES, RETRY, type WorkerOverloadPlan } from "../../../plan/overload-plan.ts";
import { count, period } from "./fields.ts";

const IN_FLIGHT_MAX = 1_000_000;
const QUEUE_LENGTH_MAX = 1_000_000;
const FLOWS_MAX = 4096;
const WAIT_MS_MAX = 60_000;
export const WEIGHT_MAX = 1000;

/** An index of PRIORITIES. `retry` and `background` are the gateway's own. */
export const priority = once(() =>
  z
    .enum(PRIORITIES.slice(0, RETRY) as ["critical", "high", "normal", "low"], {
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

const LOOP_DELAY_MS_MAX = 10_000;
/** Below it a worker would refuse what it needs to start. */
const MEMORY_BYTES_MIN = 64 * 1024 ** 2;

/** `none`, a percentage or a size. */
const memory = once(() =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx): WorkerOverloadPlan["memory"] => {
      if (value === "none") return null;
      const part = fraction().safeParse(value);
      if (part.success && part.data > 0) return { part: part.data };
      const bytes = size().safeParse(value);
      if (bytes.success && bytes.data >= MEMORY_BYTES_MIN) return { bytes: bytes.data };
      ctx.addIssue({ code: "custom", message: "expected none, a percentage such as 90%, or a size of at least 64MiB" });
      return z.NEVER;
    })
    .prefault("90%")
    .meta({
      description:
        "What a worker may hold: a percentage of what V8 gives its heap, or a size, of heap and buffers together, or `none`. V8 collects late: choose twice of what it needs. It counts when it stays above for 2 s.",
      examples: ["90%", "1GiB"],
    }),
);

export const workerOverload = once(() =>
  z
    .strictObject({
      mode: z.enum(["on", "shadow", "off"]).prefault("shadow").meta({
        description:
          "`on`: a worker that stays above one of these bounds refuses requests with 503 `overloaded`, `reason: instance`, lowest priority first. `shadow` (default): it refuses nothing; what came meanwhile is counted in `sluice_worker_shadowed_total`. `off`: nothing is counted.",
      }),
      loopDelay: z
        .union([z.literal("none"), period({ min: 5, max: LOOP_DELAY_MS_MAX })], { error: "expected none or a duration such as 50ms" })
        .prefault("50ms")
        .meta({
          description:
            "How late a worker's event loop may be: so long does each request wait for it, and each response again. A pause that it gets over by itself within a second does not count. `none`: it is not looked at.",
        }),
      inFlight: z
        .union([z.literal("none"), count(1, IN_FLIGHT_MAX)], { error: "expected none or a number from 1 to 1000000" })
        .prefault("none")
        .meta({
          description:
            "Requests under way in one worker, WebSockets not among them, or `none`. Critical ones may take all of it, high ones 95 %, normal ones 90 %, low ones 85 %, mirrors, background refreshes and retries 80 %.",
        }),
      memory: memory(),
    })
    .transform(
      ({ mode, loopDelay, inFlight, memory }): Omit<WorkerOverloadPlan, "tiers"> => ({
        mode,
        loopDelayMs: loopDelay === "none" ? null : loopDelay,
        inFlight: inFlight === "none" ? null : inFlight,
        memory,
      }),
    )
    .prefault({})
    .meta({
      description: "What a worker does that has more to do than it can itself, whatever its upstreams can. See docs/overload.md.",
    }),
);

// Owns the way from a written configuration to running authenticators, as a worker would have them, without a worker.

import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { compilePlan } from "../../src/control/config/compile/compile.ts";
import { idSpaceOf } from "../../src/data/credentials/id-space.ts";
import type { Authenticator, AuthOutcome } from "../../src/data/exchange/identity/authenticator.ts";
import type { Services } from "../../src/data/exchange/runtime.ts";
import { AUTHENTICATORS } from "../../src/data/policies/auth/registry.ts";
import { ReplaySet } from "../../src/shared/replay-set.ts";
import { testBodies } from "./bodies.ts";
import { BASE, good } from "./config-text.ts";

/** What authenticators use of a worker's services. */
export const testServices = (): Services =>
  ({ wheel: new TimerWheel(), replay: new ReplaySet(ReplaySet.allocate(2 ** 10)), bodies: testBodies() }) as unknown as Services; // they look at nothing else

/**
 * Parses, compiles, clones across the thread border, builds.
 * @param sections `auth`, `consumers` and the like, in YAML
 * @param services the same for two calls: one worker that got two plans
 */
export function authenticatorsOf(sections: string, services: Services = testServices()): ReadonlyMap<string, Authenticator> {
  const plan = structuredClone(
    compilePlan(good([`${BASE}defaults: { auth: none }\n`, sections]).config, { version: 1, metricSlot: () => 0 }),
  );
  const consumers = new Map(plan.consumers.map((consumer) => [consumer.id, consumer]));
  const tiers = new Set(plan.tiers.map((tier) => tier.name));
  return new Map(
    plan.authenticators.map((each) => {
      const create = AUTHENTICATORS[each.kind];
      if (create === undefined) throw new Error(`no authenticator kind ${each.kind}`);
      return [each.name, create({ plan: each, consumers, tiers, ids: idSpaceOf(plan.authenticators), services })];
    }),
  );
}

/** The only authenticator of a configuration. */
export function authenticatorOf(sections: string, services?: Services): Authenticator {
  const [only, ...others] = authenticatorsOf(sections, services).values();
  if (only === undefined || others.length > 0) throw new Error("expected one authenticator");
  return only;
}

/** An outcome in a word or two: `acme`, `absent`, `refused: why`, `auth_overloaded`. */
export function outcomeText(outcome: AuthOutcome): string {
  switch (outcome.kind) {
    case "identity":
      return outcome.identity.consumer;
    case "absent":
      return "absent";
    case "refused":
      return `refused: ${outcome.detail}`;
    case "unavailable":
      return outcome.code;
  }
}

// Owns the way from a written configuration to running authenticators, as a worker would have them, without a worker.

import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { compilePlan } from "../../src/control/config/compile/compile.ts";
import { idSpaceOf } from "../../src/data/credentials/id-space.ts";
import type { Exchange } from "../../src/data/exchange/exchange.ts";
import type { Authenticator, AuthOutcome } from "../../src/data/exchange/identity/authenticator.ts";
import type { Services } from "../../src/data/exchange/runtime.ts";
import { WorkerLoad } from "../../src/data/load/worker-load.ts";
import { AUTHENTICATORS } from "../../src/data/policies/auth/registry.ts";
import { checkPassword, type PasswordJob } from "../../src/offload/password-task.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { upstreamBreakerSlot } from "../../src/shared/breaker-layout.ts";
import { ReplaySet } from "../../src/shared/replay-set.ts";
import { testBodies } from "./bodies.ts";
import { BASE, good } from "./config-text.ts";
import { ServiceUpstreams } from "./service-upstreams.ts";

/** What authenticators use of a worker's services. */
export const testServices = (): Services =>
  ({
    wheel: new TimerWheel(),
    load: new WorkerLoad({ inFlight: 0, webSockets: 0 }),
    replay: new ReplaySet(ReplaySet.allocate(2 ** 10)),
    bodies: testBodies(),
    recordAttempt() {},
    recordRetry() {},
    recordDecision() {},
    reportFault() {},
    checkPassword: async (job: PasswordJob) => checkPassword(job), // as the thread does
  }) as unknown as Services; // they look at nothing else

/**
 * Parses, compiles, clones across the thread border, builds.
 * @param sections `auth`, `consumers` and the like, in YAML
 * @param services the same for two calls: one worker that got two plans
 */
export function authenticatorsOf(sections: string, services: Services = testServices()): ReadonlyMap<string, Authenticator> {
  return built(planOf(sections), services);
}

function planOf(sections: string): Plan {
  let slot = 1;
  const slots = { metricSlot: () => 0, breakerSlot: () => upstreamBreakerSlot(slot++) };
  return structuredClone(compilePlan(good([`${BASE}defaults: { auth: none }\n`, sections]).config, { version: 1, ...slots }));
}

/** The only authenticator of a configuration, and the upstreams of its plan: exchanges that it sees find theirs there. */
export function callingAuthenticatorOf(sections: string, services: Services): { readonly authenticator: Authenticator } & Disposable {
  const plan = planOf(sections);
  const upstreams = new ServiceUpstreams(plan, services.wheel);
  const [authenticator] = built(plan, services).values();
  if (authenticator === undefined) throw new Error("expected one authenticator");
  const authenticate = (x: Exchange): AuthOutcome | Promise<AuthOutcome> => {
    Object.assign(x.runtime, { upstreams: upstreams.list, appendForwarding: () => {} });
    return authenticator.authenticate(x);
  };
  return {
    authenticator: Object.assign(Object.create(authenticator) as Authenticator, { authenticate }),
    [Symbol.dispose]: () => upstreams[Symbol.dispose](),
  };
}

function built(plan: Plan, services: Services): ReadonlyMap<string, Authenticator> {
  const consumers = new Map(plan.consumers.map((consumer) => [consumer.id, consumer]));
  const tiers = new Set(plan.tiers.map((tier) => tier.name));
  return new Map(
    plan.authenticators.map((each) => {
      const create = AUTHENTICATORS[each.kind];
      if (create === undefined) throw new Error(`no authenticator kind ${each.kind}`);
      return [each.name, create({ plan: each, consumers, tiers, ids: idSpaceOf(plan.authenticators), services, whole: plan })];
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

// Owns running a policy of the user's own as the pipeline runs those of the gateway: each call guarded, timed and marked. Must never let a request through, nor
// a response out, because the policy failed: what it throws is answered with `policy_failed`.

import type { Hooks, MaybeAnswer, Policy as PublicPolicy, Slot } from "../../../../policy/index.d.ts";
import { frozen } from "../../../base/frozen.ts";
import { removeHeader, setHeader } from "../../../base/header-list.ts";
import { PolicyFailure } from "../../../base/policy-failure.ts";
import type { ModulePolicyPlan } from "../../../plan/module-plan.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, Reply } from "../../exchange/policy.ts";
import type { OpenFilter } from "../../exchange/response-filter.ts";
import type { ExchangeSlot, PolicyRoute } from "../../exchange/route-context.ts";
import type { CallFailure } from "../../upstream/call-request.ts";
import { replyOf } from "./answer.ts";
import { type Destinations, PolicyExchange } from "./policy-exchange.ts";
import { bodyRefusal, WholeBodyFilter } from "./whole-body-filter.ts";

const FAILED: Reply = { kind: "problem", code: "policy_failed", detail: "" };

/** A policy of one route, and what it does with bodies of responses. */
export interface ModulePolicy {
  readonly policy: Policy;
  readonly filter: OpenFilter | null;
  readonly cacheKey: ((x: Exchange) => string) | null;
}

/** @param module what the module exports. @throws Error that names policy and module when its `create` does */
export function createModulePolicy(plan: ModulePolicyPlan, module: PublicPolicy, route: PolicyRoute): ModulePolicy {
  const { plan: whole } = route.resources;
  const destinations: Destinations = new Map(plan.upstreams.map((name) => [name, whole.upstreams.findIndex((each) => each.name === name)]));
  const own = route.slot<PolicyExchange>();
  let slots = 0;
  const slot = <T>(): Slot<T> => {
    const index = slots++;
    // Of the policy itself: what it was given is what it gives back.
    return {
      get: (x) => PolicyExchange.kept(x as PolicyExchange, index) as T | undefined,
      set: (x, value) => PolicyExchange.keep(x as PolicyExchange, index, value),
    };
  };
  const path = whole.routes.find((each) => each.name === route.name)?.match.paths[0] ?? "";
  const facts = { name: route.name, path, parameters: route.paramNames, methods: route.methods, slot };
  try {
    const hooks = module.create(frozen(plan.with), facts);
    return new RunningPolicy(plan, hooks, { own, destinations }).parts();
  } catch (error) {
    throw new Error(`route ${route.name}: policy ${plan.name} (${plan.file}): ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

interface Surroundings {
  readonly own: ExchangeSlot<PolicyExchange>;
  readonly destinations: Destinations;
}

class RunningPolicy {
  readonly #plan: ModulePolicyPlan;
  readonly #hooks: Hooks;
  readonly #around: Surroundings;

  constructor(plan: ModulePolicyPlan, hooks: Hooks, around: Surroundings) {
    this.#plan = plan;
    this.#hooks = hooks;
    this.#around = around;
  }

  /** With those hooks only that the module has: a route pays for no other. */
  parts(): ModulePolicy {
    const { onRequest, onUpstreamRequest, onUpstreamFailure, onResponse, responseBody, onFinish, cacheKey } = this.#hooks;
    const { name, phase } = this.#plan;
    const setsHeaders = onRequest !== undefined && phase === "origin";
    const policy: Policy = {
      name,
      phase,
      ...(onRequest === undefined ? {} : { onRequest: (x) => this.#onRequest(x) }),
      ...(onUpstreamRequest === undefined && !setsHeaders && responseBody === undefined
        ? {}
        : { onUpstreamRequest: (x, request) => this.#onUpstreamRequest(x, request) }),
      ...(onUpstreamFailure === undefined ? {} : { onUpstreamFailure: (x, failure) => this.#onUpstreamFailure(x, failure) }),
      ...(onResponse === undefined && responseBody === undefined ? {} : { onResponse: (x, head) => this.#onResponse(x, head) }),
      ...(onFinish === undefined ? {} : { onFinish: (x) => this.#onFinish(x) }),
    };
    const filter: OpenFilter | null = responseBody === undefined ? null : (x, head) => this.#filterOf(x, head);
    return { policy, filter, cacheKey: cacheKey === undefined ? null : (x) => cacheKey.call(this.#hooks, this.#seen(x)) };
  }

  #seen(x: Exchange): PolicyExchange {
    const { own, destinations } = this.#around;
    let seen = own.get(x);
    if (seen === undefined) own.set(x, (seen = new PolicyExchange(x, destinations)));
    return seen;
  }

  #failed(x: Exchange, hook: string, error: unknown): Reply {
    const { name, file, slot } = this.#plan;
    x.runtime.services.policies.failed(slot, `policy ${name} (${file}) failed in ${hook}`, { error, requestId: x.requestId });
    return FAILED;
  }

  #onRequest(x: Exchange): Reply | undefined | Promise<Reply | undefined> {
    const { slot, phase } = this.#plan;
    const { policies } = x.runtime.services;
    const seen = this.#seen(x);
    PolicyExchange.begin(seen, phase === "origin");
    const enteredMs = policies.enter(slot);
    let leftMs = enteredMs;
    let answer: MaybeAnswer | Promise<MaybeAnswer>;
    try {
      answer = this.#hooks.onRequest?.(seen);
    } catch (error) {
      return this.#failed(x, "onRequest", error);
    } finally {
      leftMs = policies.leave(slot, enteredMs);
    }
    if (answer === undefined) return undefined;
    if (isThenable(answer)) return this.#settled(x, answer, leftMs);
    return this.#reply(x, "onRequest", answer);
  }

  async #settled(x: Exchange, pending: PromiseLike<MaybeAnswer>, sinceMs: number): Promise<Reply | undefined> {
    try {
      return this.#reply(x, "onRequest", await pending);
    } catch (error) {
      // Aborted because nobody waits any more: no failure of the policy's.
      return x.signal.aborted ? FAILED : this.#failed(x, "onRequest", error);
    } finally {
      x.runtime.services.policies.waited(this.#plan.slot, sinceMs);
    }
  }

  #reply(x: Exchange, hook: string, answer: unknown): Reply | undefined {
    try {
      return replyOf(answer);
    } catch (error) {
      return this.#failed(x, hook, error);
    }
  }

  #onUpstreamRequest(x: Exchange, request: Parameters<NonNullable<Policy["onUpstreamRequest"]>>[1]): void {
    const { slot } = this.#plan;
    const { onUpstreamRequest, responseBody } = this.#hooks;
    const seen = this.#seen(x);
    PolicyExchange.attempt(seen, request);
    try {
      if (responseBody !== undefined) askForPlainBody(request.headers);
      if (onUpstreamRequest === undefined) return;
      const { policies } = x.runtime.services;
      const enteredMs = policies.enter(slot);
      try {
        onUpstreamRequest.call(this.#hooks, seen);
      } catch (error) {
        this.#failed(x, "onUpstreamRequest", error);
        throw new PolicyFailure(`policy ${this.#plan.name} failed in onUpstreamRequest`);
      } finally {
        policies.leave(slot, enteredMs);
      }
    } finally {
      PolicyExchange.attempt(seen, null);
    }
  }

  #onUpstreamFailure(x: Exchange, failure: CallFailure): Reply | undefined {
    const { onUpstreamFailure } = this.#hooks;
    if (onUpstreamFailure === undefined) return undefined;
    const seen = this.#seen(x);
    PolicyExchange.fail(seen, failure);
    return this.#timed(x, "onUpstreamFailure", () => onUpstreamFailure.call(this.#hooks, seen));
  }

  #onResponse(x: Exchange, head: Parameters<NonNullable<Policy["onResponse"]>>[1]): Reply | undefined {
    const { onResponse, responseBody } = this.#hooks;
    const seen = this.#seen(x);
    PolicyExchange.respond(seen, head);
    try {
      const answer = onResponse === undefined ? undefined : this.#timed(x, "onResponse", () => onResponse.call(this.#hooks, seen));
      if (answer !== undefined || responseBody === undefined) return answer;
      return this.#timed(x, "responseBody", () => {
        seen.changesBody = head.fromUpstream && !isEventStream(head.headers) && (responseBody.applies?.(seen) ?? true);
        const refusal = seen.changesBody ? bodyRefusal(head, responseBody.maxBytes) : "";
        if (refusal !== "") throw new Error(refusal);
      });
    } finally {
      PolicyExchange.respond(seen, null);
    }
  }

  #filterOf(x: Exchange, head: Parameters<OpenFilter>[1]): ReturnType<OpenFilter> {
    const { responseBody } = this.#hooks;
    const seen = this.#seen(x);
    if (responseBody === undefined || !seen.changesBody || !head.fromUpstream) return null;
    return WholeBodyFilter.open(head, responseBody.maxBytes, {
      change: (body) => {
        PolicyExchange.respond(seen, head);
        const { policies } = x.runtime.services;
        const enteredMs = policies.enter(this.#plan.slot);
        try {
          return responseBody.change(body, seen);
        } finally {
          policies.leave(this.#plan.slot, enteredMs);
          PolicyExchange.respond(seen, null);
        }
      },
      failed: (error) => {
        this.#failed(x, "responseBody", error);
        return new PolicyFailure(`policy ${this.#plan.name} failed in responseBody`);
      },
    });
  }

  #onFinish(x: Exchange): void {
    this.#timed(x, "onFinish", () => {
      const given: unknown = this.#hooks.onFinish?.(this.#seen(x));
      if (isThenable(given)) given.then(undefined, (error: unknown) => this.#failed(x, "onFinish", error));
    });
  }

  #timed(x: Exchange, hook: string, call: () => MaybeAnswer): Reply | undefined {
    const { slot } = this.#plan;
    const { policies } = x.runtime.services;
    const enteredMs = policies.enter(slot);
    try {
      const answer: unknown = call();
      return answer === undefined ? undefined : replyOf(answer);
    } catch (error) {
      return this.#failed(x, hook, error);
    } finally {
      policies.leave(slot, enteredMs);
    }
  }
}

/** What would give a part of the body, or a coding of it. */
function askForPlainBody(headers: string[]): void {
  setHeader(headers, "accept-encoding", "identity");
  removeHeader(headers, "range");
  removeHeader(headers, "if-range");
}

function isEventStream(headers: readonly string[]): boolean {
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === "content-type") return /^\s*text\/event-stream\s*(;|$)/i.test(headers[i + 1] ?? "");
  return false;
}

const isThenable = (value: unknown): value is PromiseLike<never> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";

// Owns a route with limits for tests: a real table on a clock that the test turns, real metric cells, and requests that go the whole way.

import type { Identity } from "../../src/data/exchange/identity/identity.ts";
import type { Policy, Reply, ResponseHead } from "../../src/data/exchange/policy.ts";
import type { PolicyRoute } from "../../src/data/exchange/route-context.ts";
import type { Plan, TierPlan } from "../../src/plan/plan.ts";
import { LimitTable } from "../../src/shared/limit-table.ts";
import type { LimitOutcome } from "../../src/shared/metric-layout.ts";
import { buildPolicy, policyRoute, type RequestSketch, responseHead, TestExchange } from "./exchange.ts";

export interface RouteWithLimits {
  readonly table: LimitTable;
  readonly policy: Policy;
  /** `LABEL outcome`, in order. */
  readonly outcomes: string[];
  /** A whole request. @returns the refusal, or the head of the answer */
  request(sketch?: RequestSketch & { readonly identity?: Identity | null }, answer?: Parameters<typeof responseHead>[0]): Passage;
  /** A request that goes on until it is finished. */
  begin(sketch?: RequestSketch & { readonly identity?: Identity | null }): { readonly reply: Reply | undefined; finish(): void };
}

export interface Passage {
  readonly reply: Reply | undefined;
  readonly code: string;
  readonly head: ResponseHead;
  readonly x: TestExchange;
  header(name: string): string | undefined;
}

/** Resources that the policy rateLimit takes: its table, its key. */
export function limitResources(
  options: {
    readonly table?: LimitTable;
    readonly tiers?: readonly TierPlan[];
    readonly labels?: readonly string[];
    record?(slot: number, outcome: LimitOutcome): void;
  } = {},
): PolicyRoute["resources"] {
  const { resources } = policyRoute();
  const limitSlots = Object.fromEntries((options.labels ?? []).map((label, i) => [label, i + 2]));
  return {
    ...resources,
    plan: {
      ...resources.plan,
      tiers: options.tiers ?? [],
      limitSlots,
      decisionSlots: {},
      upstreams: [{ name: "users" }] as unknown as Plan["upstreams"],
    },
    services: {
      ...resources.services,
      limits: options.table ?? new LimitTable(LimitTable.allocate(4096, 2, 0), 0),
      limitHashKey: new Uint8Array(16),
      recordLimit: (slot, outcome) => options.record?.(slot, outcome),
    },
  };
}

export const caller = (consumer: string, changes: Partial<Identity> = {}): Identity => ({
  consumer,
  authenticator: "keys",
  tier: null,
  scopes: [],
  roles: [],
  groups: [],
  partial: false,
  claims: null,
  expiresMs: Number.POSITIVE_INFINITY,
  ...changes,
});

/** @param labels of the limits' parts, to see what is counted */
export function routeWithLimits(
  written: readonly unknown[],
  options: {
    readonly table?: LimitTable;
    readonly tiers?: readonly TierPlan[];
    readonly labels?: readonly string[];
    readonly name?: string;
    readonly paramNames?: readonly string[];
  } = {},
): RouteWithLimits {
  const name = options.name ?? "test";
  const labels = options.labels ?? [];
  const table = options.table ?? new LimitTable(LimitTable.allocate(4096, 2, 0), 0);
  const outcomes: string[] = [];
  const resources = limitResources({
    table,
    tiers: options.tiers ?? [],
    labels: labels.map((label) => `${name} ${label}`),
    record: (slot, outcome) => outcomes.push(`${labels[slot - 2] ?? "?"} ${outcome}`),
  });
  const policy = buildPolicy("rateLimit", written, { name, paramNames: options.paramNames ?? [], resources });
  const open = (sketch: RequestSketch & { readonly identity?: Identity | null }) => {
    const x = new TestExchange(sketch);
    const early = policy.onRequest?.(x);
    x.identity = sketch.identity ?? null;
    const reply = early ?? policy.onIdentified?.(x);
    if (reply instanceof Promise) throw new Error("a limit waits");
    return { x, reply };
  };
  return {
    table,
    policy,
    outcomes,
    request(sketch = {}, answer = {}) {
      const { x, reply } = open(sketch);
      const own = reply?.kind === "problem" ? { fromUpstream: false, headers: [...(reply.headers ?? [])] } : {};
      const head = { ...responseHead(answer), ...own };
      policy.onResponse?.(x, head);
      policy.onFinish?.(x);
      const header = (wanted: string): string | undefined => {
        const at = head.headers.findIndex((each, i) => i % 2 === 0 && each === wanted);
        return at < 0 ? undefined : head.headers[at + 1];
      };
      return { reply, code: reply?.kind === "problem" ? reply.code : "passed", head, x, header };
    },
    begin(sketch = {}) {
      const { x, reply } = open(sketch);
      return { reply, finish: () => policy.onFinish?.(x) };
    },
  };
}

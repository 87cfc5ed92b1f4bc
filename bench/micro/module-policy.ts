// Measures what a policy of the user's own costs a request by itself: an empty one, with one hook and with all that an exchange goes through.
import type { Policy as PublicPolicy } from "../../policy/index.d.ts";
import { PolicyMeter } from "../../src/data/exchange/policy-meter.ts";
import type { Services } from "../../src/data/exchange/runtime.ts";
import { createModulePolicy } from "../../src/data/policies/module/policy.ts";
import type { ModulePolicyPlan } from "../../src/plan/module-plan.ts";
import { MetricCells, metricBytes } from "../../src/shared/metric-cells.ts";
import { policyRoute, TestExchange } from "../../test/support/exchange.ts";
import type { Micro } from "./measure.ts";

const PLAN: ModulePolicyPlan = {
  url: "sluice-policy:x/p.ts",
  file: "./p.ts",
  name: "empty",
  phase: "origin",
  hooks: [],
  upstreams: [],
  with: undefined,
  slot: 2,
};

function running(hooks: ReturnType<PublicPolicy["create"]>) {
  const plan = { upstreams: [], routes: [] };
  const route = policyRoute({ resources: { plan } as never }); // all that is looked at
  const { policy } = createModulePolicy(PLAN, { name: "empty", phase: "origin", create: () => hooks }, route);
  return policy;
}

function exchange(): TestExchange {
  const policies = new PolicyMeter(new MetricCells(new SharedArrayBuffer(metricBytes())), new Int32Array(1), () => {});
  return new TestExchange({ services: { policies } as unknown as Services }); // all that a policy reaches
}

/** For run.ts. Each includes the exchange's slot being emptied, as of a new request. */
export const MICRO: readonly Micro[] = [
  {
    name: "an empty onRequest",
    prepare: () => {
      const policy = running({ onRequest() {} });
      const x = exchange();
      return (count) => {
        let passed = 1;
        for (let i = 0; i < count; i++) {
          x.slots = null;
          if (policy.onRequest?.(x) === undefined) passed++;
        }
        return passed;
      };
    },
  },
  {
    name: "an empty onRequest, onUpstreamRequest, onResponse and onFinish",
    prepare: () => {
      const policy = running({ onRequest() {}, onUpstreamRequest() {}, onResponse() {}, onFinish() {} });
      const x = exchange();
      const request = { method: "GET", path: "/", headers: [] };
      const head = { status: 200, headers: [], length: 0, hasBody: true, fromUpstream: true };
      return (count) => {
        let passed = 1;
        for (let i = 0; i < count; i++) {
          x.slots = null;
          if (policy.onRequest?.(x) === undefined) passed++;
          policy.onUpstreamRequest?.(x, request);
          if (policy.onResponse?.(x, head) === undefined) passed++;
          policy.onFinish?.(x);
        }
        return passed;
      };
    },
  },
];

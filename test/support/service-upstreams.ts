// Owns the upstreams of a plan brought to life in one thread, with real pools and breakers and whoever drives them, for tests of what asks a service.
import { monotonicMs } from "../../src/base/clock.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { BreakerControl } from "../../src/control/breakers/breaker-control.ts";
import type { LiveUpstream } from "../../src/data/upstream/select.ts";
import { createUpstream } from "../../src/data/upstream/select.ts";
import { H1Pool } from "../../src/data/upstream/transport/http1/pool.ts";
import type { EndpointPlan, Plan } from "../../src/plan/plan.ts";
import { BreakerAdmin } from "../../src/shared/breaker-admin.ts";
import { BreakerTable } from "../../src/shared/breaker-table.ts";
import { TargetHealth } from "../../src/shared/target-health.ts";

export class ServiceUpstreams implements Disposable {
  readonly list: readonly LiveUpstream[];
  readonly #control: BreakerControl;

  /** @param plan compiled with a slot for each breaker */
  constructor(plan: Plan, wheel: TimerWheel = new TimerWheel()) {
    const table = BreakerTable.allocate(1);
    const health = TargetHealth.allocate(1);
    const breakers = new BreakerTable(table, 0);
    let slot = 0;
    const endpoints = new Map(plan.upstreams.map(({ name, targets }) => [name, targets.map(({ url }) => endpointOf(url, slot++))]));
    this.list = plan.upstreams.map((upstream) =>
      createUpstream(upstream, endpoints.get(upstream.name) ?? [], {
        health: new TargetHealth(health, 0),
        breakers,
        poolFor: (endpoint, of) => new H1Pool(endpoint, of, wheel),
        retire: ({ pool }) => pool.close(),
        now: monotonicMs,
        random: Math.random,
      }),
    );
    const silent = (): void => {};
    this.#control = new BreakerControl({
      admin: new BreakerAdmin(table),
      log: { debug: silent, info: silent, warn: silent, error: silent },
    });
    this.#control.update(plan, endpoints);
  }

  [Symbol.dispose](): void {
    this.#control.stop();
    for (const upstream of this.list) upstream.setEndpoints([]);
  }
}

/** Of a target that needs no name server. */
function endpointOf(target: string, slot: number): EndpointPlan {
  const { protocol, hostname, port, host } = new URL(target);
  const tls = protocol === "https:";
  const address = hostname === "localhost" ? "127.0.0.1" : hostname.replace(/^\[|\]$/g, "");
  return {
    key: target,
    slot,
    tls,
    address,
    port: Number(port === "" ? (tls ? 443 : 80) : port),
    authority: host,
    weight: 1,
    sinceMs: -1e9,
  };
}

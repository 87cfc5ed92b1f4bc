// Owns what policies of the user's own cost during a bench: read from the metrics of the gateway that it started, before and behind the load. Pure.

/** Of one policy since the gateway started. */
interface PolicyTimes {
  readonly calls: number;
  readonly seconds: number;
}

export interface PolicyCost {
  readonly policy: string;
  /** Of its hooks, for each answer. */
  readonly callsPerAnswer: number;
  /** Time in them, in which the worker did nothing else; microseconds. */
  readonly microsPerAnswer: number;
}

const SAMPLE = /^sluice_policy_(calls|seconds)_total\{policy="([^"]+)"\} (\S+)$/gm;

/** @param page of /metrics */
export function policyTimes(page: string): ReadonlyMap<string, PolicyTimes> {
  const times = new Map<string, PolicyTimes>();
  for (const [, what = "", policy = "", value = ""] of page.matchAll(SAMPLE))
    times.set(policy, { ...(times.get(policy) ?? { calls: 0, seconds: 0 }), [what]: Number(value) });
  return times;
}

/** @param answers that came in between */
export function policyCosts(before: string, after: string, answers: number): readonly PolicyCost[] {
  if (answers === 0) return [];
  const earlier = policyTimes(before);
  return [...policyTimes(after)].map(([policy, { calls, seconds }]) => {
    const was = earlier.get(policy) ?? { calls: 0, seconds: 0 };
    return { policy, callsPerAnswer: (calls - was.calls) / answers, microsPerAnswer: ((seconds - was.seconds) * 1e6) / answers };
  });
}

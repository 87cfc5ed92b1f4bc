// Owns what a comparison of two builds says: the 95 % interval of the median ratio, beside the same of a build with itself, against a bar. Pure.
import type { Case, Sample } from "../cases/case.ts";
import { type InRound, median, ratiosInRounds } from "../measure/statistics.ts";

/** A median and its 95 % interval. */
export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** How many values. */
  readonly count: number;
}

/** Below this many rounds an interval says little, however narrow it is. */
export const ROUNDS_MIN = 15;
const RESAMPLES = 2000;

/** One setup of a case: `new` over `old`, and `old` over itself. */
export interface Verdict {
  /** '' for the case's own setup. */
  readonly suffix: string;
  readonly ratio: Interval;
  readonly same: Interval;
}

/** Ours only, three times in every setup that the case has for it: the old build, the old build again, the new one. */
export function pairOf(wanted: Case): Case {
  const contenders = wanted.contenders
    .filter(({ peer }) => peer === "sluice")
    .flatMap(({ label, setup }) => {
      const suffix = label.replace(/^sluice/, "");
      const of = (name: string, peer: string) => ({ label: `${name}${suffix}`, peer, setup, baseline: `old${suffix}` });
      return [of("old", "old"), of("old again", "old"), of("new", "new")];
    });
  return { ...wanted, contenders, aims: [] };
}

/** @param pair made by {@link pairOf}. @returns one for each setup that all three were measured in */
export function verdictsOf(pair: Case, samples: readonly Sample[]): readonly Verdict[] {
  const suffixes = pair.contenders.filter(({ label }) => label.startsWith("new")).map(({ label }) => label.slice("new".length));
  return suffixes.flatMap((suffix) => {
    const ratio = intervalOf(pair, samples, [`new${suffix}`, `old${suffix}`]);
    const same = intervalOf(pair, samples, [`old again${suffix}`, `old${suffix}`]);
    return ratio === null || same === null ? [] : [{ suffix, ratio, same }];
  });
}

function intervalOf(pair: Case, samples: readonly Sample[], [label, baseline]: readonly [string, string]): Interval | null {
  const of = (wanted: string): InRound[] =>
    samples.flatMap(({ label: each, round, values }) => {
      const value = values[pair.primary];
      return each === wanted && value !== undefined ? [{ round, value }] : [];
    });
  const ratios = ratiosInRounds(of(label), of(baseline));
  return ratios.length === 0 ? null : medianInterval(ratios);
}

/**
 * The percentile bootstrap (Efron, "Bootstrap methods: another look at the jackknife", 1979). Seeded: the same values give the same interval.
 * @param values at least one, all finite
 */
export function medianInterval(values: readonly number[]): Interval {
  const next = dice();
  const medians: number[] = [];
  for (let i = 0; i < RESAMPLES; i++) medians.push(median(values.map(() => values[next(values.length)] as number))); // next() is an index
  medians.sort((a, b) => a - b);
  const at = (fraction: number): number => medians[Math.floor(fraction * (RESAMPLES - 1))] as number; // inside the list
  return { median: median(values), low: at(0.025), high: at(0.975), count: values.length };
}

/** Park and Miller, "Random number generators: good ones are hard to find", 1988. */
function dice(): (below: number) => number {
  let state = 20_261_129;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** Whether more rounds would say no more: all intervals are narrower than half the bar. @param bar a fraction: 0.03 */
export function isSettled(verdicts: readonly Verdict[], bar: number): boolean {
  return verdicts.length > 0 && verdicts.every(({ ratio }) => ratio.count >= ROUNDS_MIN && ratio.high - ratio.low < bar / 2);
}

/** @param bar a fraction */
export function verdictText({ suffix, ratio, same }: Verdict, bar: number): string {
  const words = ({ median: middle, low, high }: Interval): string => `${middle.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  const holds = ratio.high <= 1 + bar ? "holds" : ratio.low > 1 + bar ? "BROKEN" : "not shown";
  return `  new/old${suffix}: ${words(ratio)}, old/old: ${words(same)}, ${ratio.count} rounds; at most ${(bar * 100).toFixed(1)} % more: ${holds}`;
}

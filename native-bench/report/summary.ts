// Turns raw samples into the rows that every report shows: medians with their spread, ratios within rounds, aims met or missed. Pure.
import type { Aim, Metric } from "../cases/case.ts";
import { ratioSpread, type Spread, spreadOf } from "../measure/statistics.ts";
import type { CaseResult } from "./results.ts";

/** One contender's row. */
export interface Row {
  readonly label: string;
  readonly peer: string;
  readonly baseline: string;
  /** null when it was measured. */
  readonly reason: string | null;
  readonly values: Partial<Readonly<Record<Metric, Spread>>>;
  /** Of the primary metric to the baseline in the same round; null without one, or when it is the baseline itself. */
  readonly ratio: Spread | null;
}

export interface AimRow {
  readonly aim: Aim;
  readonly ratio: Spread | null;
  readonly met: boolean | null;
  /** Why it cannot be judged; '' when it can. */
  readonly reason: string;
}

export function rowsOf(result: CaseResult): readonly Row[] {
  return result.contenders.map(({ label, peer, baseline, reason }) => {
    const values: Partial<Record<Metric, Spread>> = {};
    for (const metric of new Set([...result.columns, result.primary])) {
      const spread = spreadOf(valuesOf(result, label, metric).map(({ value }) => value));
      if (spread !== null) values[metric] = spread;
    }
    return { label, peer, baseline, reason, values, ratio: label === baseline ? null : ratioOf(result, result.primary, [label, baseline]) };
  });
}

export function aimRowsOf(result: CaseResult): readonly AimRow[] {
  return result.aims.map((aim) => {
    const ratio = ratioOf(result, aim.metric, [aim.label, aim.against]);
    if (ratio !== null) return { aim, ratio, met: ratio.median <= aim.ratioMax, reason: "" };
    const missing = [aim.label, aim.against].find((label) => valuesOf(result, label, aim.metric).length === 0);
    const reason = result.contenders.find(({ label }) => label === missing)?.reason;
    return { aim, ratio: null, met: null, reason: `${missing ?? aim.label}: ${reason ?? "not measured"}` };
  });
}

function ratioOf(result: CaseResult, metric: Metric, [label, baseline]: readonly [string, string]): Spread | null {
  return ratioSpread(valuesOf(result, label, metric), valuesOf(result, baseline, metric));
}

function valuesOf(result: CaseResult, label: string, metric: Metric): readonly { readonly round: number; readonly value: number }[] {
  return result.samples.flatMap(({ label: of, round, values }) => {
    const value = values[metric];
    return of === label && value !== undefined ? [{ round, value }] : [];
  });
}

// Owns the words and numbers of a case as plain text for the terminal, and the formatting that all reports share.
import { METRICS, type Metric } from "../cases/case.ts";
import type { Spread } from "../measure/statistics.ts";
import type { CaseResult } from "./results.ts";
import { aimRowsOf, type Row, rowsOf } from "./summary.ts";

export const NOTHING = "-";

/** A number of a metric, with its unit only when asked. */
export function number(metric: Metric, value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return NOTHING;
  return value.toFixed(METRICS[metric].digits);
}

export function heading(metric: Metric): string {
  const { title, unit } = METRICS[metric];
  return unit === "" ? title : `${title}, ${unit}`;
}

/** `1.23x (1.20-1.31)` */
export function ratioText(ratio: Spread | null): string {
  if (ratio === null) return NOTHING;
  const digits = (value: number): string => value.toFixed(value < 10 ? 2 : 1);
  return `${digits(ratio.median)}x (${digits(ratio.min)}-${digits(ratio.max)})`;
}

/** `18.4 (18.1-19.0)`: of the primary metric the spread is shown too. */
export function spreadText(metric: Metric, spread: Spread | undefined): string {
  if (spread === undefined) return NOTHING;
  return `${number(metric, spread.median)} (${number(metric, spread.min)}-${number(metric, spread.max)})`;
}

/** Cells of one row, without its label. Errors are added up by their largest round: a median would hide them. */
export function cellsOf(result: CaseResult, row: Row): readonly string[] {
  return result.columns.map((metric) => {
    const spread = row.values[metric];
    if (metric === result.primary) return spreadText(metric, spread);
    return number(metric, metric === "errors" ? spread?.max : spread?.median);
  });
}

export function textOf(result: CaseResult): string {
  const rows = rowsOf(result);
  const head = ["", ...result.columns.map(heading), "ratio"];
  const body = rows
    .filter((row) => row.reason === null)
    .map((row) => [row.label, ...cellsOf(result, row), row.ratio === null ? "" : `${ratioText(row.ratio)} ${row.baseline}`]);
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((cells) => cells[column]?.length ?? 0)));
  const lines = [head, ...body].map((cells) =>
    cells
      .map((cell, column) =>
        column === 0 || column === cells.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
  const aims = aimRowsOf(result).map(
    ({ aim, ratio, met, reason }) =>
      `aim: ${aim.text}: ${met === null ? `not judged (${reason})` : `${met ? "met" : "MISSED"}, ${ratioText(ratio)}`}`,
  );
  return [...lines, ...aims].map((line) => `  ${line.trimEnd()}`).join("\n");
}

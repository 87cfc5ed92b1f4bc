// Owns the charts of the HTML report: inline SVG measured in percent of its row, so that it fits any width without scaling its text.
import { METRICS } from "../cases/case.ts";
import type { Spread } from "../measure/statistics.ts";
import type { CaseResult, PeerWords } from "./results.ts";
import { type Row, rowsOf } from "./summary.ts";
import { number, ratioText, spreadText } from "./text.ts";

/** A label or configuration as HTML text. */
export function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

type Role = PeerWords["role"];

const BAR_HEIGHT = 20;
/** The largest bar leaves room for nothing but itself. */
const FULL = 100;

/** One bar a contender: its median, its spread as a whisker, its ratio in words. */
export function barsOf(result: CaseResult, roleOf: (peer: string) => Role): string {
  const rows = rowsOf(result).filter(({ reason }) => reason === null);
  const largest = Math.max(...rows.map((row) => row.values[result.primary]?.max ?? 0));
  return `<div class="bars" role="list">${rows.map((row) => bar(result, row, { largest, role: roleOf(row.peer) })).join("")}</div>`;
}

function bar(result: CaseResult, row: Row, { largest, role }: { readonly largest: number; readonly role: Role }): string {
  const spread = row.values[result.primary];
  if (spread === undefined) return "";
  const at = (value: number): string => percent((value / largest) * FULL);
  const { unit } = METRICS[result.primary];
  const middle = BAR_HEIGHT / 2;
  const whisker =
    spread.count < 2
      ? ""
      : `<line class="whisker" x1="${at(spread.min)}" x2="${at(spread.max)}" y1="${middle}" y2="${middle}"/>` +
        [spread.min, spread.max]
          .map((end) => `<line class="whisker" x1="${at(end)}" x2="${at(end)}" y1="${middle - 4}" y2="${middle + 4}"/>`)
          .join("");
  const words = `${row.label}: ${spreadText(result.primary, spread)} ${unit}`;
  return `<div class="bar ${role}" role="listitem"><span class="name">${escaped(row.label)}</span><svg width="100%" height="${BAR_HEIGHT}" role="img" aria-label="${escaped(words)}"><title>${escaped(words)}</title><rect class="fill" x="0" y="3" width="${at(spread.median)}" height="${BAR_HEIGHT - 6}" rx="2"/>${whisker}</svg><span class="value"><b>${number(result.primary, spread.median)}</b> ${escaped(unit)}${row.ratio === null ? "" : ` <i title="${escaped(`${ratioText(row.ratio)} of ${row.baseline} in the same round`)}">${ratioShort(row.ratio)}</i>`}</span></div>`;
}

const ratioShort = ({ median }: Spread): string => `${median.toFixed(median < 10 ? 2 : 1)}×`;
const percent = (value: number): string => `${value.toFixed(2)}%`;

/** Ends of the overview's axis, as ratios; logarithmic, so that twice and half are as far from one. */
const AXIS = { min: 0.25, max: 16, ticks: [0.25, 0.5, 1, 2, 4, 8, 16] } as const;
const OVERVIEW_HEIGHT = 26;

/** Where every server stands in cases that are compared with nginx: one line a case, one dot a server. */
export function overviewOf(cases: readonly CaseResult[], roleOf: (peer: string) => Role): string {
  const lines = cases.flatMap((result) => {
    const rows = rowsOf(result).filter(({ ratio, baseline }) => ratio !== null && baseline === "nginx");
    if (rows.length === 0 || result.primary !== "micros") return [];
    // Ours last, so that it lies on top.
    const dots = rows
      .toSorted((a, b) => Number(roleOf(a.peer) === "ours") - Number(roleOf(b.peer) === "ours"))
      .map((row) => dot(row, roleOf(row.peer)));
    const ours = rows.find((row) => roleOf(row.peer) === "ours");
    const value = ours?.ratio === null || ours === undefined ? "" : `<b>${ratioShort(ours.ratio)}</b>`;
    return [
      `<div class="bar overview"><a class="name" href="#${result.name}">${escaped(result.title)}</a>${axis(dots.join(""))}<span class="value">${value}</span></div>`,
    ];
  });
  if (lines.length === 0) return "";
  const marks = AXIS.ticks.map((tick) => `<text x="${position(tick)}" y="12" text-anchor="middle">${tick}×</text>`).join("");
  const foot = `<div class="bar overview foot"><span class="name"></span><svg width="100%" height="16" aria-hidden="true">${marks}</svg><span class="value"></span></div>`;
  return `<div class="bars">${lines.join("")}${foot}</div>`;
}

function axis(content: string): string {
  const middle = OVERVIEW_HEIGHT / 2;
  const ticks = AXIS.ticks
    .map(
      (tick) =>
        `<line class="${tick === 1 ? "one" : "grid"}" x1="${position(tick)}" x2="${position(tick)}" y1="0" y2="${OVERVIEW_HEIGHT}"/>`,
    )
    .join("");
  return `<svg width="100%" height="${OVERVIEW_HEIGHT}">${ticks}<line class="grid" x1="0" x2="100%" y1="${middle}" y2="${middle}"/>${content}</svg>`;
}

function dot(row: Row, role: Role): string {
  if (row.ratio === null) return "";
  const words = `${row.label}: ${ratioText(row.ratio)} of ${row.baseline}`;
  return `<circle class="dot ${role}" cx="${position(row.ratio.median)}" cy="${OVERVIEW_HEIGHT / 2}" r="${role === "ours" ? 7 : 5}"><title>${escaped(words)}</title></circle>`;
}

function position(ratio: number): string {
  const [low, high] = [Math.log(AXIS.min), Math.log(AXIS.max)];
  const part = (Math.log(Math.min(AXIS.max, Math.max(AXIS.min, ratio))) - low) / (high - low);
  // Dots and tick labels at the ends stay inside.
  return percent(3 + part * 94);
}

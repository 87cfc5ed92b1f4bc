// The report of bench/overload.ts: the table, and the cases over time as pictures of limit, goodput and p99. One HTML file that needs nothing else.
import { escaped } from "../../native-bench/report/chart.ts";
import { STYLE } from "../../native-bench/report/style.ts";

export interface Row {
  readonly gateway: string;
  readonly name: string;
  readonly text: string;
}

/** Values at the bins of one case; NaN where there is none. */
export interface Series {
  readonly name: string;
  readonly values: readonly number[];
}

export interface Picture {
  readonly title: string;
  readonly words: string;
  readonly binMs: number;
  /** When something changes, s, and what. */
  readonly marks: readonly { readonly atS: number; readonly text: string }[];
  readonly charts: readonly { readonly title: string; readonly lines: readonly Series[] }[];
}

const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [900, 130, 52, 8, 20] as const;
const COLOURS = ["var(--ours)", "var(--bad)", "var(--good)", "var(--quiet)"];

function chartOf({ title, lines }: Picture["charts"][number], { binMs, marks }: Picture): string {
  const bins = Math.max(...lines.map(({ values }) => values.length));
  const most = niceAbove(Math.max(1, ...lines.flatMap(({ values }) => values.filter(Number.isFinite))));
  const x = (bin: number): string => (LEFT + (bin / bins) * (WIDTH - LEFT)).toFixed(1);
  const y = (value: number): string => (TOP + (1 - value / most) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const path = (values: readonly number[]): string => {
    let text = "";
    for (const [bin, value] of values.entries())
      if (Number.isFinite(value)) text += `${text !== "" && Number.isFinite(values[bin - 1]) ? "L" : "M"}${x(bin + 0.5)} ${y(value)}`;
    return text;
  };
  const grid = [0, most / 2, most].map(
    (value) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH}" y1="${y(value)}" y2="${y(value)}"/><text x="${LEFT - 8}" y="${Number(y(value)) + 4}" text-anchor="end">${value}</text>`,
  );
  const seconds = (bins * binMs) / 1000;
  const every = seconds > 120 ? 60 : 5;
  for (let s = 0; s <= seconds - every / 2; s += every)
    grid.push(`<text x="${x((s * 1000) / binMs)}" y="${HEIGHT - 4}" text-anchor="middle">${s} s</text>`);
  const changes = marks.map(({ atS, text }) => {
    const at = x((atS * 1000) / binMs);
    return `<line class="whisker" x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke-dasharray="3 3"/><text x="${Number(at) + 4}" y="${TOP + 9}">${escaped(text)}</text>`;
  });
  const drawn = lines.map(
    ({ name, values }, i) =>
      `<path d="${path(values)}" fill="none" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="1.8"><title>${escaped(name)}</title></path>`,
  );
  const keys =
    lines.length < 2
      ? ""
      : lines.map(({ name }, i) => `<span style="color:${COLOURS[i % COLOURS.length]}">${escaped(name)}</span>`).join(" ");
  return `<h3>${escaped(title)} ${keys}</h3><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="100%" role="img" aria-label="${escaped(title)}">${grid.join("")}${changes.join("")}${drawn.join("")}</svg>`;
}

/** 1, 2 or 5 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const times of [1, 2, 5]) if (times * power >= value) return times * power;
  return 10 * power;
}

export function reportOf(title: string, rows: readonly Row[], pictures: readonly Picture[]): string {
  const gateways = [...new Set(rows.map(({ gateway }) => gateway))];
  const names = [...new Set(rows.map(({ name }) => name))];
  const cell = (gateway: string, name: string): string =>
    escaped(rows.find((row) => row.gateway === gateway && row.name === name)?.text ?? "-");
  const table = `<div class="scroll"><table><thead><tr><th>offered</th>${gateways.map((each) => `<th>${escaped(each)}</th>`).join("")}</tr></thead><tbody>${names
    .map((name) => `<tr><th>${escaped(name)}</th>${gateways.map((each) => `<td>${cell(each, name)}</td>`).join("")}</tr>`)
    .join("")}</tbody></table></div>`;
  const sections = pictures.map(
    (each) =>
      `<section><h2>${escaped(each.title)}</h2><p class="quiet">${escaped(each.words)}</p>${each.charts.map((chart) => chartOf(chart, each)).join("")}</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(title)}</title><style>${STYLE} svg text { fill: var(--quiet); font-size: 11px; }</style></head>
<body><header><h1>Overload</h1><p class="lead">${escaped(title)}</p></header>
<main>${rows.length === 0 ? "" : `<section><h2>Good answers a second, and p99 of those let through</h2>${table}</section>`}${sections.join("\n")}</main>
<footer>Repeat it: <code>node bench/overload.ts --report FILE</code>.</footer></body></html>
`;
}

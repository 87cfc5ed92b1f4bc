// Owns the HTML report: one file that needs nothing else, in light and dark, on any width.
import { METRICS } from "../cases/case.ts";
import { barsOf, escaped, overviewOf } from "./chart.ts";
import { verdictOf } from "./markdown.ts";
import type { CaseResult, PeerWords, Results } from "./results.ts";
import { STYLE } from "./style.ts";
import { aimRowsOf, rowsOf } from "./summary.ts";
import { cellsOf, heading, ratioText } from "./text.ts";

export function htmlOf(results: Results, rawFile: string): string {
  const roleOf = (peer: string): PeerWords["role"] => results.peers.find(({ name }) => name === peer)?.role ?? "peer";
  const overview = overviewOf(results.cases, roleOf);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice: what a request costs (${escaped(results.commit)})</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>What a request costs</h1>
<p class="lead">Sluice beside other servers, in one run on one machine.</p>
${factsOf(results)}
</header>
<main>
${overview === "" ? "" : `<section><h2>CPU time a request, as a multiple of nginx's</h2>${legend(true)}${overview}</section>`}
${aimsOf(results.cases)}
${READING}
${results.cases.map((each) => sectionOf(each, results, roleOf)).join("\n")}
${serversOf(results.peers)}
</main>
<footer>Raw samples: <code>${escaped(rawFile)}</code>. Repeat it: <code>npm run native-bench</code>.</footer>
</body>
</html>
`;
}

function factsOf({ date, commit, machine }: Results): string {
  const facts: readonly (readonly [string, string])[] = [
    ["Date", `${date.slice(0, 16).replace("T", " ")} UTC`],
    ["Commit", commit],
    ["Processor", `${machine.cpu}, ${machine.cores} cores`],
    ["Memory", `${(machine.memoryMiB / 1024).toFixed(1)} GiB`],
    ["System", `${machine.system}, Linux ${machine.kernel}`],
    ["Node", machine.node],
    ["Load before", machine.loadBefore.toFixed(2)],
  ];
  return `<dl class="facts">${facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escaped(value)}</dd></div>`).join("")}</dl>`;
}

const legend = (dots: boolean): string =>
  `<p class="legend"><span class="ours"><span class="key"></span>Sluice</span><span class="peer"><span class="key"></span>other servers</span><span class="floor"><span class="key"></span>floors: programs that do less than a gateway must</span>${dots ? "<span>left of 1× is cheaper than nginx</span>" : ""}</p>`;

const READING = `<section class="reading"><h2>How to read it</h2>
<p>Each server has one worker unless the case says otherwise, an equivalent configuration, and the same origin. Rounds are interleaved, and in each another server begins.</p>
<p><b>CPU time a request</b> is the number to look at: user and system time of all of a server's processes, divided by the requests it answered. Load, origin and server share the machine's cores, so throughput and closed-loop latency say little about the server alone.</p>
<p>Bars are medians over the rounds, whiskers reach from the smallest to the largest. A ratio is taken within each round, so that what disturbs a whole round falls out; its median is shown.</p></section>`;

function aimsOf(cases: readonly CaseResult[]): string {
  const rows = cases.flatMap((each) =>
    aimRowsOf(each).map((row) => {
      const [measured, verdict] = verdictOf(row);
      const kind = row.met === null ? "open" : row.met ? "met" : "missed";
      const mark = { open: "○", met: "✓", missed: "✗" }[kind];
      return `<tr><td><a href="#${each.name}">${escaped(each.title)}</a></td><td>${escaped(row.aim.text)}</td><td>${escaped(measured)}</td><td class="verdict ${kind}">${mark} ${verdict}</td></tr>`;
    }),
  );
  if (rows.length === 0) return "";
  return `<section><h2>What was promised</h2><div class="scroll"><table class="aims"><thead><tr><th>Case</th><th>Aim</th><th>Measured</th><th></th></tr></thead><tbody>${rows.join("")}</tbody></table></div></section>`;
}

function sectionOf(result: CaseResult, results: Results, roleOf: (peer: string) => PeerWords["role"]): string {
  const rows = rowsOf(result);
  const measured = rows.filter(({ reason }) => reason === null);
  const head = ["", ...result.columns.map(heading), "ratio"].map((text) => `<th>${escaped(text)}</th>`).join("");
  const body = measured
    .map((row) => {
      const ratio = row.ratio === null ? "" : ratioText(row.ratio);
      return `<tr class="${roleOf(row.peer)}"><th>${escaped(row.label)}</th>${[...cellsOf(result, row), ratio].map((cell, column) => `<td${result.columns[column] === "errors" && Number(cell) > 0 ? ' class="bad"' : ""}>${escaped(cell)}</td>`).join("")}</tr>`;
    })
    .join("");
  const missing = rows
    .filter(({ reason }) => reason !== null)
    .map(({ label, reason }) => `<li><b>${escaped(label)}</b>: ${escaped(reason?.split("\n")[0] ?? "")}</li>`);
  const when =
    result.commit === results.commit && result.date === results.date
      ? ""
      : ` Measured ${result.date.slice(0, 10)} at commit ${escaped(result.commit)}.`;
  const length = result.primary === "rss" ? "" : ` of ${result.seconds} s`;
  const chart = measured.length === 0 ? "" : `<h3>${escaped(METRICS[result.primary].title)}</h3>${barsOf(result, roleOf)}`;
  const table =
    measured.length === 0 ? "" : `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
  return `<section id="${result.name}"><h2>${escaped(result.title)}</h2><p>${escaped(result.about)} <span class="quiet">${result.rounds} ${result.rounds === 1 ? "round" : "rounds"}${length}.${when}</span></p>${chart}${table}${missing.length === 0 ? "" : `<p class="quiet">Not run:</p><ul class="quiet">${missing.join("")}</ul>`}${configurationsOf(result)}</section>`;
}

function configurationsOf(result: CaseResult): string {
  const shown = result.contenders.filter(({ configuration }) => configuration !== "");
  if (shown.length === 0) return "";
  return `<details><summary>Configurations</summary>${shown.map(({ label, configuration }) => `<h4>${escaped(label)}</h4><pre>${escaped(configuration.trim())}</pre>`).join("")}</details>`;
}

function serversOf(peers: readonly PeerWords[]): string {
  const rows = peers.map(({ title, version, role, note }) => {
    const words = [role === "floor" ? "floor" : "", note].filter((part) => part !== "").join(": ");
    return `<tr class="${role}"><th>${escaped(title)}</th><td>${escaped(version)}</td><td class="words">${escaped(words)}</td></tr>`;
  });
  return `<section><h2>Servers</h2><div class="scroll"><table><thead><tr><th></th><th>Version</th><th class="words">Note</th></tr></thead><tbody>${rows.join("")}</tbody></table></div></section>`;
}

// Owns the Markdown report: the same numbers as the HTML one, for reading beside the code.
import { METRICS } from "../cases/case.ts";
import type { CaseResult, Results } from "./results.ts";
import { type AimRow, aimRowsOf, rowsOf } from "./summary.ts";
import { cellsOf, heading, ratioText } from "./text.ts";

export function markdownOf(results: Results): string {
  const { machine, date, commit } = results;
  return [
    "# What a request costs: Sluice beside other servers",
    `${date.slice(0, 16).replace("T", " ")} UTC, commit ${commit}. ${machine.cpu}, ${machine.cores} cores, ${machine.memoryMiB} MiB, ${machine.system}, Linux ${machine.kernel}, Node ${machine.node}; load average before the run ${machine.loadBefore.toFixed(2)}.`,
    READING,
    "## What was promised",
    table(
      ["case", "aim", "measured", ""],
      results.cases.flatMap((each) => aimRowsOf(each).map((row) => [each.title, row.aim.text, ...verdictOf(row)])),
    ),
    ...results.cases.map((each) => caseOf(each, results)),
    "## Servers",
    table(
      ["server", "version", "note"],
      results.peers.map(({ title, version, role, note }) => [
        title,
        version,
        [role === "floor" ? "floor" : "", note].filter((part) => part !== "").join(": "),
      ]),
    ),
  ].join("\n\n");
}

const READING =
  "Each server has one worker (unless the case says otherwise), an equivalent configuration, and the same origin. Rounds are interleaved, and in each another server begins. The number to look at is CPU time a request: load generator, origin and server share the machine's cores, so throughput and closed-loop latency say little. Values are medians over the rounds, with smallest and largest in parentheses; a ratio is taken within each round, and its median is shown. RSS counts shared pages in each process.";

function caseOf(result: CaseResult, results: Results): string {
  const rows = rowsOf(result);
  const measured = rows.filter(({ reason }) => reason === null);
  const other =
    result.commit === results.commit && result.date === results.date
      ? ""
      : ` Measured ${result.date.slice(0, 10)} at commit ${result.commit}.`;
  const parts = [
    `## ${result.title}`,
    `${result.about} ${result.rounds} rounds${result.primary === "rss" ? "" : ` of ${result.seconds} s`}.${other}`,
    table(
      ["", ...result.columns.map(heading), `ratio of ${METRICS[result.primary].title}`],
      measured.map((row) => [row.label, ...cellsOf(result, row), row.ratio === null ? "" : `${ratioText(row.ratio)} ${row.baseline}`]),
    ),
    ...rows.filter(({ reason }) => reason !== null).map(({ label, reason }) => `- ${label}: not run; ${reason?.split("\n")[0]}`),
  ];
  return parts
    .join("\n\n")
    .replaceAll(/\n\n(?=- )/g, "\n")
    .replace("|\n- ", "|\n\n- ");
}

/** What was measured, and the verdict. */
export function verdictOf({ ratio, met, reason }: AimRow): readonly [string, string] {
  if (met === null) return [reason, "not judged"];
  return [ratioText(ratio), met ? "met" : "missed"];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map((_, column) => (column === 0 ? " --- " : " ---: ")).join("|")}|`, ...rows.map(line)].join("\n");
}

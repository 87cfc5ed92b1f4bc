// Owns `sluice bench`: loads the operator's own configuration, drives its routes, and says what that took.
import { OperatorError } from "../../base/errors.ts";
import { formatProblem } from "../../control/config/source/problem.ts";
import { parseBenchArguments } from "../bench/bench-arguments.ts";
import { BenchGateway } from "../bench/bench-gateway.ts";
import { benchReport, benchText } from "../bench/bench-report.ts";
import { benchRequests } from "../bench/bench-requests.ts";
import { runLoad } from "../bench/load.ts";
import { refuseRemote, remoteHosts } from "../bench/loopback.ts";
import { cpuMicros, processTree, residentBytes } from "../bench/process-cost.ts";
import type { CommandIo } from "../command.ts";
import { commandConfig, planOf } from "./command-config.ts";

/** Connections are made and code is compiled before anything is counted. */
const WARM_SECONDS = 1;

/** @returns 0, or 1 when the configuration is wrong or requests failed. @throws OperatorError for wrong arguments and for a load that may not be. */
export async function benchCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const options = parseBenchArguments(argv);
  const { result, piped } = await commandConfig(options.files, io);
  if (!result.ok) {
    for (const problem of result.problems) io.stderr(`${formatProblem(problem)}\n`);
    return 1;
  }
  const plan = planOf(result.config);
  const { requests, skipped } = benchRequests(plan, options);
  if (!options.allowRemote) refuseRemote(remoteHosts(plan, new Set(requests.map(({ route }) => route)), options.target));
  if (requests.length === 0) {
    throw new OperatorError(`there is nothing to drive:\n${skipped.map(({ route, reason }) => `  ${route}: ${reason}`).join("\n")}`);
  }
  // Ended by a signal, the exit handler of the gateway ends it.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  await using gateway =
    options.target === null ? await BenchGateway.start(plan, { files: options.files, piped }, process.argv[1] ?? "") : null;
  const url = gateway?.url ?? options.target ?? new URL("http://127.0.0.1");
  const pid = gateway?.pid ?? options.pid;
  const { connections, durationSeconds, rate } = options;
  await runLoad({ url, requests, connections, durationSeconds: Math.min(WARM_SECONDS, durationSeconds), rate });
  const pids = pid === null ? [] : processTree(pid);
  const page = async (): Promise<string> => (plan.modules.length === 0 ? "" : ((await gateway?.metrics()) ?? ""));
  const pageBefore = await page();
  const before = cpuMicros(pids);
  const load = await runLoad({ url, requests, connections, durationSeconds, rate });
  const cpu = pid === null ? null : cpuMicros(pids) - before;
  const report = benchReport(load, {
    url: url.origin,
    rate,
    connections: Math.max(connections, rate === null ? requests.length : 0),
    cpuMicros: cpu,
    metrics: [pageBefore, await page()],
    residentMiB: pid === null ? null : residentBytes(pids) / 1024 ** 2,
    skipped,
  });
  io.stdout(options.json ? `${JSON.stringify(report, null, 2)}\n` : benchText(report));
  return report.failed > 0 ? 1 : 0;
}

// Drives a server with wrk, closed loop, and reads what that cost it.
import { cpuMicros, processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { errorsOf, runWrk, type WrkOptions } from "../measure/wrk.ts";
import { askGuarded, askOnce } from "./ask-once.ts";
import type { WrkLoad } from "./case.ts";
import type { Driver } from "./driver.ts";
import type { Running, RunOptions } from "./run-case.ts";

/** Just-in-time compilers need a while; the others only need their connections. */
export const WARM_SECONDS = { ours: 2, floor: 2, peer: 1 } as const;
const MIB = 1024 ** 2;

export function wrkDriver(load: WrkLoad, { stage, seconds }: RunOptions): Driver {
  const headersFor = ({ contender: { setup } }: Running): Readonly<Record<string, string>> => ({
    ...load.headers,
    ...(setup.guarded === "" ? {} : { Authorization: `Bearer ${stage.token.bearer[setup.guarded]}` }),
  });
  const { connections, method, bodyBytes, threads } = load;
  const drive = (running: Running, forSeconds: number) => {
    const { peer, contender } = running;
    return runWrk({
      url: new URL(load.path, peer.url).href,
      seconds: forSeconds,
      connections,
      headers: headersFor(running),
      ...(method === undefined ? {} : { method }),
      ...(bodyBytes === undefined ? {} : { bodyBytes }),
      ...(threads === undefined ? {} : { threads }),
      ...(load.variedField === undefined ? {} : { variedField: load.variedField }),
      ...(load.spread === true ? { paths: { pattern: "/v1/svc-%d/users/8412", count: contender.setup.routes } } : {}),
    } satisfies WrkOptions);
  };
  return {
    check: ({ peer, contender: { setup } }) => {
      const url = new URL(load.path, peer.url);
      return setup.guarded === "" ? askOnce(url, load) : askGuarded(url, stage.token.bearer[setup.guarded], load);
    },
    warmUp: async (running) => void (await drive(running, Math.min(WARM_SECONDS[running.kind.role], seconds))),
    measure: async (running) => {
      const pids = processTree(running.peer.pid);
      const before = cpuMicros(pids);
      const result = await drive(running, seconds);
      const micros = cpuMicros(pids) - before;
      return {
        micros: micros / result.requests,
        rate: result.requests / result.seconds,
        ...result.latencyMs,
        errors: errorsOf(result),
        rss: residentBytes(pids) / MIB,
      };
    },
  };
}

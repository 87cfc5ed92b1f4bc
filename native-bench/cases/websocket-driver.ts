// Drives a server with WebSocket messages that the origin sends back, closed loop, and reads what each cost it.
import { processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { startChild } from "../measure/child.ts";
import type { WebSocketResult } from "../measure/websocket-load.ts";
import type { WebSocketLoad } from "./case.ts";
import type { Driver } from "./driver.ts";
import type { Running, RunOptions } from "./run-case.ts";
import { WARM_SECONDS } from "./wrk-driver.ts";

const MIB = 1024 ** 2;
/** Of the one connection that is tried before. */
const CHECK_SECONDS = 0.05;

export function webSocketDriver(load: WebSocketLoad, { seconds }: RunOptions): Driver {
  const drive = async ({ peer }: Running, connections: number, forSeconds: number): Promise<WebSocketResult> => {
    const args = [peer.port, connections, load.messageBytes, forSeconds, processTree(peer.pid).join(",")].map(String);
    const child = startChild("websocket-load.ts", args);
    try {
      return (await child.first) as WebSocketResult; // websocket-load.ts prints it
    } finally {
      await child.end();
    }
  };
  return {
    check: async (running) => {
      const { failed, reason } = await drive(running, 1, CHECK_SECONDS);
      return failed === 0 ? null : reason;
    },
    warmUp: async (running) => void (await drive(running, load.connections, Math.min(WARM_SECONDS[running.kind.role], seconds))),
    measure: async (running) => {
      const result = await drive(running, load.connections, seconds);
      return {
        perMessage: result.cpuMicros / result.echoed,
        messages: result.echoed / result.seconds,
        p50: result.p50,
        p99: result.p99,
        p999: result.p999,
        errors: result.failed,
        rss: residentBytes(processTree(running.peer.pid)) / MIB,
      };
    },
  };
}

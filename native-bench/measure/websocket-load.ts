// Sends messages over WebSockets, each connection the next when the one before has come back (closed loop), and reads what that costs the
// server: only the time with messages counts, not the handshakes. Bounded in time.
// Run: node websocket-load.ts PORT CONNECTIONS BYTES SECONDS PID,...; prints one line of JSON.

import { latencyHistogram, toRecord } from "../../src/cli/bench/open-loop.ts";
import { cpuMicros } from "../../src/cli/bench/process-cost.ts";
import { EchoConnection, echoMessage } from "./echo-connection.ts";

/** What websocket-load.ts prints. */
export interface WebSocketResult {
  /** Messages that came back whole. */
  readonly echoed: number;
  /** Connections that were lost, and messages that did not come back in time. */
  readonly failed: number;
  /** Why the first was lost; '' when none was. */
  readonly reason: string;
  readonly seconds: number;
  /** CPU time of the server's processes meanwhile, microseconds. */
  readonly cpuMicros: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

export interface WebSocketLoadOptions {
  readonly port: number;
  readonly connections: number;
  readonly messageBytes: number;
  readonly seconds: number;
  /** Of the server. */
  readonly pids: readonly number[];
  /** To open all connections, and for the last messages to come back; 5 s unless given. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5000;

/** @throws Error when a connection cannot be opened in time */
export async function runWebSocketLoad(options: WebSocketLoadOptions): Promise<WebSocketResult> {
  const { port, connections, messageBytes, seconds, pids, timeoutMs = TIMEOUT_MS } = options;
  const latency = latencyHistogram();
  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  let [echoed, failed, reason] = [0, 0, ""];
  let endMs = Number.POSITIVE_INFINITY;
  /** Connections whose message is under way. */
  const busy = new Set<EchoConnection>();
  const rest = (connection: EchoConnection): void => {
    busy.delete(connection);
    if (busy.size === 0) finish();
  };
  const send = (connection: EchoConnection, nowMs: number): void => {
    connection.sentMs = nowMs;
    connection.send();
  };
  const events = {
    echoed: (connection: EchoConnection): void => {
      const nowMs = performance.now();
      latency.record(toRecord(nowMs - connection.sentMs));
      echoed++;
      if (nowMs < endMs) send(connection, nowMs);
      else rest(connection);
    },
    lost: (connection: EchoConnection, why: string): void => {
      failed++;
      if (reason === "") reason = why;
      rest(connection);
    },
  };
  const message = echoMessage(messageBytes);
  const all = Array.from({ length: connections }, () => new EchoConnection({ host: "127.0.0.1", port }, message, events));
  const tooLate = setTimeout(() => {
    for (const connection of all) connection.fail(`not open within ${timeoutMs} ms`);
  }, timeoutMs);
  try {
    await Promise.all(all.map((connection) => connection.opened()));
    clearTimeout(tooLate);
    const beforeMicros = cpuMicros(pids);
    const startMs = performance.now();
    endMs = startMs + seconds * 1000;
    for (const connection of all) busy.add(connection);
    for (const connection of all) send(connection, performance.now());
    const silent = setTimeout(
      () => {
        for (const connection of busy) connection.fail(`no echo within ${timeoutMs} ms of the end`);
      },
      seconds * 1000 + timeoutMs,
    );
    await done;
    clearTimeout(silent);
    const ms = (percent: number): number => latency.percentile(percent) / 1000;
    return {
      echoed,
      failed,
      reason,
      seconds: (performance.now() - startMs) / 1000,
      cpuMicros: cpuMicros(pids) - beforeMicros,
      p50: ms(50),
      p99: ms(99),
      p999: ms(99.9),
    };
  } finally {
    clearTimeout(tooLate);
    for (const connection of all) connection.close();
  }
}

if (import.meta.main) {
  const [port, connections, messageBytes, seconds] = process.argv.slice(2, 6).map(Number) as [number, number, number, number]; // see Run
  const pids = (process.argv[6] ?? "").split(",").map(Number);
  console.log(JSON.stringify(await runWebSocketLoad({ port, connections, messageBytes, seconds, pids })));
}

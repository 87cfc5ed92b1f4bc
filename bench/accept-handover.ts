// Measures whether one thread that accepts for all and hands connections over in turns (uWebSockets.js can, undocumented) would be better than
// SO_REUSEPORT, where each worker accepts its own: how even the shares are, and what a connection costs. Bare apps, without the gateway.
// Run: node bench/accept-handover.ts [rounds] [seconds]. Needs wrk.
import { once } from "node:events";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { ratioSpread } from "../native-bench/measure/statistics.ts";
import { runWrk } from "../native-bench/measure/wrk.ts";
import { portsFrom } from "../native-bench/peers/launch.ts";
import { cpuMicros } from "../src/cli/bench/process-cost.ts";
import { loadUws } from "../src/data/listener/uws/load.ts";

/** Functions of this build that its type declarations leave out. */
interface Handover {
  getDescriptor(): number;
  addChildAppDescriptor(descriptor: number): void;
}
type Mode = "own" | "handed" | "acceptor";
type Orders = { readonly mode: Mode; readonly port: number; readonly served: SharedArrayBuffer; readonly index: number };

const THREADS = 2;
const CONNECTIONS = 64;
const FIRST_PORT = 19_800;

/** A thread: answers by itself; counts connections in its cell. */
function serve({ mode, port, served, index }: Orders): void {
  const cells = new Int32Array(served);
  const app = loadUws().App();
  app.any("/*", (response) => void response.end("ok"));
  const counted = (_response: unknown, count: unknown): void => {
    if (Number(count) > 0) Atomics.add(cells, index, 1);
  };
  app.filter(counted);
  const handover = app as unknown as Handover; // see Handover
  if (mode === "own") app.listen("127.0.0.1", port, () => parentPort?.postMessage(0));
  else if (mode === "handed") parentPort?.postMessage(handover.getDescriptor());
  parentPort?.on("message", (descriptors: readonly number[] | null) => {
    if (descriptors === null) {
      app.close();
      return parentPort?.close();
    }
    for (const each of descriptors) handover.addChildAppDescriptor(each);
    app.listen("127.0.0.1", port, () => parentPort?.postMessage(0));
  });
}

interface Group {
  readonly name: string;
  readonly port: number;
  readonly cells: Int32Array;
  readonly threads: readonly Worker[];
}

async function start(handed: boolean, port: number): Promise<Group> {
  const served = new SharedArrayBuffer(4 * (THREADS + 1));
  const thread = (mode: Mode, index: number): Worker =>
    new Worker(new URL(import.meta.url), { workerData: { mode, port, served, index } satisfies Orders });
  const threads = Array.from({ length: THREADS }, (_, index) => thread(handed ? "handed" : "own", index));
  const descriptors = await Promise.all(threads.map(async (each) => (await once(each, "message"))[0]));
  if (handed) {
    const acceptor = thread("acceptor", THREADS);
    threads.unshift(acceptor); // the first to end: nobody must hand over to a thread that is gone
    acceptor.postMessage(descriptors);
    await once(acceptor, "message");
  }
  return { name: handed ? "handed over by one" : "SO_REUSEPORT", port, cells: new Int32Array(served), threads };
}

interface Sample {
  readonly micros: number;
  readonly perSecond: number;
  readonly busiest: number;
}

/** @param close a connection for each request, or all requests on the same */
async function sample(group: Group, seconds: number, close: boolean): Promise<Sample> {
  group.cells.fill(0);
  const before = cpuMicros([process.pid]);
  const headers: Record<string, string> = close ? { Connection: "close" } : {};
  const result = await runWrk({ url: `http://127.0.0.1:${group.port}/`, seconds, connections: CONNECTIONS, headers });
  const counts = [...group.cells.subarray(0, THREADS)];
  const all = counts.reduce((a, b) => a + b, 0);
  return {
    micros: (cpuMicros([process.pid]) - before) / result.requests,
    perSecond: result.requests / result.seconds,
    busiest: Math.max(...counts) / all,
  };
}

async function main(): Promise<void> {
  const [rounds, seconds] = [Number(process.argv[2] ?? 5), Number(process.argv[3] ?? 2)];
  const freePort = portsFrom(FIRST_PORT);
  const groups = [await start(false, await freePort()), await start(true, await freePort())];
  for (const close of [false, true]) {
    const samples = groups.map((): Sample[] => []);
    for (const group of groups) await sample(group, seconds, close); // warms up
    for (let round = 0; round < rounds; round++)
      for (const [i, group] of groups.entries()) samples[i]?.push(await sample(group, seconds, close));
    const values = (i: number) => (samples[i] ?? []).map(({ micros }, round) => ({ round, value: micros }));
    console.log(close ? "a connection for each request" : "connections that stay");
    for (const [i, group] of groups.entries()) {
      const busiest = (samples[i] ?? []).map((each) => each.busiest);
      const ratio = ratioSpread(values(i), values(0));
      const worst = `${(Math.min(...busiest) * 100).toFixed(1)}-${(Math.max(...busiest) * 100).toFixed(1)} %`;
      console.log(
        `  ${group.name.padEnd(20)} CPU a request ${ratio?.median.toFixed(2)} (${ratio?.min.toFixed(2)}-${ratio?.max.toFixed(2)}) of SO_REUSEPORT's; ` +
          `busiest of ${THREADS} threads: ${worst} of the connections`,
      );
    }
  }
  for (const { threads } of groups) {
    for (const thread of threads) {
      thread.postMessage(null); // ended from outside, a thread with a live app would abort the process
      await once(thread, "exit");
    }
  }
}

if (parentPort !== null) serve(workerData as Orders);
else await main();

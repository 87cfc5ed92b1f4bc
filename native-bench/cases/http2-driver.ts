// Drives a server with h2load, closed loop, and reads what that cost it.
import http2 from "node:http2";
import { cpuMicros, processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { runH2load } from "../measure/h2load.ts";
import type { Http2Load } from "./case.ts";
import type { Driver } from "./driver.ts";
import type { Running, RunOptions } from "./run-case.ts";
import { WARM_SECONDS } from "./wrk-driver.ts";

const MIB = 1024 ** 2;
const TIMEOUT_MS = 5000;

export function http2Driver(load: Http2Load, { seconds }: RunOptions): Driver {
  const { connections, streams } = load;
  const drive = ({ peer }: Running, forSeconds: number) =>
    runH2load({ url: new URL(load.path, peer.url).href, seconds: forSeconds, connections, streams });
  return {
    check: ({ peer }) => askHttp2(new URL(load.path, peer.url), load.answerBytes),
    warmUp: async (running) => void (await drive(running, Math.min(WARM_SECONDS[running.kind.role], seconds))),
    measure: async (running) => {
      const pids = processTree(running.peer.pid);
      const before = cpuMicros(pids);
      const result = await drive(running, seconds);
      const micros = cpuMicros(pids) - before;
      return {
        micros: micros / result.requests,
        rate: result.requests / result.seconds,
        errors: result.errors,
        rss: residentBytes(pids) / MIB,
      };
    },
  };
}

/** Asks once, by prior knowledge. @returns what is wrong with the answer, or null when it is as expected */
function askHttp2(url: URL, answerBytes: number): Promise<string | null> {
  return new Promise((resolve) => {
    const session = http2.connect(url.origin);
    const done = (wrong: string | null): void => {
      session.destroy();
      resolve(wrong);
    };
    session.setTimeout(TIMEOUT_MS, () => done(`no answer in ${TIMEOUT_MS} ms`));
    session.on("error", (error) => done(error.message));
    const stream = session.request({ ":path": url.pathname });
    let status: number | undefined;
    let bytes = 0;
    stream.on("response", (headers) => {
      status = headers[":status"];
    });
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on("error", (error) => done(error.message));
    stream.on("end", () => {
      if (status !== 200) done(`status ${status}`);
      else done(bytes === answerBytes ? null : `${bytes} bytes of body where ${answerBytes} were expected`);
    });
  });
}

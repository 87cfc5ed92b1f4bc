// Drives a server with connections that are idle, and reads how much memory they hold.
import fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { startChild } from "../measure/child.ts";
import { askOnce } from "./ask-once.ts";
import type { IdleLoad } from "./case.ts";
import type { Driver } from "./driver.ts";

/** For what a server puts off until it is quiet. */
const SETTLE_MS = 1000;
/** Files besides the connections. */
const OTHER_FILES = 500;
const MIB = 1024 ** 2;

export function idleDriver(load: IdleLoad): Driver {
  return {
    check: async ({ peer }) => {
      const limit = openFilesMax();
      if (limit < load.connections + OTHER_FILES) {
        return `this shell may open ${limit} files; raise that to ${load.connections + OTHER_FILES} (ulimit -n) and run the case again`;
      }
      return askOnce(new URL("/bytes/256", peer.url), { answerBytes: 256 });
    },
    warmUp: async () => {},
    measure: async ({ peer }) => {
      const before = residentBytes(processTree(peer.pid));
      const clients = startChild("idle-clients.ts", [String(peer.port), String(load.connections)]);
      try {
        const { held, failed } = (await clients.first) as { held: number; failed: number }; // idle-clients.ts prints it
        await pause(SETTLE_MS);
        const after = residentBytes(processTree(peer.pid));
        return { rss: after / MIB, perConnection: (after - before) / 1024 / held, connections: held, errors: failed };
      } finally {
        await clients.end();
      }
    },
  };
}

/** The limit that servers started from here get. Node raises its own to the hard one. */
function openFilesMax(): number {
  return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Number.POSITIVE_INFINITY);
}

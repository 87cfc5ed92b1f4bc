// Owns how a kind of load becomes requests and numbers: one driver for each.
import type { Load, Sample } from "./case.ts";
import { http2Driver } from "./http2-driver.ts";
import { idleDriver } from "./idle-driver.ts";
import { openDriver } from "./open-driver.ts";
import type { Running, RunOptions } from "./run-case.ts";
import { webSocketDriver } from "./websocket-driver.ts";
import { wrkDriver } from "./wrk-driver.ts";

export interface Driver {
  /** Asks once. @returns what is wrong with the answer, or null */
  check(running: Running): Promise<string | null>;
  warmUp(running: Running): Promise<void>;
  /** One round. */
  measure(running: Running): Promise<Sample["values"]>;
}

export function driverOf(load: Load, options: RunOptions): Driver {
  switch (load.kind) {
    case "wrk":
      return wrkDriver(load, options);
    case "http2":
      return http2Driver(load, options);
    case "idle":
      return idleDriver(load);
    case "open":
      return openDriver(load, options);
    case "webSocket":
      return webSocketDriver(load, options);
  }
}

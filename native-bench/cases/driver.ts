// Owns how a kind of load becomes requests and numbers: one driver for each.
import type { Load, Metric, Sample } from "./case.ts";
import type { Running, RunOptions } from "./run-case.ts";
import { wrkDriver } from "./wrk-driver.ts";

export interface Driver {
  /** Asks once. @returns what is wrong with the answer, or null */
  check(running: Running): Promise<string | null>;
  warmUp(running: Running): Promise<void>;
  /** One round. */
  measure(running: Running): Promise<Sample["values"]>;
}

export type Values = Partial<Record<Metric, number>>;

export function driverOf(load: Load, options: RunOptions): Driver {
  switch (load.kind) {
    case "wrk":
      return wrkDriver(load, options);
    case "idle":
    case "open":
      throw new Error("not there yet");
  }
}

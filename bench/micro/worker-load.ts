// What a request pays for the watch over its worker's own load: one comparison while nothing is wrong, the decision while something is.
import { ShedControl } from "../../src/data/load/shed-control.ts";
import { WorkerLoad } from "../../src/data/load/worker-load.ts";
import { NORMAL } from "../../src/plan/overload-plan.ts";
import type { Micro } from "./measure.ts";

export const MICRO: readonly Micro[] = [
  {
    name: "nothing wrong",
    prepare: () => {
      const services = { inFlight: 0, webSockets: 0 };
      const load = new WorkerLoad(services);
      load.use({ mode: "on", loopDelayMs: 50, inFlight: 100_000, memory: null, tiers: {} });
      return (count) => {
        let refused = 0;
        for (let i = 0; i < count; i++) {
          services.inFlight = i & 1023;
          if (services.inFlight > load.free) refused++;
        }
        if (refused > 0) throw new Error("refused although nothing is wrong");
        return refused;
      };
    },
  },
  {
    name: "shedding: is this one refused?",
    prepare: () => {
      const control = new ShedControl(() => 1);
      control.boundMs = 50;
      for (let now = 0; now < 200; now += 20) control.sample(now, 100, false);
      if (!control.active) throw new Error("it does not shed");
      return (count) => {
        let refused = 0;
        for (let i = 0; i < count; i++) if (control.refuses(NORMAL, i)) refused++;
        return refused;
      };
    },
  },
];

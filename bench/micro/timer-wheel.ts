// What a deadline costs that is armed, armed again and disarmed, as each exchange does, among ten thousand others.
import { TimerWheel, WheelEntry } from "../../src/base/timer-wheel.ts";
import type { Micro } from "./measure.ts";

const WAITING = 10_000;

class Deadline extends WheelEntry {
  onDeadline(): void {}
}

export const MICRO: readonly Micro[] = [
  {
    name: "arm, arm again, disarm",
    prepare: () => {
      const wheel = new TimerWheel();
      for (let i = 0; i < WAITING; i++) wheel.arm(new Deadline(), 60_000 + i);
      wheel.stop(); // the real timer would keep the process; nothing here waits for it
      const entry = new Deadline();
      return (count) => {
        for (let i = 0; i < count; i++) {
          wheel.arm(entry, 5000);
          wheel.arm(entry, 30_000);
          wheel.disarm(entry);
        }
        return wheel.size;
      };
    },
  },
];

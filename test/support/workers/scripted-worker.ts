// A worker thread that speaks the protocol of src/plan/messages.ts and nothing else: it answers as the plan's upstream names say.
// For the cases that the real worker cannot be brought to on demand (refusing, dying or falling silent at an exact moment).
import { parentPort } from "node:worker_threads";
import type { FromWorker, ToWorker } from "../../../src/plan/messages.ts";

const port = parentPort;
if (port === null) throw new Error("not a worker thread");
const answer = (message: FromWorker): void => port.postMessage(message);
let seat = -1;

/** The plan's first upstream name is the script: `refuse@0` makes seat 0 refuse, `die@1` makes seat 1 die. */
function scriptSays(message: Extract<ToWorker, { kind: "init" | "prepare" }>): string {
  const [what, where] = (message.bundle.plan.upstreams[0]?.name ?? "").split("@");
  return where === undefined || Number(where) === seat ? (what ?? "") : "";
}

port.on("message", (message: ToWorker) => {
  switch (message.kind) {
    case "init":
    case "prepare": {
      if (message.kind === "init") seat = message.seat;
      const { version } = message.bundle.plan;
      const script = scriptSays(message);
      if (script === "die") process.exit(7);
      if (script === "refuse") answer({ kind: "refused", version, message: "as the script says" });
      else answer(message.kind === "init" ? { kind: "ready", version, thread: 100 + seat } : { kind: "prepared", version });
      break;
    }
    case "activate":
      answer({ kind: "activated", version: message.version });
      break;
    case "drain":
      answer({ kind: "drained", cut: 3 });
      return process.exit(0);
    case "crash":
      answer({ kind: "failed", message: "crash asked for" });
      // Requests still under way: the thread lives on until it is told to end.
      break;
  }
});

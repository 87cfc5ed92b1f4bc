// The entry of the thread in which policy modules are looked at: their text, their configuration, and a first `create`. It is thrown away behind each load,
// so that nothing which they do here lasts. Must never load uWebSockets.js: the thread has a bound on its memory, and reaching it must end nothing else.
import { workerData } from "node:worker_threads";
import type { FromModuleThread, ModuleThreadData, ToModuleThread } from "./module-messages.ts";
import { readModule } from "./read-module.ts";
import { faultOf, useModule } from "./use-module.ts";

const { port, answers } = workerData as ModuleThreadData; // module-thread.ts gave it
const count = new Int32Array(answers);
/** A question is open: one answer follows. */
let asked = false;

function answer(message: FromModuleThread): void {
  if (!asked) return;
  asked = false;
  port.postMessage(message);
  Atomics.add(count, 0, 1);
  Atomics.notify(count, 0);
}

port.on("message", (question: ToModuleThread) => {
  asked = true;
  if (question.kind === "read") answer(readModule(question));
  else useModule(question).then(answer, (error: unknown) => answer({ kind: "fault", fault: faultOf(error) }));
});
// Of what a module does beside the call: a timer, a promise that nobody looks at.
process.on("uncaughtException", (error) => answer({ kind: "fault", fault: faultOf(error) }));
process.on("unhandledRejection", (error) => answer({ kind: "fault", fault: faultOf(error) }));
process.on("exit", () => answer({ kind: "fault", fault: { message: "it ended its thread (process.exit)", place: null } }));

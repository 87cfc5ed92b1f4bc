// Owns the thread in which code of the user's own runs while a configuration is checked: started for one load, with bounds on time and memory, and thrown away.
// It is waited for, as the whole load is: on a reload that is a thread by itself. Must never run any of that code here.
import path from "node:path";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { FromModuleThread, ModuleThreadData, ToModuleThread } from "./module-messages.ts";

/** Longest time (ms) for one question: a module's own code runs in it. */
export const MODULE_MS_MAX = 5000;
/** Longest time (ms) more for the thread to start, on a machine that does much else. */
const START_MS_MAX = 10_000;
/** What its objects may take, MiB. */
const HEAP_MB_MAX = 256;
const YOUNG_MB_MAX = 24;

export class ModuleThread {
  #worker: Worker | null = null;
  #port: MessagePort | null = null;
  #answers = new Int32Array(new SharedArrayBuffer(4));
  #asked = 0;

  /** Waits for the answer. @returns null when there is none in time: the thread is gone then, and a further question starts another */
  ask(question: ToModuleThread): FromModuleThread | null {
    const starts = this.#worker === null;
    const port = this.#start();
    const before = this.#asked++;
    port.postMessage(question);
    const endMs = performance.now() + MODULE_MS_MAX + (starts ? START_MS_MAX : 0);
    while (Atomics.load(this.#answers, 0) === before) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || Atomics.wait(this.#answers, 0, before, leftMs) === "timed-out") break;
    }
    const answer = receiveMessageOnPort(port);
    if (answer === undefined) this.end();
    return answer === undefined ? null : (answer.message as FromModuleThread); // module-task.ts sends nothing else
  }

  end(): void {
    this.#port?.close();
    void this.#worker?.terminate();
    this.#worker = null;
    this.#port = null;
  }

  #start(): MessagePort {
    if (this.#port !== null) return this.#port;
    const { port1, port2 } = new MessageChannel();
    this.#answers = new Int32Array(new SharedArrayBuffer(4));
    this.#asked = 0;
    const data: ModuleThreadData = { port: port2, answers: this.#answers.buffer as SharedArrayBuffer };
    const worker = new Worker(threadEntry(), {
      name: "sluice-policies",
      workerData: data,
      transferList: [port2],
      // Modules are parsed without being run by vm.SourceTextModule, which needs the flag; nothing is served in this thread.
      execArgv: ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning"],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX, maxYoungGenerationSizeMb: YOUNG_MB_MAX },
    });
    worker.unref();
    worker.on("error", () => {}); // who waits learns of it by the time
    this.#worker = worker;
    this.#port = port1;
    return port1;
  }
}

/** module-task.ts in source, module-task.js beside the bundle. */
function threadEntry(): string {
  return path.join(import.meta.dirname, import.meta.filename.endsWith(".ts") ? "module-task.ts" : "module-task.js");
}

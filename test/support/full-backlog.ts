// Owns a TCP port on loopback whose accept queue is full: the kernel drops further SYNs, so that connecting to it takes for ever.
import net, { type Socket } from "node:net";
import { Worker } from "node:worker_threads";

/** Connects at most this many times until one hangs: the queue of a backlog of 1 takes two or three. */
const FILLERS_MAX = 16;
const HANGS_AFTER_MS = 300;

// The thread listens and then never runs again, so nothing is ever accepted.
const LISTEN_AND_STOP = `
const { parentPort, workerData } = require("node:worker_threads");
const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 + workerData }, () => {
  parentPort.postMessage(server.address().port);
  setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
});`;

export class FullBacklog implements AsyncDisposable {
  readonly port: number;
  readonly #worker: Worker;
  readonly #fillers: readonly Socket[];

  private constructor(port: number, worker: Worker, fillers: readonly Socket[]) {
    this.port = port;
    this.#worker = worker;
    this.#fillers = fillers;
  }

  /** @param room for so many connections: they are made, and then nothing is read from them */
  static async start(room = 0): Promise<FullBacklog> {
    const worker = new Worker(LISTEN_AND_STOP, { eval: true, workerData: room });
    const port = await new Promise<number>((resolve) => worker.once("message", resolve));
    const fillers: Socket[] = [];
    if (room > 0) {
      // The kernel holds one connection more than it was asked to.
      for (let i = 0; i < 2; i++) fillers.push(net.connect({ port, host: "127.0.0.1" }).on("error", () => {}));
      if (!(await Promise.all(fillers.map(connects))).every(Boolean)) throw new Error("the accept queue has no room");
      return new FullBacklog(port, worker, fillers);
    }
    for (let i = 0; i < FILLERS_MAX; i++) {
      const socket = net.connect({ port, host: "127.0.0.1" });
      socket.on("error", () => {});
      fillers.push(socket);
      if (!(await connects(socket))) return new FullBacklog(port, worker, fillers);
    }
    throw new Error("the accept queue does not fill up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#fillers) socket.destroy();
    await this.#worker.terminate();
  }
}

function connects(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), HANGS_AFTER_MS);
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

// The attackers of hostile-clients.ts, in a thread of their own: each kind keeps its number of connections up, and opens another where one is closed.
// Loopback only. Every upload says that it comes from an address of its own, so that no limit by address spares the gateway anything.
import net, { type Socket } from "node:net";
import os from "node:os";
import { parentPort, workerData } from "node:worker_threads";

/** What main wants: how many of each. */
export interface CrowdPlan {
  readonly port: number;
  /** Uploads that send nothing of their body; and some that send a byte each ten seconds. */
  readonly idleUploads: number;
  readonly drippingBodies: number;
  /** `Connection: a,a,a,...` of 15 KB, so many a second. */
  readonly manyOptions: number;
  /** Read 1 KiB a second of 8 MiB. */
  readonly slowReaders: number;
  /** Send a byte of their head each second. */
  readonly slowHeads: number;
}

/** Kind -> what has come of it. */
export type CrowdReport = Record<string, { open: number; opened: number; answers: Record<string, number> }>;

const REOPEN_MS = 100;
const HEAD = "POST /up HTTP/1.1\r\nHost: a\r\n";
const { port, ...wanted } = workerData as CrowdPlan; // main made it
const report: CrowdReport = {};
let addresses = 0;
let stopped = false;

const address = (): string => {
  const n = addresses++;
  return `198.18.${(n >> 8) & 255}.${n & 255}`;
};

interface Kind {
  /** First bytes. */
  readonly begin: () => string;
  /** Called at this pace for as long as the connection is open. */
  readonly goOn?: (socket: Socket) => void;
  readonly everyMs?: number;
  /** Reads 1 KiB each time it goes on, and otherwise nothing. */
  readonly readsSlowly?: boolean;
}

const KINDS: Readonly<Record<Exclude<keyof typeof wanted, "manyOptions">, Kind>> = {
  idleUploads: { begin: () => `${HEAD}X-Forwarded-For: ${address()}\r\nContent-Length: 1000000\r\n\r\n` },
  drippingBodies: {
    begin: () => `${HEAD}X-Forwarded-For: ${address()}\r\nContent-Length: 1000000\r\n\r\nx`,
    goOn: (socket) => socket.write("x"),
    everyMs: 10_000,
  },
  slowReaders: {
    begin: () => "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    goOn: (socket) => socket.resume(),
    everyMs: 1000,
    readsSlowly: true,
  },
  slowHeads: { begin: () => "GET / HTTP/1.1\r\nHost: a\r\n", goOn: (socket) => socket.write("x"), everyMs: 1000 },
};

function keepUp(name: string, kind: Kind): void {
  const counts = (report[name] ??= { open: 0, opened: 0, answers: {} });
  const onread = { buffer: Buffer.alloc(1024), callback: () => false };
  const socket = net.connect({ host: "127.0.0.1", port, ...(kind.readsSlowly === true ? { onread } : {}) });
  counts.opened++;
  counts.open++;
  socket.write(kind.begin());
  const timer = kind.goOn === undefined ? null : setInterval(() => kind.goOn?.(socket), kind.everyMs);
  socket.on("data", (bytes: Buffer) => count(counts.answers, bytes));
  socket.on("error", () => {});
  socket.once("close", () => {
    counts.open--;
    if (timer !== null) clearInterval(timer);
    if (!stopped) setTimeout(() => keepUp(name, kind), REOPEN_MS);
  });
}

function count(answers: Record<string, number>, bytes: Buffer): void {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(bytes.toString("latin1", 0, 16))?.[1];
  if (status !== undefined) answers[status] = (answers[status] ?? 0) + 1;
}

function sendManyOptions(): void {
  const counts = (report["manyOptions"] ??= { open: 0, opened: 0, answers: {} });
  counts.opened++;
  const socket = net.connect({ host: "127.0.0.1", port });
  socket.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${"a,".repeat(7500)}close\r\n\r\n`);
  socket.on("data", (bytes: Buffer) => count(counts.answers, bytes));
  socket.on("error", () => {});
}

os.setPriority(0, 10); // attackers have machines of their own
for (const [name, kind] of Object.entries(KINDS))
  for (let i = 0; i < wanted[name as keyof typeof KINDS]; i++) setTimeout(() => keepUp(name, kind), Math.random() * 2000); // keys of KINDS
if (wanted.manyOptions > 0) setInterval(sendManyOptions, 1000 / wanted.manyOptions);

parentPort?.on("message", () => {
  stopped = true;
  parentPort?.postMessage(report);
});

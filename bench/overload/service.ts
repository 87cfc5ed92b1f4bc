// The service that is asked for too much: so many requests at a time, each for so long, the others in order. A program of its own; its parent may change both.
// A server that is free begins the next request when it should have been, however late the timer was: its capacity is exact. Run: node service.ts PORT LATENCY
import http, { type ServerResponse } from "node:http";

/** What the parent sends. */
export interface ServiceState {
  readonly servers: number;
  readonly ms: number;
}

const [, , port, latency = "fixed"] = process.argv;
let state: ServiceState = { servers: 8, ms: 20 };
let busy = 0;
const line: ServerResponse[] = [];

function tookMs(): number {
  if (latency === "exponential") return -Math.log(1 - Math.random()) * state.ms;
  if (latency === "bimodal") return ((Math.random() < 0.9 ? 5 : 155) * state.ms) / 20;
  return state.ms;
}

function begin(res: ServerResponse, atMs: number): void {
  busy++;
  const endMs = atMs + tookMs();
  setTimeout(
    () => {
      busy--;
      res.end("ok");
      next(endMs);
    },
    Math.max(1, endMs - performance.now()),
  );
}

function next(atMs: number): void {
  while (busy < state.servers && line.length > 0) begin(line.shift() as ServerResponse, atMs);
}

process.on("message", (message: ServiceState) => {
  state = message;
  next(performance.now());
});

/** `/poll/MS` answers after so long, `/slow/MS` too, `/stream/MS` begins at once: they need no server. */
http
  .createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    const [, kind, ms] = (req.url ?? "").split("/");
    if (kind === "stream") res.writeHead(200, { "content-type": "text/event-stream" }).write(": begun\n\n");
    if (ms !== undefined) setTimeout(() => res.end("ok"), Number(ms));
    else if (busy < state.servers) begin(res, performance.now());
    else line.push(res);
  })
  .listen(Number(port), "127.0.0.1", 4096);

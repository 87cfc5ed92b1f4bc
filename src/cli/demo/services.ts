// Owns what the demo's built-in services answer. Plain node:http; must never be reached other than through the demo.
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

const SLOW_ANSWER_MS = 3000;
const EVENT_COUNT = 5;
const EVENT_INTERVAL_MS = 200;
/** Size of `/big`: 64 MiB, sent in pieces of 64 KiB. */
const BIG_BYTES = 64 * 1024 * 1024;
const BIG_CHUNK = Buffer.alloc(64 * 1024, "sluice ");
const CATALOG_ITEMS = 300;
const NAMES = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Leslie", "Frances"] as const;

/** A small REST service. @param servedBy its own name, so that one can see which of two targets answered */
export function usersService(servedBy: string): RequestListener {
  return (request, response) => {
    const path = pathOf(request);
    const id = /^\/v([12])\/users\/(\d{1,9})$/.exec(path);
    if (path === "/healthz") return text(response, 200, "ok\n");
    if (id === null) return json(response, 404, { error: "no such user" }, { "x-served-by": servedBy });
    const name = NAMES[Number(id[2]) % NAMES.length];
    json(
      response,
      200,
      { id: Number(id[2]), name, apiVersion: Number(id[1]), servedBy },
      { "x-served-by": servedBy, server: "legacy/1.0" },
    );
  };
}

/** Says only its name: what a canary split sends traffic to. */
export function namedService(name: string): RequestListener {
  return (_request, response) => text(response, 200, `${name}\n`);
}

/** Starts and stops one of the users targets, by name; resolves when it has happened. */
export interface TargetSwitch {
  stop(name: string): Promise<boolean>;
  start(name: string): Promise<boolean>;
}

/** Everything else: slow, streaming, large, echoing; and the switch that kills and revives targets. */
export function labService(targets: TargetSwitch): RequestListener {
  return (request, response) => {
    const path = pathOf(request);
    if (path === "/fail") return json(response, 500, { error: "this never works" });
    if (path === "/slow") return slow(response);
    if (path === "/events") return events(response);
    if (path === "/big") return big(response);
    if (path === "/catalog") return json(response, 200, CATALOG);
    if (path.startsWith("/upload")) return upload(request, response);
    if (path.startsWith("/echo")) return json(response, 200, { method: request.method, path: request.url, headers: request.headers });
    const action = /^\/demo\/(users-[ab])\/(stop|start)$/.exec(path);
    if (action !== null && request.method === "POST") return void switchTarget(targets, action[1] ?? "", action[2] === "start", response);
    json(response, 404, { error: "nothing here" });
  };
}

const CATALOG = Array.from({ length: CATALOG_ITEMS }, (_, i) => ({ sku: `SKU-${1000 + i}`, title: `Item number ${i}`, price: 100 + i }));

function slow(response: ServerResponse): void {
  const timer = setTimeout(() => text(response, 200, "finally\n"), SLOW_ANSWER_MS);
  response.once("close", () => clearTimeout(timer));
}

function events(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let sent = 0;
  const send = (): void => {
    response.write(`id: ${++sent}\ndata: tick ${sent} of ${EVENT_COUNT}\n\n`);
    if (sent < EVENT_COUNT) return;
    clearInterval(timer);
    response.end();
  };
  const timer = setInterval(send, EVENT_INTERVAL_MS);
  response.once("close", () => clearInterval(timer));
  send();
}

function big(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": BIG_BYTES });
  let left = BIG_BYTES;
  const fill = (): void => {
    while (left > 0) {
      left -= BIG_CHUNK.length;
      if (!response.write(BIG_CHUNK) && left > 0) return void response.once("drain", fill);
    }
    response.end();
  };
  fill();
}

function upload(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.once("end", () => json(response, 200, { received: bytes }));
}

async function switchTarget(targets: TargetSwitch, name: string, up: boolean, response: ServerResponse): Promise<void> {
  const known = up ? await targets.start(name) : await targets.stop(name);
  json(response, known ? 200 : 404, known ? { target: name, running: up } : { error: "no such target" });
}

const pathOf = (request: IncomingMessage): string => (request.url ?? "/").split("?", 1)[0] ?? "/";

function json(response: ServerResponse, status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`);
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length, ...headers }).end(body);
}

function text(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { "content-type": "text/plain", "content-length": Buffer.byteLength(body) }).end(body);
}

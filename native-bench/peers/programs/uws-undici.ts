// A floor for gateways made of these parts: uWebSockets.js in, undici's pool out, headers copied, and nothing else that a gateway must do.
// Run: node uws-undici.ts PORT ORIGIN-PORT

import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import type { IncomingHttpHeaders } from "node:http";
import { type Dispatcher, Pool } from "undici";
import { loadUws } from "../../../src/data/listener/uws/load.ts";

const [port, originPort] = [Number(process.argv[2]), Number(process.argv[3])];
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "content-length", "date", "host"]);
const pool = new Pool(`http://127.0.0.1:${originPort}`, { connections: 128, pipelining: 1 });
let requests = 0;

function forward(response: HttpResponse, request: HttpRequest): void {
  const method = request.getMethod().toUpperCase() as Dispatcher.HttpMethod; // what the client sent; the origin judges it
  const headers: string[] = ["x-request-id", String(++requests)];
  request.forEach((name, value) => {
    if (!HOP_BY_HOP.has(name)) headers.push(name, value);
  });
  const path = request.getUrl();
  let gone = false;
  response.onAborted(() => {
    gone = true;
  });
  const send = (body: Buffer | null): void => {
    const chunks: Buffer[] = [];
    let status = 0;
    let answered: IncomingHttpHeaders = {};
    pool.dispatch(
      { method, path, headers, body },
      {
        onRequestStart() {},
        onResponseStart(_controller, code, fields) {
          status = code;
          answered = fields;
        },
        onResponseData(_controller, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          if (gone) return;
          response.cork(() => {
            response.writeStatus(String(status));
            for (const name in answered) if (!HOP_BY_HOP.has(name)) response.writeHeader(name, String(answered[name]));
            response.end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
          });
        },
        onResponseError() {
          if (!gone) response.cork(() => void response.writeStatus("502").end());
        },
      },
    );
  };
  if (method === "GET") return send(null);
  const parts: Buffer[] = [];
  response.onData((part, isLast) => {
    parts.push(Buffer.from(new Uint8Array(part))); // copied: it is valid only during this call
    if (isLast) send(Buffer.concat(parts));
  });
}

loadUws()
  .App()
  .any("/*", forward)
  .listen("127.0.0.1", port, (socket) => {
    if (socket === false) throw new Error(`cannot listen on port ${port}`);
  });

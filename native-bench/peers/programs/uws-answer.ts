// A floor for a cache: uWebSockets.js answers 256 bytes by itself, but reads what a gateway must read (target, all header fields, the client's address) and says as
// much as a cache hit does. Nothing is looked up, checked or counted. Run: node uws-answer.ts PORT
import { loadUws } from "../../../src/data/listener/uws/load.ts";

const BODY = "x".repeat(256);
const port = Number(process.argv[2]);
let requests = 0;
/** What was read last: so that nothing of it is left out as unused. */
export const read = { target: "", fields: [] as string[], address: new ArrayBuffer(0) };

loadUws()
  .App()
  .any("/*", (response, request) => {
    const fields: string[] = [];
    request.forEach((name, value) => void fields.push(name, value));
    read.fields = fields;
    read.target = `${request.getUrl()}?${request.getQuery()}`;
    read.address = response.getRemoteAddress();
    response
      .writeHeader("server", "origin")
      .writeHeader("content-type", "text/plain")
      .writeHeader("cache-control", "public, max-age=3600")
      .writeHeader("age", "1")
      .writeHeader("cache-status", "floor; hit; ttl=3599")
      .writeHeader("x-request-id", `floor-${++requests}`)
      .end(BODY);
  })
  .listen("127.0.0.1", port, (socket) => {
    if (socket === false) throw new Error(`cannot listen on port ${port}`);
  });

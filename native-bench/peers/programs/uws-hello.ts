// The floor of all: uWebSockets.js answers 256 bytes by itself. Run: node uws-hello.ts PORT
import { loadUws } from "../../../src/data/listener/uws/load.ts";

const BODY = "x".repeat(256);
const port = Number(process.argv[2]);
const uws = loadUws();
uws
  .App()
  .any("/*", (response) => {
    response.cork(() => {
      response.writeHeader("content-type", "text/plain").end(BODY);
    });
  })
  .listen("127.0.0.1", port, (socket) => {
    if (socket === false) throw new Error(`cannot listen on port ${port}`);
  });

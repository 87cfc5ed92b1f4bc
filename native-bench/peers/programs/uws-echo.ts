// The origin of WebSocket cases: sends each message back as it came, and does nothing else. Its CPU time is never counted. Run: node uws-echo.ts PORT
import { loadUws } from "../../../src/data/listener/uws/load.ts";

const MESSAGE_BYTES_MAX = 64 * 1024;
const port = Number(process.argv[2]);
const uws = loadUws();
uws
  .App()
  .ws("/*", {
    compression: uws.DISABLED,
    maxPayloadLength: MESSAGE_BYTES_MAX,
    idleTimeout: 0,
    message: (socket, message, isBinary) => void socket.send(message, isBinary),
  })
  .listen("127.0.0.1", port, (socket) => {
    if (socket === false) throw new Error(`cannot listen on port ${port}`);
  });

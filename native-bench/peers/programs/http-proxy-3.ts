// http-proxy-3 (the maintained successor of http-proxy) with keep-alive to the origin. Run: node http-proxy-3.ts PORT ORIGIN-PORT
import { randomUUID } from "node:crypto";
import http from "node:http";
import { createProxyServer } from "http-proxy-3";

const [port, originPort] = [Number(process.argv[2]), Number(process.argv[3])];
const proxy = createProxyServer({
  target: `http://127.0.0.1:${originPort}`,
  agent: new http.Agent({ keepAlive: true, maxSockets: 128 }),
  xfwd: true,
});
proxy.on("error", (_error, _request, response) => {
  if ("writeHead" in response) response.writeHead(502).end();
  else response.destroy();
});
const server = http.createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  request.headers["x-request-id"] = randomUUID();
  proxy.web(request, response);
});
server.listen({ port, host: "127.0.0.1", backlog: 8192 });

// @fastify/http-proxy with its own settings for keep-alive and the headers that everybody adds. Run: node fastify-http-proxy.ts PORT ORIGIN-PORT
import { randomUUID } from "node:crypto";
import proxy from "@fastify/http-proxy";
import fastify from "fastify";

const [port, originPort] = [Number(process.argv[2]), Number(process.argv[3])];
const IDLE_MS = 600_000;
const app = fastify({ logger: false, keepAliveTimeout: IDLE_MS, requestTimeout: 0 });
await app.register(proxy, {
  upstream: `http://127.0.0.1:${originPort}`,
  undici: { connections: 128, pipelining: 1, keepAliveTimeout: IDLE_MS },
  replyOptions: {
    rewriteRequestHeaders: (_request, headers) => ({ ...headers, "x-request-id": randomUUID() }),
  },
});
await app.listen({ host: "127.0.0.1", port });

// The service behind the gateway in hostile-clients.ts, in a thread of its own: small answers, one that is large, and bodies read to their end.
import http from "node:http";
import type { AddressInfo } from "node:net";
import { parentPort } from "node:worker_threads";

const SMALL = "x".repeat(256);
const LARGE = Buffer.alloc(8 * 1024 * 1024, "x");

const server = http.createServer((request, response) => {
  if (request.url === "/large") return void response.end(LARGE);
  request.resume().once("end", () => response.end(SMALL));
});
server.keepAliveTimeout = 600_000;
server.requestTimeout = 0;
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  parentPort?.postMessage((server.address() as AddressInfo).port); // a TCP server that listens has one
});

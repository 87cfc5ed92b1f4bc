// Owns probes by HTTP/1.1: one request on a connection of its own.
import type { RequestOptions } from "node:http";
import { type ProbeTransport, tlsOptionsOf } from "./probe-transport.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms, in each thread).
const http = () => process.getBuiltinModule("node:http");
const https = () => process.getBuiltinModule("node:https");

export const probeByHttp1: ProbeTransport = (probe, events) => {
  const { endpoint, check, host } = probe;
  const options: RequestOptions = {
    host: endpoint.address,
    port: endpoint.port,
    path: check.path,
    method: check.method,
    headers: { host, "user-agent": "sluice-health", accept: "*/*", ...check.headers },
    agent: false,
  };
  const request = endpoint.tls ? https().request({ ...options, ...tlsOptionsOf(probe) }) : http().request(options);
  // Destroying the request may report errors again.
  request.on("error", (error) => events.failed(error));
  request.on("socket", (socket) => socket.once(endpoint.tls ? "secureConnect" : "connect", () => events.connected()));
  request.on("response", (response) => {
    response.on("error", (error) => events.failed(error));
    response.on("data", (chunk: Buffer) => events.data(chunk));
    response.on("end", () => events.end());
    events.head(response.statusCode ?? 0);
  });
  request.on("upgrade", (_response, socket) => {
    socket.destroy();
    events.head(101);
    events.end();
  });
  request.end();
  return { close: () => request.destroy() };
};

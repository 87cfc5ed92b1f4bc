// Owns probes that only connect: TCP, and the TLS handshake where the target is spoken to by https. Sends nothing else.
import { type ProbeTransport, tlsOptionsOf } from "./probe-transport.ts";

// Not by import: a cold start does without them.
const net = () => process.getBuiltinModule("node:net");
const tls = () => process.getBuiltinModule("node:tls");

export const probeByTcp: ProbeTransport = (probe, events) => {
  const { address: host, port, tls: secure } = probe.endpoint;
  const socket = secure ? tls().connect({ host, port, ...tlsOptionsOf(probe) }) : net().connect({ host, port });
  socket.on("error", (error) => events.failed(error));
  socket.once("close", () => events.failed(new Error("the connection was closed")));
  socket.once(secure ? "secureConnect" : "connect", () => events.connected());
  // What is still to be sent is a part of the handshake: without it the service would take the connection for an attempt that failed.
  return { close: () => (socket.connecting ? socket.destroy() : socket.destroySoon()) };
};

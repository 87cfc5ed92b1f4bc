// Owns tests of reading the kernel's list of TCP sockets: lines as proc_net_tcp.txt has them, and this machine's own list.
import net, { type AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { listPeers, peerOf } from "../../../../src/control/connections/socket-list.ts";

const PORTS = new Set([8080]);
const REST = "00000000:00000000 00:00000000 00000000     0        0 91188 1 0000000042e78c75 100 0 0 10 0";

it.each([
  ["an IPv4 peer", "   1: 0100007F:1F90 077100CB:D431 01", "203.0.113.7"],
  ["one that has said goodbye", "  12: 0100007F:1F90 077100CB:D431 08", "203.0.113.7"],
  ["an IPv6 peer", "   1: 00000000000000000000000001000000:1F90 B80D0120010000000000000001000000:D431 01", "2001:db8:0:1::1"],
  [
    "an IPv4 peer of an IPv6 listener",
    "   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF0000077100CB:D431 01",
    "203.0.113.7",
  ],
  ["a listening socket", "   0: 00000000:1F90 00000000:0000 0A", null],
  ["a connection that is over", "   1: 0100007F:1F90 077100CB:D431 06", null],
  ["another port", "   1: 0100007F:1F91 077100CB:D431 01", null],
  ["the other end of a connection", "   1: 0100007F:D431 077100CB:1F90 01", null],
  ["the heading", "  sl  local_address rem_address   st tx_queue rx_queue tr", null],
  ["nothing", "", null],
])("%s", (_, line, peer) => {
  expect(peerOf(`${line} ${REST}`, PORTS)).toBe(peer);
});

it("lists who is connected to a port of this machine", async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  const clients = await Promise.all(
    [0, 1, 2].map(
      () =>
        new Promise<net.Socket>((resolve) => {
          const socket = net.connect({ host: "127.0.0.1", port }, () => resolve(socket));
        }),
    ),
  );
  const peers: string[] = [];
  await listPeers(new Set([port]), (peer) => peers.push(peer));
  expect(peers).toEqual(["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
  for (const client of clients) client.destroy();
  server.close();
});

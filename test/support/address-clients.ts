// Runs inside a network namespace (net-namespace.ts): clients that come from many addresses. Obeys orders one after the other.
import http from "node:http";
import net, { type Socket } from "node:net";
import type { Order } from "./net-namespace.ts";

/** Connections under way at once. */
const AT_ONCE = 64;
const open = new Map<string, Socket[]>();

async function connect({ from, to, port, times }: Extract<Order, { kind: "open" }>): Promise<number> {
  const sockets = open.get(from) ?? [];
  open.set(from, sockets);
  let answered = 0;
  for (let left = times; left > 0; left -= AT_ONCE) {
    const some = await Promise.all(Array.from({ length: Math.min(left, AT_ONCE) }, () => ask(from, to, port)));
    for (const socket of some) {
      if (socket === null) continue;
      sockets.push(socket);
      answered++;
    }
  }
  return answered;
}

/** @returns null when it was closed without an answer */
function ask(from: string, host: string, port: number): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, localAddress: from }, () => socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    socket.once("data", () => resolve(socket));
    socket.on("error", () => {});
    socket.once("close", () => resolve(null));
  });
}

async function obey(order: Order): Promise<unknown> {
  switch (order.kind) {
    case "open":
      return connect(order);
    case "close":
      for (const socket of open.get(order.from) ?? []) socket.destroy();
      open.delete(order.from);
      return null;
    case "get":
      return new Promise((resolve, reject) => {
        http
          .get(order.url, { agent: false }, (response) =>
            response.toArray().then((parts) => resolve(Buffer.concat(parts).toString()), reject),
          )
          .once("error", reject);
      });
  }
}

process.on("message", (order: Order) => {
  obey(order).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));

// What hears the fleet's news must outlive a Redis whose connections break in the worst moment, and hear again.
import net from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { RedisClient } from "../../../src/store/redis-client.ts";
import { redisAt } from "../../support/fleet.ts";
import { RedisServer } from "../../support/redis.ts";
import { until } from "../../support/until.ts";

/** Connections that are broken right behind Redis's answer to INFO, when ioredis calls them ready. */
const BROKEN = 5;

it("a subscription whose connection breaks right behind the greeting rejects to nobody, and messages are heard again", async () => {
  await using server = await RedisServer.start();
  const sockets: net.Socket[] = [];
  const proxy = net.createServer((socket) => {
    const redis = net.connect(server.port, "127.0.0.1");
    for (const end of [socket, redis]) end.on("error", () => {});
    const number = sockets.push(socket); // 1: for commands; 2: the first that listens
    socket.pipe(redis);
    redis.on("data", (bytes) => {
      socket.write(bytes);
      if (number > 2 && number <= 2 + BROKEN && bytes.includes("redis_version")) socket.destroy();
    });
    for (const [end, other] of [[socket, redis] as const, [redis, socket] as const]) end.on("close", () => other.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const strays: unknown[] = [];
  const stray = (reason: unknown): void => void strays.push(reason);
  process.on("unhandledRejection", stray);
  let heard = 0;
  const { port } = proxy.address() as net.AddressInfo; // listens on TCP
  const client = new RedisClient(redisAt(port), { ready: () => {}, lost: () => {} }, { channel: "news", heard: () => void heard++ });
  onTestFinished(() => {
    client.close();
    process.off("unhandledRejection", stray);
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });
  const subscribers = (): string => server.cli("pubsub", "numsub", "news").split("\n").at(-1) ?? "";

  await client.open();
  await until("subscribed", () => subscribers() === "1");
  sockets[1]?.destroy();
  await until("subscribed again", () => sockets.length > 2 + BROKEN && subscribers() === "1", 20_000);
  server.cli("publish", "news", "x");

  await until("heard", () => heard === 1);
  expect(strays).toEqual([]);
});

import { describe, expect, it } from "vitest";
import { clusterOptions, redisOptions, retryDelayMs } from "../../../src/store/client-options.ts";
import { redisConfig } from "../../support/fleet.ts";

const nodes = [{ host: "10.0.0.1", port: 7000 }];

describe("what ioredis is told", () => {
  it("never to queue, to resend or to wait without an end", () => {
    const bounds = { commandTimeout: 300, socketTimeout: 300, maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false };
    expect(redisOptions(redisConfig({ topology: { kind: "standalone", host: "a", port: 1 } }))).toMatchObject({
      ...bounds,
      host: "a",
      port: 1,
      enableOfflineQueue: false,
    });
    const { startup, options } = clusterOptions(redisConfig({ topology: { kind: "cluster", nodes } }), nodes);
    expect(startup).toEqual(nodes);
    expect(options).toMatchObject({ redisOptions: bounds, enableOfflineQueue: false });
  });

  it("the sentinels' credentials are not the master's, TLS is for both", () => {
    const topology = { kind: "sentinel" as const, name: "main", nodes, username: null, password: "of the sentinels" };
    const tls = { ca: "CA", cert: null, key: null, serverName: "redis.internal", verify: true };
    const options = redisOptions(redisConfig({ topology, tls, username: "app", password: "of the master" }));
    expect(options).toMatchObject({
      name: "main",
      sentinels: nodes,
      username: "app",
      password: "of the master",
      sentinelPassword: "of the sentinels",
      enableTLSForSentinelMode: true,
      tls: { ca: "CA", servername: "redis.internal", rejectUnauthorized: true },
      sentinelTLS: { ca: "CA" },
    });
    expect(options.sentinelUsername).toBeUndefined();
  });

  it("to reconnect when the master became a replica, and on no other error", () => {
    const { reconnectOnError } = redisOptions(redisConfig({ topology: { kind: "unix", path: "/run/redis.sock" } }));
    expect(reconnectOnError?.(new Error("READONLY You can't write against a read only replica."))).toBe(true);
    expect(reconnectOnError?.(new Error("NOSCRIPT No matching script."))).toBe(false);
  });
});

it("pauses double up to a bound, and half of each is chance", () => {
  const delays = (random: number) => [1, 2, 3, 10, 1000].map((attempt) => retryDelayMs(attempt, () => random));
  expect(delays(1)).toEqual([50, 100, 200, 1000, 1000]);
  expect(delays(0)).toEqual([25, 50, 100, 500, 500]);
});

// Owns what deserves a look in the `redis` section although the schema takes it. Must never connect.
import type { Findings } from "./check-references.ts";
import type { Draft } from "./sections.ts";

export function checkRedis({ sections }: Draft, { warn }: Findings): void {
  const { redis } = sections;
  if (redis === undefined || redis === null) return;
  if (redis.secret === null && redis.password === null)
    warn(
      ["redis"],
      "keys of limits are hashed with a value that anybody can know: callers could choose keys that collide",
      "set redis.secret, equal in all instances",
    );
  if (redis.commandTimeoutMs < redis.syncIntervalMs)
    warn(["redis", "commandTimeout"], "shorter than syncInterval: a slow answer counts as an outage", "make it a multiple of syncInterval");
}

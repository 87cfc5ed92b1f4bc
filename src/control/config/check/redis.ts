// Owns what the schema cannot say of the `redis` section: what needs it, and what deserves a look although the schema takes it. Must never connect.

import type { CacheSettings } from "../../../plan/cache-plan.ts";
import { isCache } from "../schema/features.ts";
import type { Draft } from "../schema/sections.ts";
import type { Findings } from "./references.ts";

export function checkRedis({ sections, routes }: Draft, { report, warn }: Findings): void {
  const { redis, consumersFrom } = sections;
  if (redis === null && (consumersFrom?.redis ?? null) !== null)
    report(["consumersFrom", "redis"], "there is no `redis` section", "say under `redis` where it is");
  if (redis === undefined || redis === null) return;
  const isSecret = redis.secret !== null || redis.password !== null;
  if (!isSecret && routes.some(({ policies }) => policies.some((policy) => isCache(policy) && (policy.config as CacheSettings).redis)))
    warn(
      ["redis"],
      "stored responses are signed with a value that anybody can know: whoever can write to Redis can have them say what he likes",
      "set redis.secret, equal in all instances",
    );
  if (!isSecret)
    warn(
      ["redis"],
      "keys of limits are hashed with a value that anybody can know: callers could choose keys that collide",
      "set redis.secret, equal in all instances",
    );
  if (redis.commandTimeoutMs < redis.syncIntervalMs)
    warn(["redis", "commandTimeout"], "shorter than syncInterval: a slow answer counts as an outage", "make it a multiple of syncInterval");
}

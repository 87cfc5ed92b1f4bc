// Where the fleet's log of purges lies.
import { shardTag } from "./shard.ts";

export const purgeLogKey = (prefix: string): string => `${shardTag(prefix, 0)}:purges`;

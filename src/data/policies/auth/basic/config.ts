// Owns the schema of `auth.NAME.basic`. Loaded by the primary only.
import * as z from "zod";
import { duration, once } from "../../../../base/schema.ts";

const CACHE_MS_MAX = 3_600_000;

export const basicConfig = once(() =>
  z
    .strictObject({
      cacheFor: duration()
        .refine((ms) => ms <= CACHE_MS_MAX, "expected at most 1h")
        .prefault("1m")
        .meta({
          description: "How long a worker remembers that a password was right: checking it takes tens of milliseconds. 0 for never.",
        }),
      concurrency: z.int().min(1).max(16).prefault(1).meta({
        description:
          "Passwords checked at once in each worker, on threads that the whole process shares (4, or UV_THREADPOOL_SIZE): `validate` warns when all workers together could take more than there are.",
      }),
      queue: z.int().min(0).max(10_000).prefault(64).meta({
        description: "Passwords that wait to be checked in each worker; beyond that the answer is 503 `auth_overloaded`.",
      }),
    })
    .transform(({ cacheFor, ...rest }) => ({ ...rest, cacheForMs: cacheFor }))
    .meta({
      description:
        "User name and password (RFC 7617), looked up by `consumers[].username` or id and checked against `consumers[].password`.",
    }),
);

export type BasicConfig = z.output<ReturnType<typeof basicConfig>>;

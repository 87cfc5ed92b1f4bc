// Owns the schema of `auth.NAME.basic`. Loaded by the primary only.
import * as z from "zod";
import { insecure } from "../../../../base/insecure-schema.ts";
import { duration, once, UNREADABLE } from "../../../../base/schema.ts";
import type { WayOut } from "../../../../base/ways-out.ts";
import { type HtpasswdUser, readHtpasswd } from "../../../credentials/htpasswd.ts";

const CACHE_MS_MAX = 3_600_000;
const HTPASSWD_CHARS_MAX = 4 * 1024 ** 2;

export interface BasicConfig {
  readonly cacheForMs: number;
  readonly concurrency: number;
  readonly queue: number;
  /** Those of an htpasswd file, in place of the consumers with a password; null without one. */
  readonly users: readonly HtpasswdUser[] | null;
  readonly insecure: readonly WayOut[];
}

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
          "Passwords checked at once in each worker, on threads that the whole process shares (4, or UV_THREADPOOL_SIZE): `validate` warns when all workers together could take more than there are. bcrypt, apr1 and {SHA} have one thread of their own in each worker.",
      }),
      queue: z.int().min(0).max(10_000).prefault(64).meta({
        description:
          "Passwords that wait to be checked in each worker, in turn by client address (an IPv6 network of 64 bits is one); beyond that those of the address with the most, else the newest, are answered with 503 `auth_overloaded`.",
      }),
      htpasswd: z
        .string()
        .max(HTPASSWD_CHARS_MAX)
        .optional()
        .meta({
          description:
            "`file:path` of an htpasswd file, or its text: who may sign in, instead of the consumers with a `password`. A user is the consumer of that `username` or id, if there is one, and has its grants and tier; else the name is the id.",
          examples: ["file:users.htpasswd"],
        }),
      insecure: insecure("basic"),
    })
    .transform(({ cacheFor, htpasswd, insecure = [], ...rest }, ctx): BasicConfig => {
      const users = htpasswd === undefined || htpasswd === UNREADABLE ? null : usersOf(htpasswd, insecure, ctx);
      return { ...rest, users, insecure, cacheForMs: cacheFor };
    })
    .meta({
      description:
        "User name and password (RFC 7617), looked up by `consumers[].username` or id and checked against `consumers[].password`, or by an htpasswd file.",
    }),
);

function usersOf(text: string, insecure: readonly WayOut[], ctx: z.RefinementCtx): readonly HtpasswdUser[] {
  const complain = (message: string, remedy: string): void =>
    void ctx.addIssue({ code: "custom", path: ["htpasswd"], message, params: { remedy } });
  if (!/[:\n]/.test(text)) {
    complain("expected `file:` and a path, or lines of a user name, a colon and a hash", "write `file:` before the path");
    return [];
  }
  const { users, problems } = readHtpasswd(text, insecure.includes("weak-hashes"));
  for (const problem of problems)
    complain(
      problem,
      "hash the password anew with `sluice password hash`, or `htpasswd -B -C 10`; `insecure: [weak-hashes]` lets apr1 and {SHA} in",
    );
  return users;
}

// What the thread for passwords does: checks one against a hash that people brought along, synchronously. Must never keep or log a password.
import { createHash, timingSafeEqual } from "node:crypto";
import os from "node:os";
import { isMainThread } from "node:worker_threads";
import { apr1 } from "./apr1.ts";
import { bcrypt } from "./bcrypt.ts";

/** Whether a password fits a hash; data/credentials/foreign-hash.ts reads the forms. */
export interface PasswordJob {
  readonly password: string;
  readonly scheme: "bcrypt" | "apr1" | "sha1";
  /** Of bcrypt: log2 of the rounds. */
  readonly cost: number;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

/** Below the event loops when there is not enough CPU for all (Linux gives each thread its own niceness). */
const NICENESS = 10;
if (process.platform === "linux" && !isMainThread) os.setPriority(0, NICENESS);

export function checkPassword({ password, scheme, cost, salt, hash }: PasswordJob): boolean {
  const bytes = Buffer.from(password, "utf8");
  const made =
    scheme === "bcrypt" ? bcrypt(bytes, salt, cost) : scheme === "apr1" ? apr1(bytes, salt) : createHash("sha1").update(bytes).digest();
  bytes.fill(0);
  return made.length === hash.length && timingSafeEqual(made, hash);
}

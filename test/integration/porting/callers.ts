// Owns who calls in the cases of docs/porting.md: consumers that every case knows, and the files that cases name.
import { hash } from "node:crypto";

export const CALLERS = {
  acmeKey: "a-key-of-acme",
  globexKey: "a-key-of-globex",
  jwtSecret: "a secret of thirty-two bytes, or more",
} as const;

const hashed = (key: string): string => `sha256:${hash("sha256", key)}`;

export const CONSUMERS = [
  { id: "acme", groups: ["admins"], keys: [hashed(CALLERS.acmeKey)] },
  { id: "globex", keys: [hashed(CALLERS.globexKey)] },
];

/** `ann`, whose password is `secret`, as `htpasswd -B` writes it. */
export const FILES = { "users.htpasswd": "ann:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n" };

// Owns `sluice key`: makes API keys and hashes them for the configuration. A key is printed once and stands in no argument, file or log of ours.
import { createHmac, hash, randomBytes } from "node:crypto";
import { callerName } from "../../base/caller-name.ts";
import { OperatorError } from "../../base/errors.ts";
import { readRegularFile } from "../../base/read-file.ts";
import { secretOf } from "../../control/config/source/secret-file.ts";
import { consumersKey, markerKey } from "../../store/consumer-script.ts";
import { readArguments, wrongUsage } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { readSecret } from "./standard-input.ts";

/** So that people and scanners of leaked secrets recognise one. */
const KEY_PREFIX = "slk_";
const KEY_BYTES = 32;
const KEY_CHARS_MAX = 512;
const PEPPER_CHARS_MIN = 16;
const WORDS = {
  known: ["create", "hash"],
  otherwise: "expected create or hash; a key is never an argument: other users of this machine could read it",
} as const;
export const OPTIONS = { consumer: { type: "string" }, redis: { type: "string" }, pepper: { type: "string" } } as const;

/** @returns 0. @throws OperatorError for wrong arguments or input. */
export async function keyCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const { action, consumer, redis, pepper } = keyArguments(argv);
  if (action === "create") {
    const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString("base64url");
    const hashed = hashKey(key, pepper);
    io.stdout(`key   ${key}\nhash  ${hashed}\n`);
    if (consumer !== null && redis !== null) io.stdout(`redis ${redisCommand(consumer, redis, hashed)}\n`);
    const entry = consumer === null ? "the consumer's `keys`" : `the \`keys\` of consumer ${consumer}`;
    io.stderr(`The key is shown this once: give it to the caller. The hash goes into ${entry}.\n`);
    return 0;
  }
  const key = await readSecret(io, "the key");
  if (key.length > KEY_CHARS_MAX || !/^[\x21-\x7e]+$/.test(key))
    throw new OperatorError(`a key has 1 to ${KEY_CHARS_MAX} visible ASCII characters`);
  io.stdout(`${hashKey(key, pepper)}\n`);
  return 0;
}

interface KeyArguments {
  readonly action: "create" | "hash";
  readonly consumer: string | null;
  /** Prefix of the keys in Redis. */
  readonly redis: string | null;
  readonly pepper: string | null;
}

function keyArguments(argv: readonly string[]): KeyArguments {
  const { values, word } = readArguments(argv, { command: "key", options: OPTIONS, positional: WORDS });
  const { consumer = null, redis = null, pepper = null } = values;
  const action = word === "create" ? "create" : "hash";
  if (action === "hash" && consumer !== null) throw wrongUsage("key", "--consumer goes with create");
  if (redis !== null && (!/^[\w.-]+$/.test(redis) || callerName(consumer ?? "") === null))
    throw wrongUsage("key", "--redis takes the prefix of the configuration's `redis` section, and needs a --consumer");
  return { action, consumer, redis, pepper: pepper === null ? null : readPepper(pepper) };
}

/** For a shell: makes a new consumer, or replaces one whole, and says that it is there. Both in one step. */
function redisCommand(consumer: string, prefix: string, hashed: string): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const script = quoted("redis.call('HSET',KEYS[1],ARGV[1],ARGV[2]) return redis.call('INCR',KEYS[2])");
  const value = quoted(JSON.stringify({ keys: [hashed] }));
  return `redis-cli EVAL ${script} 2 ${consumersKey(prefix)} ${quoted(markerKey(prefix))} ${quoted(consumer)} ${value}`;
}

/** As the configuration reads it. */
function readPepper(written: string): string {
  if (!written.startsWith("file:")) throw wrongUsage("key", "--pepper takes file:PATH: arguments can be read by other users");
  const path = written.slice("file:".length);
  const found = readRegularFile(path);
  const text = found instanceof Error ? found : secretOf(found.bytes, "text");
  if (text instanceof Error) throw new OperatorError(`can't read the pepper in ${path}: ${text.message}`);
  if (text.length < PEPPER_CHARS_MIN) throw new OperatorError(`the pepper in ${path} is shorter than ${PEPPER_CHARS_MIN} characters`);
  return text;
}

const hashKey = (key: string, pepper: string | null): string =>
  pepper === null ? `sha256:${hash("sha256", key)}` : `hmac-sha256:${createHmac("sha256", pepper).update(key, "utf8").digest("hex")}`;

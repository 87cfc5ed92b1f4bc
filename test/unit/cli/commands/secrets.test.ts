// `sluice key` and `sluice password`: what they print fits what the gateway checks, and secrets come by standard input only.
import { createHmac, hash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OperatorError } from "../../../../src/base/errors.ts";
import type { Command } from "../../../../src/cli/command.ts";
import { keyCommand } from "../../../../src/cli/commands/key.ts";
import { passwordCommand } from "../../../../src/cli/commands/password.ts";
import { parsePasswordHash, passwordFits } from "../../../../src/data/credentials/password-hash.ts";

const PEPPER = "a pepper of this test";
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-secrets-"));
  writeFileSync(join(folder, "pepper"), `${PEPPER}\n`);
  writeFileSync(join(folder, "short"), "short\n");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @param input chunks of standard input */
async function run(command: Command, argv: readonly string[], input: readonly (string | Uint8Array)[] = []) {
  let stdout = "";
  let stderr = "";
  const io = {
    stdout: (text: string) => void (stdout += text),
    stderr: (text: string) => void (stderr += text),
    env: {},
    async *stdin() {
      for (const chunk of input) yield Buffer.from(chunk as string); // Buffer.from takes both
    },
  };
  const code = await command(
    argv.map((arg) => arg.replace("FOLDER", folder)),
    io,
  ).catch((error: unknown) => {
    if (!(error instanceof OperatorError)) throw error;
    return `${error.exitCode}: ${error.message.split("\n")[0]?.replace(folder, "FOLDER")}`;
  });
  return { code, stdout, stderr };
}

const noThread = () => Promise.reject(new Error("only hashes of other programs need a thread"));

describe("key create", () => {
  it("prints a new key and its hash", async () => {
    const first = await run(keyCommand, ["create", "--consumer", "acme"]);
    const [, key = "", digest] = /^key {3}(slk_[\w-]{43})\nhash {2}(sha256:[0-9a-f]{64})\n$/.exec(first.stdout) ?? [];
    expect(digest).toBe(`sha256:${hash("sha256", key)}`);
    expect(first.stderr).toContain("consumer acme");
    expect(first.stderr).not.toContain(key);
    expect((await run(keyCommand, ["create"])).stdout).not.toBe(first.stdout);
  });
  it("with a pepper", async () => {
    const { stdout } = await run(keyCommand, ["create", "--pepper", "file:FOLDER/pepper"]);
    const [, key = "", digest] = /^key {3}(\S+)\nhash {2}(\S+)\n$/.exec(stdout) ?? [];
    expect(digest).toBe(`hmac-sha256:${createHmac("sha256", PEPPER).update(key).digest("hex")}`);
  });
});

it("key create for Redis prints the command too; it holds no key", async () => {
  const { stdout } = await run(keyCommand, ["create", "--consumer", "acme", "--redis", "eu-1"]);
  const [, key = "", digest = "", command = ""] = /^key {3}(\S+)\nhash {2}(\S+)\nredis (redis-cli EVAL .+)\n$/.exec(stdout) ?? [];
  expect(command).toContain(`2 eu-1:consumers '{eu-1:consumers}:version' 'acme' '{"keys":["${digest}"]}'`);
  expect(command).not.toContain(key);
});

describe("key hash", () => {
  it("reads the key from standard input", async () => {
    const expected = { code: 0, stdout: `sha256:${hash("sha256", "my-key")}\n`, stderr: "" };
    expect(await run(keyCommand, ["hash"], ["my-", "key\n"])).toEqual(expected);
    expect(await run(keyCommand, ["hash"], ["my-key"])).toEqual(expected);
    expect(await run(keyCommand, ["hash"], ["my-key\r\n", "what a terminal says later"])).toEqual(expected);
  });
});

describe("password hash", () => {
  it.each([
    ["argon2id", ["hash"]],
    ["scrypt", ["hash", "--scrypt"]],
  ])(
    "%s",
    async (scheme, argv) => {
      const { code, stdout } = await run(passwordCommand, argv, ["pa\u030assw:rd\n"]);
      const parsed = parsePasswordHash(stdout.trimEnd());
      expect([code, parsed?.scheme.scheme]).toEqual([0, scheme]);
      if (parsed === null) throw new Error("unreachable");
      expect(await passwordFits("p\u00e5ssw:rd", parsed, noThread)).toBe(true);
      expect(await passwordFits("passw:rd", parsed, noThread)).toBe(false);
    },
    60_000,
  ); // four times a hash that is dear on purpose
});

describe("refuses", () => {
  const check = (name: string, command: Command, argv: string[], input: (string | Uint8Array)[], expected: string) =>
    it(name, async () => expect(await run(command, argv, input)).toMatchObject({ code: expected, stdout: "" }));
  const asArgument = "2: expected create or hash; a key is never an argument: other users of this machine could read it";
  check("nothing to do", keyCommand, [], [], asArgument);
  check("a key as an argument", keyCommand, ["hash", "my-key"], [], asArgument);
  check("a consumer for a hash", keyCommand, ["hash", "--consumer", "a"], [], "2: --consumer goes with create");
  const forRedis = "2: --redis takes the prefix of the configuration's `redis` section, and needs a --consumer";
  check("a key for Redis of nobody", keyCommand, ["create", "--redis", "sluice"], [], forRedis);
  check("a consumer for Redis that is no id", keyCommand, ["create", "--redis", "sluice", "--consumer", "a "], [], forRedis);
  check("a prefix that is none", keyCommand, ["create", "--redis", "a b", "--consumer", "a"], [], forRedis);
  check("an unknown option", keyCommand, ["create", "--key=1"], [], "2: unknown option '--key'");
  check(
    "a pepper as an argument",
    keyCommand,
    ["create", "--pepper", PEPPER],
    [],
    "2: --pepper takes file:PATH: arguments can be read by other users",
  );
  check(
    "a short pepper",
    keyCommand,
    ["create", "--pepper", "file:FOLDER/short"],
    [],
    "1: the pepper in FOLDER/short is shorter than 16 characters",
  );
  check("no key", keyCommand, ["hash"], ["\n"], "1: give the key on standard input");
  check("two lines", keyCommand, ["hash"], ["a\nb\n"], "1: the key on standard input has more than one line");
  check("a space", keyCommand, ["hash"], ["a b\n"], "1: a key has 1 to 512 visible ASCII characters");
  check("endless input", keyCommand, ["hash"], ["a".repeat(4097)], "1: the key on standard input is longer than 4096 bytes");
  check("not UTF-8", passwordCommand, ["hash"], [Uint8Array.of(0xff, 0x0a)], "1: standard input is not UTF-8");
  check(
    "a password as an argument",
    passwordCommand,
    ["hash", "pw"],
    [],
    "2: expected hash; the password is read from standard input, never from an argument",
  );
  check("a tab", passwordCommand, ["hash"], ["a\tb\n"], "1: a password has no control characters");
});

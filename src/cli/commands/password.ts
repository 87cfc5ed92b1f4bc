// Owns `sluice password`: hashes a password for the configuration. Must never take one as an argument.
import { OperatorError } from "../../base/errors.ts";
import { ARGON2ID_DEFAULT, hashPassword, SCRYPT_DEFAULT } from "../../data/credentials/password-hash.ts";
import { readArguments } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { readSecret } from "./standard-input.ts";

const WORDS = { known: ["hash"], otherwise: "expected hash; the password is read from standard input, never from an argument" } as const;
export const OPTIONS = { scrypt: { type: "boolean" } } as const;

/** @returns 0. @throws OperatorError for wrong arguments or input. */
export async function passwordCommand(argv: readonly string[], io: CommandIo): Promise<number> {
  const { values } = readArguments(argv, { command: "password", options: OPTIONS, positional: WORDS });
  const password = await readSecret(io, "the password");
  // RFC 7617 section 2: such a one could never be sent.
  if (/[\u0000-\u001f\u007f]/.test(password)) throw new OperatorError("a password has no control characters");
  io.stdout(`${await hashPassword(password, values.scrypt === true ? SCRYPT_DEFAULT : ARGON2ID_DEFAULT)}\n`);
  return 0;
}

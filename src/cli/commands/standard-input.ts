// Owns reading a secret from standard input: the one place where it is neither in the list of processes nor in a shell's history.
import { OperatorError } from "../../base/errors.ts";
import type { CommandIo } from "../command.ts";

const BYTES_MAX = 4096;

/**
 * The first line; what a terminal shows while it is typed is the terminal's business.
 * @throws OperatorError when it is empty, too long, not UTF-8 or several lines
 */
export async function readSecret(io: CommandIo, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of io.stdin()) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > BYTES_MAX) throw new OperatorError(`${what} on standard input is longer than ${BYTES_MAX} bytes`);
    chunks.push(bytes);
    if (bytes.includes(0x0a)) break; // a terminal goes on for ever
  }
  const text = decode(Buffer.concat(chunks)).replace(/\r?\n$/, "");
  if (text === "") throw new OperatorError(`give ${what} on standard input`);
  if (/[\r\n]/.test(text)) throw new OperatorError(`${what} on standard input has more than one line`);
  return text;
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new OperatorError("standard input is not UTF-8");
  }
}

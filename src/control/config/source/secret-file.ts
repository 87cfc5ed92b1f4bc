// Owns what the bytes of a file mean that holds a secret. Must never make another secret of them by reading what is no text as if it were one, and
// never repeat a part of them in a message.
import { rawKey } from "../../../base/key-bytes.ts";
import { decodeUtf8 } from "../../../base/utf8.ts";

/**
 * text: one line that is sent or compared as it is (a token, a password, a URL).
 * key: what something is signed with; bytes that are no text are taken as they are.
 */
export type SecretKind = "text" | "key";

/** Bytes that nobody writes by hand: control characters but tab and line ends, and DEL. */
const UNWRITTEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/;

/**
 * @returns the secret: the text without a byte order mark and without one line end at its end; bytes that are no text as `base64:` and base64, which
 * every field of kind `key` takes
 */
export function secretOf(bytes: Buffer, kind: SecretKind): string | Error {
  const text = decodeUtf8(bytes);
  if (typeof text !== "string") {
    if (text.what.endsWith("UTF-16")) return new Error(`${text.what}; save it as UTF-8`);
    return kind === "key" ? rawKey(bytes) : new Error(`it is not text (byte ${text.offset + 1}); ${TEXT_REMEDY}`);
  }
  if (UNWRITTEN.test(text)) return kind === "key" ? rawKey(bytes) : new Error(`it holds control characters; ${TEXT_REMEDY}`);
  const secret = text.replace(/\r?\n$/, "");
  return kind === "text" && /[\r\n]/.test(secret) ? new Error("it holds more than one line; leave the secret alone in it") : secret;
}

const TEXT_REMEDY = "write a text, such as `openssl rand -base64 48` makes";

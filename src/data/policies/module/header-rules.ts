// Owns which headers a policy of the user's own may write, and how. Throws at what would break a message, or let a value begin another header.
import { isProtected } from "../../../base/protected-headers.ts";

const NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]{1,256}$/;
/** Visible characters, blanks and bytes above ASCII (RFC 9110 section 5.5); none of CR, LF, NUL. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @returns the name in lower case. @throws TypeError */
export function writableName(name: string): string {
  const lower = String(name).toLowerCase();
  if (!NAME.test(lower)) throw new TypeError(`${JSON.stringify(name)} is no name of a header`);
  if (isProtected(lower))
    throw new TypeError(`the header ${lower} frames the message or belongs to one connection: the gateway writes it itself`);
  return lower;
}

/** @throws TypeError */
export function headerValue(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`the value of ${name} is no text but ${typeof value}`);
  if (!VALUE.test(value))
    throw new TypeError(`the value of ${name} holds characters that no header may: line breaks, control characters, or any beyond U+00FF`);
  return value;
}

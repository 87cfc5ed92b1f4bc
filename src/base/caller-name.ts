// Owns what may name a caller, a role or a group: what identity providers send, with blanks and beyond ASCII. Pure; for primary and workers.
// Must never take a name that could end a line of a log, or that differs from another only by blanks at its ends.

/** UTF-16 code units. */
export const CALLER_NAME_CHARS_MAX = 256;

/** No control characters (C0, DEL, C1), no line or paragraph separators, no U+FFFD, which stands for bytes that were lost; blanks only inside. */
export const CALLER_NAME =
  /^[^\s\u0000-\u001f\u007f-\u009f\ufffd](?:[^\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd]{0,254}[^\s\u0000-\u001f\u007f-\u009f\ufffd])?$/;

export const CALLER_NAME_RULE = `1 to ${CALLER_NAME_CHARS_MAX} characters without control characters, and no blanks at the ends`;

/** RFC 6749 section 3.3: a scope stands in lists that blanks separate, and in challenges between quotes. */
export const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

/** A name as text: a text that can be used, or a whole number, which has one spelling. @returns null for anything else */
export function callerName(value: unknown): string | null {
  if (typeof value === "string") return CALLER_NAME.test(value) ? value : null;
  return Number.isSafeInteger(value) ? String(value) : null;
}

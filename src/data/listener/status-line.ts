// Status lines (`404 Not Found`) by code, made once. RFC 9110 section 15; the reason phrase has no meaning (RFC 9112 section 4).

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms, in each thread).
const { STATUS_CODES } = process.getBuiltinModule("node:http");

const LINES: readonly string[] = Array.from({ length: 600 }, (_, code) => `${code} ${STATUS_CODES[code] ?? "Status"}`);

/** @param status 100..599; others get a generic phrase. */
export const statusLine = (status: number): string => LINES[status] ?? `${status} Status`;

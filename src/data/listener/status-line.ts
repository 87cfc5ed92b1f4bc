// Status lines (`404 Not Found`) by code, made once. RFC 9110 section 15; the reason phrase has no meaning (RFC 9112 section 4).
import { STATUS_CODES } from "node:http";

const LINES: readonly string[] = Array.from({ length: 600 }, (_, code) => `${code} ${STATUS_CODES[code] ?? "Status"}`);

/** @param status 100..599; others get a generic phrase. */
export const statusLine = (status: number): string => LINES[status] ?? `${status} Status`;

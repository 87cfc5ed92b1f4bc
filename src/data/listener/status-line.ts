// Status lines (`404 Not Found`) by code, each made once. RFC 9110 section 15; the reason phrase has no meaning (RFC 9112 section 4).

const lines: string[] = [];

/** @param status 100..599; behind one without a name of its own stands the blank that must be there, and nothing. */
export const statusLine = (status: number): string => (lines[status] ??= `${status} ${reasonPhrase(status)}`);

/** node:http is loaded with the first of them, and not by import: that reads every export, and one of them loads a whole fetch implementation. */
export const reasonPhrase = (status: number): string => process.getBuiltinModule("node:http").STATUS_CODES[status] ?? "";

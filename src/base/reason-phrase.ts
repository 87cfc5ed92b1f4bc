// Owns the names of statuses. RFC 9110 section 15.

/**
 * node:http is loaded with the first of them, and not by import: that reads every export, and one of them loads a whole fetch implementation.
 * @returns '' for a status without a name
 */
export const reasonPhrase = (status: number): string => process.getBuiltinModule("node:http").STATUS_CODES[status] ?? "";

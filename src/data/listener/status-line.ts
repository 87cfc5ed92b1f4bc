// Status lines (`404 Not Found`) by code, each made once. RFC 9110 section 15; the reason phrase has no meaning (RFC 9112 section 4).
import { reasonPhrase } from "../../base/reason-phrase.ts";

const lines: string[] = [];

/** @param status 100..599; behind one without a name of its own stands the blank that must be there, and nothing. */
export const statusLine = (status: number): string => (lines[status] ??= `${status} ${reasonPhrase(status)}`);

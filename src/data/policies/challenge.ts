// Owns the text of WWW-Authenticate challenges (RFC 9110 section 11.6.1; RFC 6750 section 3 for Bearer). Pure; shared by auth and authorize.
// Must never let text end a quoted string.

/** An error_description beyond this helps nobody. */
const DESCRIPTION_CHARS_MAX = 200;
/** RFC 6750 section 3: what error and error_description may not hold. */
const UNQUOTABLE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g;

/** Parameters of one occurrence. */
export interface ChallengeParameters {
  /** RFC 6750 section 3.1; null for none. */
  readonly error: string | null;
  /** Human-readable; '' for none. Left out without an error. */
  readonly description?: string;
  /** Scopes that would suffice (RFC 6750 section 3). */
  readonly scopes?: readonly string[];
}

const isBearer = (challenge: string): boolean => /^bearer(?: |$)/i.test(challenge);

/** A challenge with what RFC 6750 adds for this occurrence; other schemes than Bearer have no such parameters and stay as they are. */
export function challengeFor(challenge: string, { error, description = "", scopes = [] }: ChallengeParameters): string {
  if (error === null || !isBearer(challenge)) return challenge;
  let text = `${challenge}${challenge.includes("=") ? "," : ""} error="${quotable(error)}"`;
  if (description !== "") text += `, error_description="${quotable(description).slice(0, DESCRIPTION_CHARS_MAX)}"`;
  if (scopes.length > 0) text += `, scope="${scopes.map(quotable).join(" ")}"`;
  return text;
}

const quotable = (text: string): string => text.replace(UNQUOTABLE, "?");

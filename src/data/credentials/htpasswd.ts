// Owns the form of htpasswd files (Apache, nginx, Traefik): a user name, a colon and a hash a line. Pure.
// Must never put a hash, or a line that cannot be read, into a message.
import { CALLER_NAME_RULE, callerName } from "../../base/caller-name.ts";
import { isWeak, passwordHashProblem } from "./password-hash.ts";

/** More belong among the consumers. */
const USERS_MAX = 10_000;
/** Told of one file. */
const PROBLEMS_MAX = 5;
export interface HtpasswdUser {
  readonly username: string;
  /** The hash, as it stands in the file. */
  readonly password: string;
}

export interface Htpasswd {
  readonly users: readonly HtpasswdUser[];
  /** With the line that each is about. */
  readonly problems: readonly string[];
}

/** @param takesWeak weak hashes are taken: the operator wrote so */
export function readHtpasswd(text: string, takesWeak: boolean): Htpasswd {
  const users = new Map<string, HtpasswdUser>();
  const problems: string[] = [];
  for (const [i, written] of text.split("\n").entries()) {
    const line = written.replace(/\r$/, "");
    if (line.trim() === "" || line.startsWith("#")) continue;
    const problem = addLine(users, line, takesWeak);
    if (problem !== null) problems.push(`line ${i + 1}: ${problem}`);
    if (problems.length === PROBLEMS_MAX) break;
  }
  if (users.size === 0 && problems.length === 0) problems.push("there is no user in it");
  return { users: [...users.values()], problems };
}

/** @returns what is wrong with it; null when it is added */
function addLine(users: Map<string, HtpasswdUser>, line: string, takesWeak: boolean): string | null {
  const colon = line.indexOf(":");
  if (colon < 0) return "expected a user name, a colon and a hash";
  const username = line.slice(0, colon).normalize("NFC");
  // nginx lets a comment follow.
  const password = line
    .slice(colon + 1)
    .replace(/:.*$/, "")
    .trimEnd();
  if (callerName(username) === null) return `the user name could not be a consumer's id: expected ${CALLER_NAME_RULE}`;
  if (users.has(username)) return `the user ${username} stands there twice`;
  const problem = passwordHashProblem(password);
  if (problem !== null) return `${username}: ${problem}`;
  if (!takesWeak && isWeak(password)) return `${username}: ${WEAK}`;
  if (users.size === USERS_MAX) return `${username}: there are more than ${USERS_MAX} users`;
  users.set(username, { username, password });
  return null;
}

/** What is said of a weak hash that nobody has let in. */
export const WEAK = "apr1 and {SHA} are weak: whoever gets the hash finds most passwords";

// Owns the kind `basic` (RFC 7617): user name and password, checked off the event loop, remembered briefly.
// Must never tell an unknown user from a wrong password, neither in words nor in time.
import { isUtf8 } from "node:buffer";
import { maskIp } from "../../../../base/ip.ts";
import type { ConsumerPlan } from "../../../../plan/plan.ts";
import type { HtpasswdUser } from "../../../credentials/htpasswd.ts";
import {
  ARGON2ID_DEFAULT,
  type CheckForeign,
  hashOfNobody,
  type PasswordHash,
  type PasswordScheme,
  parsePasswordHash,
  passwordFits,
} from "../../../credentials/password-hash.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome } from "../../../exchange/identity/authenticator.ts";
import { keptState } from "../../kept-state.ts";
import { consumersByName, consumersByUsername } from "../consumer-index.ts";
import { ABSENT, challengeOf, consumerIdentity, proven, refused, unavailable } from "../outcome.ts";
import { placeOf } from "../places.ts";
import { NONE, SEVERAL } from "../reading.ts";
import { type Finding, Verdicts } from "../verdicts.ts";
import type { BasicConfig } from "./config.ts";

/** Longest credential looked at, in characters of base64. */
const CREDENTIAL_CHARS_MAX = 2048;
/** How long a wrong password is remembered, ms: long enough that repeating it costs nothing, short enough for a mended configuration. */
const WRONG_MS = 10_000;
/** Credentials remembered in each worker, right and wrong ones each. */
const REMEMBERED_MAX = 10_000;
/** Whose passwords wait in one turn: an address, of IPv6 what one customer gets. */
const IPV4_BITS = 32;
const IPV6_BITS = 64;

const SEVERAL_CREDENTIALS = refused("more than one Authorization header");
const MALFORMED = refused("the Basic credentials are not base64 of `user:password` in UTF-8 without control characters (RFC 7617)");
const WRONG = refused("the user name or the password is wrong");
const OVERLOADED = unavailable("auth_overloaded", "too many passwords are waiting to be checked");
const FAILED = unavailable("auth_unavailable", "the password could not be checked");

/** What was found of a credential: holds as long as the user still has the password that it was checked against. */
interface Verdict {
  readonly username: string;
  /** As configured; null: there was no such user. */
  readonly password: string | null;
  /** null: it could not be checked. */
  readonly right: boolean | null;
}

export function createBasicAuthenticator({ plan, consumers, services }: AuthenticatorContext): Authenticator {
  const config = plan.config as BasicConfig; // output of basicConfig, by the registry
  const { concurrency, queue, cacheForMs, users: listed } = config;
  // Not by the whole configuration: each verdict holds the hash that it is about, so that a file of users with one more is no stampede.
  const fingerprint = `${concurrency} ${queue} ${cacheForMs}`;
  const verdicts = keptState(services, { ...plan, fingerprint }, () => {
    return new Verdicts<Verdict>({ running: concurrency, waiting: queue, remembered: REMEMBERED_MAX });
  });
  const users = listed === null ? consumersByUsername(consumers) : usersOf(listed, consumers);
  const foreign: CheckForeign = (password, { scheme, salt, hash }) =>
    services.checkPassword({ password, scheme: scheme.scheme, cost: "cost" in scheme ? scheme.cost : 0, salt, hash });
  return new BasicAuthenticator(plan.name, cacheForMs, { users, verdicts, foreign });
}

/** Those of an htpasswd file: a user whom no consumer knows is one of its own, without grants. */
function usersOf(listed: readonly HtpasswdUser[], consumers: ReadonlyMap<string, ConsumerPlan>): ReadonlyMap<string, ConsumerPlan> {
  const named = consumersByName(consumers);
  return new Map(
    listed.map(({ username, password }) => [
      username,
      { ...(named.get(username) ?? consumers.get(username) ?? stranger(username)), password },
    ]),
  );
}

const stranger = (id: string): ConsumerPlan => ({
  ...{ id, tier: null, username: null, password: null },
  ...{ scopes: [], roles: [], groups: [], keys: [], certificates: [], signingSecrets: [] },
});

interface Parts {
  readonly users: ReadonlyMap<string, ConsumerPlan>;
  readonly verdicts: Verdicts<Verdict>;
  readonly foreign: CheckForeign;
}

const PLACE = placeOf({ in: "header", name: "authorization", scheme: "Basic" });

class BasicAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes = "a user name and password (Basic) in the header authorization";
  readonly places = [PLACE];
  readonly challenge: string;
  private readonly rightMs: number;
  private readonly users: ReadonlyMap<string, ConsumerPlan>;
  private readonly verdicts: Verdicts<Verdict>;
  /** At most one entry a user. */
  private readonly outcomes = new Map<string, AuthOutcome>();
  private readonly nobody: PasswordHash;
  private readonly foreign: CheckForeign;

  constructor(name: string, rightMs: number, { users, verdicts, foreign }: Parts) {
    this.name = name;
    this.challenge = `${challengeOf("Basic", name)}, charset="UTF-8"`;
    this.rightMs = rightMs;
    this.users = users;
    this.verdicts = verdicts;
    this.foreign = foreign;
    this.nobody = hashOfNobody(usualScheme(users));
  }

  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome> {
    const credential = PLACE.find(x);
    if (credential === NONE) return ABSENT;
    if (credential === SEVERAL) return SEVERAL_CREDENTIALS;
    if (credential.length > CREDENTIAL_CHARS_MAX) return MALFORMED;
    const key = this.verdicts.key(credential);
    const known = this.verdicts.recall(key, performance.now());
    if (known !== undefined) {
      if (this.holds(known)) return this.outcome(known);
      this.verdicts.forget(key); // the user has another password now
    }
    const parts = parseBasic(credential);
    if (parts === null) return MALFORMED;
    const password = this.users.get(parts.username)?.password ?? null;
    const verdict = this.verdicts.decide(key, () => this.check(parts, password), maskIp(x.clientInfo().ip, IPV4_BITS, IPV6_BITS));
    return verdict?.then((found) => this.late(found)) ?? OVERLOADED;
  }

  /** It may be somebody else's check, begun before a reload gave the user another password: then nothing is known. */
  private late(found: Verdict | null): AuthOutcome {
    if (found === null) return OVERLOADED;
    return this.holds(found) ? this.outcome(found) : FAILED;
  }

  private holds(verdict: Verdict): boolean {
    return (this.users.get(verdict.username)?.password ?? null) === verdict.password;
  }

  private async check({ username, password }: BasicCredential, stored: string | null): Promise<Finding<Verdict>> {
    try {
      const fits = await passwordFits(password, (stored === null ? null : parsePasswordHash(stored)) ?? this.nobody, this.foreign);
      const right = fits && stored !== null;
      const untilMs = right && this.rightMs === 0 ? 0 : performance.now() + (right ? this.rightMs : WRONG_MS);
      return { verdict: { username, password: stored, right }, good: right, untilMs };
    } catch {
      return { verdict: { username, password: stored, right: null }, good: false, untilMs: 0 };
    }
  }

  private outcome({ username, right }: Verdict): AuthOutcome {
    if (right === null) return FAILED;
    const consumer = this.users.get(username);
    if (!right || consumer === undefined) return WRONG;
    let outcome = this.outcomes.get(username);
    if (outcome === undefined) this.outcomes.set(username, (outcome = proven(consumerIdentity(consumer, this.name))));
    return outcome;
  }
}

interface BasicCredential {
  readonly username: string;
  readonly password: string;
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** RFC 7617 section 2. @returns null when it is malformed. */
export function parseBasic(credential: string): BasicCredential | null {
  if (!BASE64.test(credential)) return null;
  const bytes = Buffer.from(credential, "base64");
  // One credential has one spelling.
  if (bytes.toString("base64") !== credential || !isUtf8(bytes)) return null;
  const text = bytes.toString("utf8").normalize("NFC");
  const colon = text.indexOf(":");
  if (colon < 0 || /[\u0000-\u001f\u007f]/.test(text)) return null;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Users looked at for {@link usualScheme}: a plan may have very many. */
const SAMPLE_MAX = 1000;

/** What most users have: somebody who does not exist costs the same. A user with another scheme can be told from nobody; so `password hash` writes one. */
function usualScheme(users: ReadonlyMap<string, ConsumerPlan>): PasswordScheme {
  const counts = new Map<string, number>();
  let usual: PasswordScheme = ARGON2ID_DEFAULT;
  let most = 0;
  let looked = 0;
  for (const { password } of users.values()) {
    if (++looked > SAMPLE_MAX) break;
    const scheme = password === null ? undefined : parsePasswordHash(password)?.scheme;
    if (scheme === undefined) continue;
    const key = JSON.stringify(scheme);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count <= most) continue;
    most = count;
    usual = scheme;
  }
  return usual;
}

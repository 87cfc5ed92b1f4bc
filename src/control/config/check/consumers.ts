// Owns the checks of consumers against each other and against the authenticators: whatever names a consumer must name exactly one.
import { WEAK } from "../../../data/credentials/htpasswd.ts";
import { isWeak } from "../../../data/credentials/password-hash.ts";
import type { ApiKeyConfig } from "../../../data/policies/auth/api-key/config.ts";
import type { BasicConfig } from "../../../data/policies/auth/basic/config.ts";
import type { Config } from "../schema/schema.ts";
import type { Draft } from "../schema/sections.ts";
import { positionAt } from "../source/located.ts";
import { formatPosition, type PathPart, suggest } from "../source/problem.ts";
import type { Findings } from "./references.ts";

type Consumer = Config["consumers"][number];

/** @param plainKeys where keys stood that were no hashes */
export function checkConsumers(draft: Draft, findings: Findings, plainKeys: readonly (readonly PathPart[])[]): void {
  const consumers = draft.sections.consumers ?? [];
  const unique = new Uniqueness(findings);
  const tiers = draft.sections.tiers === undefined ? null : new Set(findings.namesIn("tiers"));
  for (const [i, consumer] of consumers.entries()) {
    const at: readonly PathPart[] = ["consumers", i];
    unique.claim("id", consumer.id, [...at, "id"]);
    if (consumer.tier !== null && tiers?.has(consumer.tier) === false)
      findings.report([...at, "tier"], `there is no tier named ${consumer.tier}`, suggest(consumer.tier, [...tiers], "tiers"));
    if (consumer.password !== null || consumer.username !== null)
      unique.claim("user name", consumer.username ?? consumer.id, [...at, consumer.username === null ? "id" : "username"]);
    for (const [k, key] of consumer.keys.entries()) unique.claim("hash of a key", key, [...at, "keys", k]);
    for (const [k, name] of consumer.certificates.entries()) unique.claim("certificate", name, [...at, "certificates", k]);
    for (const [k, { keyId }] of consumer.signingSecrets.entries()) unique.claim("keyId", keyId, [...at, "signingSecrets", k, "keyId"]);
  }
  checkPeppers(consumers, draft.sections.auth, findings);
  checkWeak(consumers, draft.sections.auth, findings);
  const [first, ...others] = plainKeys;
  if (first !== undefined)
    findings.warn(
      first,
      `the key itself stands there${others.length === 0 ? "" : ` (and ${others.length} more like it)`}, and is hashed when it is loaded: whoever reads the file or the environment has it`,
      "store its hash, which `sluice key hash` prints",
    );
}

/** Told of those that are refused. */
const WEAK_MAX = 5;

/** Every authenticator that checks the consumers' passwords must take weak ones, as all of them look at the same. */
function checkWeak(consumers: readonly Consumer[], auth: Config["auth"] | undefined, findings: Findings): void {
  const checking = (auth ?? []).filter(({ kind, config }) => kind === "basic" && (config as BasicConfig).users === null); // output of the kind's schema
  const strict = checking.find(({ insecure }) => !insecure.includes("weak-hashes"));
  if (strict === undefined) return;
  const weak = [...consumers.entries()].filter(([, { password }]) => password !== null && isWeak(password));
  for (const [i] of weak.slice(0, WEAK_MAX))
    findings.report(
      ["consumers", i, "password"],
      WEAK,
      `hash the password anew with \`sluice password hash\`; \`insecure: [weak-hashes]\` under auth.${strict.name}.basic lets them in`,
    );
}

/** Who names what first; the second is told of both places. */
class Uniqueness {
  readonly #findings: Findings;
  readonly #seen = new Map<string, readonly PathPart[]>();

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  claim(what: string, value: string, path: readonly PathPart[]): void {
    const key = `${what} ${value}`;
    const before = this.#seen.get(key);
    if (before === undefined) {
      this.#seen.set(key, path);
      return;
    }
    const { root, report } = this.#findings;
    report(
      path,
      `the ${what} is the same as ${this.#findings.format(before)} at ${formatPosition(positionAt(root, before))}`,
      "it must lead to one consumer: change or remove one of them",
    );
  }
}

/** A key that no authenticator can recognise is a mistake somewhere: in the key, or in the authenticator. */
function checkPeppers(consumers: readonly Consumer[], auth: Config["auth"] | undefined, findings: Findings): void {
  const peppered = auth?.some(({ kind, config }) => kind === "apiKey" && (config as ApiKeyConfig).pepper !== null); // output of the kind's schema
  if (auth === undefined || peppered === true || findings.isLost(["auth"])) return;
  for (const [i, { keys }] of consumers.entries()) {
    const k = keys.findIndex((key) => key.startsWith("hmac-"));
    if (k < 0) continue;
    findings.report(
      ["consumers", i, "keys", k],
      "no apiKey authenticator has a pepper to check this key with",
      "set `pepper` under auth.NAME.apiKey",
    );
    return; // the others have the same cause
  }
}

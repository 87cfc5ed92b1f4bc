// Owns where a provider's keys come from: one origin, checked against the algorithms. For the primary only.
// Must never accept a way by which a token could choose its own key or a stranger on the network could replace the issuer's.
import { createHash } from "node:crypto";
import { UNREADABLE } from "../../../../base/schema.ts";
import type { WayOut } from "../../../../base/ways-out.ts";
import type { KeySourcePlan, VerificationKeyPlan } from "../../../../plan/keys.ts";
import { IS_PRIVATE, keyOfSecret, keysOfJwks, keysOfText } from "../../../credentials/key-material.ts";
import { keyUrlProblem } from "../../../credentials/key-url.ts";
import { type AlgorithmName, algorithmOf } from "../../../credentials/signature-algorithms.ts";

/** What the schema read. */
interface Origins {
  readonly issuer: string;
  readonly algorithms: readonly AlgorithmName[];
  readonly insecure?: readonly WayOut[] | undefined;
  readonly jwks?: string | undefined;
  readonly discovery?: true | string | undefined;
  readonly keys?: unknown;
  readonly secret?: string | undefined;
  readonly keyFetch: {
    readonly timeout: number;
    readonly refreshMin: number;
    readonly refreshMax: number;
    readonly cooldown: number;
    readonly staleFor: number;
    readonly ca?: string | undefined;
  };
}

type Complain = (key: "insecure" | "jwks" | "discovery" | "keys" | "secret" | "algorithms", message: string, remedy: string) => void;

interface KeyOrigin {
  readonly keys: readonly VerificationKeyPlan[] | null;
  readonly source: KeySourcePlan | null;
  /** Why keys were left out. */
  readonly skippedKeys: readonly string[];
}

const ORIGINS = ["jwks", "discovery", "keys", "secret"] as const;
const NOTHING: KeyOrigin = { keys: [], source: null, skippedKeys: [] };

/** @returns anything at all when it complained */
export function keyOrigin(given: Origins, complain: Complain): KeyOrigin {
  const named = ORIGINS.filter((key) => given[key] !== undefined);
  const [origin] = named;
  if (origin === undefined) {
    complain("jwks", "where the keys come from is missing", "add jwks, discovery, keys or secret");
    return NOTHING;
  }
  for (const second of named.slice(1)) complain(second, `stands beside \`${origin}\``, "say in one way where the keys come from");
  if (named.length > 1) return NOTHING;
  if (origin === "jwks" || origin === "discovery") return { keys: null, source: sourceOf(given, origin, complain), skippedKeys: [] };
  if (given.insecure?.includes("http-jwks") === true) complain("insecure", "http-jwks opens nothing: no key is fetched", "remove it");
  return { ...fixedKeys(given, origin, complain), source: null };
}

function sourceOf(given: Origins, kind: "jwks" | "discovery", complain: Complain): KeySourcePlan | null {
  for (const name of given.algorithms) {
    if (algorithmOf(name)?.kty === "oct")
      complain("algorithms", `${name} needs a shared secret, which a published key set cannot hold`, "remove it, or give `secret`");
  }
  const { issuer, keyFetch } = given;
  const url = kind === "jwks" ? (given.jwks ?? "") : given.discovery === true ? wellKnown(issuer) : (given.discovery ?? "");
  const allowHttp = given.insecure?.includes("http-jwks") === true;
  const problem = keyUrlProblem(url, allowHttp);
  if (problem !== null) {
    const wayOut = keyUrlProblem(url, true) === null ? "; in a network that you trust, add `insecure: [http-jwks]`" : "";
    complain(kind, problem, `use https://: whoever can change the answer can sign tokens${wayOut}`);
    return null;
  }
  if (allowHttp && kind === "jwks" && keyUrlProblem(url, false) === null)
    complain("insecure", "http-jwks opens nothing: the keys come by https, or from this machine", "remove it");
  const source = {
    kind,
    url,
    issuer,
    timeoutMs: keyFetch.timeout,
    refreshMinMs: keyFetch.refreshMin,
    refreshMaxMs: keyFetch.refreshMax,
    cooldownMs: keyFetch.cooldown,
    staleForMs: keyFetch.staleFor,
    ca: keyFetch.ca ?? null,
    allowHttp,
  };
  return { id: createHash("sha256").update(JSON.stringify(source)).digest("base64url").slice(0, 22), ...source };
}

/** OpenID Connect Discovery 1.0 section 4. */
const wellKnown = (issuer: string): string => `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;

type FixedKeys = Pick<KeyOrigin, "skippedKeys"> & { readonly keys: readonly VerificationKeyPlan[] };
const NO_KEYS: FixedKeys = { keys: [], skippedKeys: [] };

function fixedKeys(given: Origins, origin: "keys" | "secret", complain: Complain): FixedKeys {
  const written = origin === "secret" ? given.secret : given.keys;
  if (written === UNREADABLE) return NO_KEYS; // said already
  const found = origin === "secret" ? secretKeys(given.secret ?? "", complain) : listedKeys(written, complain);
  if (found === null) return NO_KEYS;
  const { keys } = found;
  for (const name of given.algorithms) {
    if (keys.some((key) => key.algorithms.includes(name))) continue;
    complain("algorithms", `none of the keys fits ${name}`, mismatchRemedy(name, origin));
  }
  return found;
}

/** RS/HS confusion in the making is the mistake that matters: say what it is. */
function mismatchRemedy(name: AlgorithmName, origin: "keys" | "secret"): string {
  if (algorithmOf(name)?.kty === "oct")
    return origin === "keys"
      ? "HS algorithms take a shared secret, never a public key: give `secret`, or remove it"
      : "remove it, or use a longer secret";
  return origin === "secret"
    ? "a shared secret fits HS256, HS384 and HS512 only: give jwks, discovery or keys"
    : "remove it, or add such a key";
}

function secretKeys(secret: string, complain: Complain): FixedKeys | null {
  if (secret.startsWith("-----BEGIN ")) {
    complain("secret", "is a PEM key", "a public key is no secret: give it as `keys`, with RS, PS, ES or EdDSA algorithms");
    return null;
  }
  const outcome = keyOfSecret(secret);
  if ("key" in outcome) return { keys: [outcome.key], skippedKeys: [] };
  complain("secret", outcome.problem, "make one with `openssl rand -hex 32`");
  return null;
}

/** One key that cannot be used is left out, as it is of a published set; but a private key is in no such file by intention. */
function listedKeys(written: unknown, complain: Complain): FixedKeys | null {
  const list = typeof written === "string" ? keysOfText(written) : keysOfJwks(written, true);
  if ("problem" in list) {
    complain("keys", list.problem, "give file:path of a JWK set or PEM public keys, or the JWK set itself");
    return null;
  }
  const { keys, skipped } = list;
  const wrong = keys.length === 0 ? skipped : skipped.filter((problem) => problem.endsWith(IS_PRIVATE));
  for (const problem of wrong) complain("keys", problem, "remove or mend the key");
  if (keys.length === 0 && skipped.length === 0) complain("keys", "there is no key in it", "add one");
  return wrong.length > 0 || keys.length === 0 ? null : { keys, skippedKeys: skipped };
}

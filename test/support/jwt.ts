// Owns signing tokens for tests, in every right and wrong way, and the way from a written `jwt` configuration to a running authenticator
// with a real key store and a real pool thread.
import { createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { idSpaceOf } from "../../src/data/credentials/id-space.ts";
import type { Authenticator, AuthOutcome } from "../../src/data/exchange/identity/authenticator.ts";
import { KeyStore } from "../../src/data/exchange/identity/key-store.ts";
import type { Services } from "../../src/data/exchange/runtime.ts";
import { createJwt } from "../../src/data/policies/auth/jwt/authenticator.ts";
import { jwtSchema } from "../../src/data/policies/auth/jwt/config.ts";
import { type Verdict, VerifyPool } from "../../src/offload/verify-pool.ts";
import type { VerificationKeyPlan } from "../../src/plan/keys.ts";
import type { ConsumerPlan } from "../../src/plan/plan.ts";
import { TestExchange } from "./exchange.ts";

export const ISSUER = "https://id.example.com";

/** A key pair with the JWK that a provider would publish. */
export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function signingKey(alg: string, kid: string, options: { readonly bits?: number } = {}): SigningKey {
  const pair = keyPair(alg, options.bits ?? 2048);
  return { kid, alg, privateKey: pair.privateKey, jwk: { ...pair.publicKey.export({ format: "jwk" }), kid, alg, use: "sig" } };
}

function keyPair(alg: string, bits: number): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  const curves: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };
  const namedCurve = curves[alg];
  if (namedCurve !== undefined) return generateKeyPairSync("ec", { namedCurve });
  return alg.startsWith("Ed") ? generateKeyPairSync("ed25519") : generateKeyPairSync("rsa", { modulusLength: bits });
}

export const b64 = (value: string | Uint8Array): string => Buffer.from(value).toString("base64url");
export const part = (value: unknown): string => b64(JSON.stringify(value));

/** The raw signature over a signing input. @param key a secret for HS, else a private key */
export function signature(alg: string, key: KeyObject | string, input: string): Buffer {
  const hash = `sha${alg.slice(2)}`;
  const bytes = Buffer.from(input, "latin1");
  if (alg.startsWith("HS")) return createHmac(hash, key).update(bytes).digest();
  if (typeof key === "string") throw new Error(`${alg} needs a private key`);
  if (alg.startsWith("PS")) return sign(hash, bytes, { key, padding: 6, saltLength: -1 });
  if (alg.startsWith("ES")) return sign(hash, bytes, { key, dsaEncoding: "ieee-p1363" });
  return sign(alg.startsWith("Ed") ? null : hash, bytes, key);
}

export const nowS = (): number => Math.floor(Date.now() / 1000);

/** Claims of a token that is good for an hour. */
export const goodClaims = (more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  iss: ISSUER,
  aud: "api",
  sub: "alice",
  iat: nowS(),
  exp: nowS() + 3600,
  scope: "users:read users:write",
  ...more,
});

/** @param changes undefined takes a member away */
export function token(
  key: SigningKey,
  claims: Readonly<Record<string, unknown>> = {},
  header: Readonly<Record<string, unknown>> = {},
): string {
  const input = `${part({ alg: key.alg, typ: "JWT", kid: key.kid, ...header })}.${part(goodClaims(claims))}`;
  return `${input}.${b64(signature(key.alg, key.privateKey, input))}`;
}

/** Signs texts as they are, whatever they hold. */
export function rawToken(key: SigningKey, header: string | Uint8Array, payload: string | Uint8Array): string {
  const input = `${b64(header)}.${b64(payload)}`;
  return `${input}.${b64(signature(key.alg, key.privateKey, input))}`;
}

export const hsToken = (alg: string, secret: string, claims = {}, header = {}): string => {
  const input = `${part({ alg, typ: "JWT", ...header })}.${part(goodClaims(claims))}`;
  return `${input}.${b64(signature(alg, secret, input))}`;
};

export const newSecret = (): string => randomBytes(48).toString("base64url");

/** What an authenticator finds in its worker. */
export interface TestWorker extends AsyncDisposable {
  readonly services: Services;
  readonly keys: KeyStore;
  /** Sources asked about, in order. */
  readonly asked: string[];
  readonly warnings: string[];
  /** Signatures given to the pool. */
  verifications: number;
  readonly pool: VerifyPool;
}

/** @param limits `full`: while it is true, the pool takes nothing. @param shared a pool that others use too */
export function testWorker(limits: { full?: boolean } = {}, shared?: VerifyPool): TestWorker {
  const asked: string[] = [];
  const warnings: string[] = [];
  const pool = shared ?? new VerifyPool((message) => warnings.push(message));
  const keys = new KeyStore((source) => asked.push(source));
  const verifySignature = (text: string, alg: string, key: VerificationKeyPlan): Promise<Verdict> | null => {
    if (limits.full === true) return null;
    worker.verifications++;
    return pool.verify(text, alg, key);
  };
  // An authenticator looks at nothing else of its worker.
  const services = { keys, verifySignature } as unknown as Services;
  const worker: TestWorker = { services, keys, asked, warnings, verifications: 0, pool, [Symbol.asyncDispose]: () => pool.close() };
  return worker;
}

export interface JwtOptions {
  readonly name?: string;
  readonly consumers?: readonly Partial<ConsumerPlan>[];
  readonly tiers?: readonly string[];
  readonly fingerprint?: string;
  /** Prefixes of other authenticators. */
  readonly others?: readonly string[];
}

const NO_CONSUMER: ConsumerPlan = {
  id: "",
  tier: null,
  scopes: [],
  roles: [],
  groups: [],
  keys: [],
  username: null,
  password: null,
  certificates: [],
  signingSecrets: [],
};

/** From what the operator writes to the authenticator in a worker. */
export function jwtAuthenticator(worker: TestWorker, written: unknown, options: JwtOptions = {}): Authenticator {
  const config = structuredClone(jwtSchema().parse(written));
  const name = options.name ?? "corp-jwt";
  const consumers = (options.consumers ?? []).map((each): ConsumerPlan => ({ ...NO_CONSUMER, ...each }));
  return createJwt({
    plan: {
      name,
      kind: "jwt",
      config,
      forwardCredentials: false,
      insecure: [],
      fingerprint: options.fingerprint ?? JSON.stringify(config),
    },
    consumers: new Map(consumers.map((each) => [each.id, each])),
    tiers: new Set(options.tiers ?? []),
    ids: idSpaceOf([{ config }, ...(options.others ?? []).map((consumerPrefix) => ({ config: { consumerPrefix } }))]),
    services: worker.services,
    whole: { upstreams: [], decisionSlots: {} },
  });
}

/** Asks with `Authorization: Bearer`. */
export const bearer = async (authenticator: Authenticator, text: string): Promise<AuthOutcome> =>
  await authenticator.authenticate(new TestExchange({ headers: { authorization: `Bearer ${text}` } }));

/** In one word: what the table tests compare. */
export function said(outcome: AuthOutcome): string {
  if (outcome.kind === "identity") return `identity ${outcome.identity.consumer}`;
  if (outcome.kind === "unavailable") return `${outcome.code}: ${outcome.detail}`;
  return outcome.kind === "refused" ? `${outcome.error}: ${outcome.detail}` : "absent";
}

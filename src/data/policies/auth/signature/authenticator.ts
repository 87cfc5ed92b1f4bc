// Owns the kind `signature`: HTTP message signatures (RFC 9421) with shared secrets. Order matters: nothing is remembered or buffered for a request
// whose signature is not right. Must never take two readings of one signature.
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";
import { secretBytes } from "../../../credentials/signing-secret.ts";
import { bufferBody } from "../../../exchange/body/buffer-body.ts";
import { BODY_NONE, type Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome, CredentialPlace } from "../../../exchange/identity/authenticator.ts";
import { type SigningKey, signingKeysById } from "../consumer-index.ts";
import { ABSENT, challengeOf, consumerIdentity, proven, refused, unavailable } from "../outcome.ts";
import { stripHeader } from "../reading.ts";
import type { SignatureConfig } from "./config.ts";
import { fieldValue, signatureBase } from "./message.ts";
import { type Digests, digestsFit, parseContentDigest } from "./signed-body.ts";
import { parseByteSequences, parseSignatureInputs, type SignatureInput } from "./structured-fields.ts";

const DIGEST = "content-digest";
const EMPTY = Buffer.alloc(0);
/** RFC 9421 section 2.3: what a signature may say of itself. Others change what it means. */
const PARAMETERS: ReadonlySet<string> = new Set(["created", "expires", "nonce", "alg", "keyid", "tag"]);

const HALF = refused("Signature and Signature-Input go together (RFC 9421 section 4)");
const MALFORMED = refused("Signature or Signature-Input is malformed, or uses what is not supported here");
const WHICH = refused("there is not exactly one signature to look at");
const PARAMETER = refused("the signature has an unknown parameter");
const ALGORITHM = refused("the signature's alg is not hmac-sha256");
const KEY = refused("the signature's keyid is missing or not known");
const CREATED = refused("the signature's created is missing, too old or in the future");
const EXPIRED = refused("the signature has expired");
const NONCE = refused("the signature has no nonce");
const WRONG = refused("the signature does not fit the request");
const REPLAYED = refused("the signature's nonce was used before");
const BODY_UNCOVERED = refused("the request has a body and the signature does not cover content-digest");
const DIGEST_MALFORMED = refused("Content-Digest has no sha-256 or sha-512 (RFC 9530)");
const BODY_DIFFERS = refused("the body does not fit Content-Digest");
const TOO_EARLY = unavailable(
  "auth_unavailable",
  "the signature was made before this instance started, so it may be a repetition: sign again",
);
const FULL = unavailable("auth_overloaded", "no more nonces can be remembered");

export function createSignatureAuthenticator({ plan, consumers }: AuthenticatorContext): Authenticator {
  return new SignatureAuthenticator(plan.name, plan.config as SignatureConfig, signingKeysById(consumers)); // output of signatureConfig, by the registry
}

/** A signature that is right, but for its body. */
interface Checked {
  readonly outcome: AuthOutcome;
  /** What the body must fit; null when it is not covered. */
  readonly digests: Digests | null;
}

const PLACE: CredentialPlace = {
  id: "header signature",
  stripHeaders: (headers) => {
    stripHeader(headers, "signature");
    stripHeader(headers, "signature-input");
  },
  stripPath: null,
};

class SignatureAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes = "a signature (RFC 9421) in the headers signature and signature-input";
  readonly places = [PLACE];
  readonly challenge: string;
  private readonly config: SignatureConfig;
  private readonly keys: ReadonlyMap<string, SigningKey>;
  /** By keyid; at most one entry a configured secret. */
  private readonly ready = new Map<string, { readonly secret: KeyObject; readonly outcome: AuthOutcome }>();

  constructor(name: string, config: SignatureConfig, keys: ReadonlyMap<string, SigningKey>) {
    this.name = name;
    this.challenge = challengeOf("Signature", name);
    this.config = config;
    this.keys = keys;
  }

  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome> {
    const checked = this.check(x);
    if ("kind" in checked) return checked;
    const { outcome, digests } = checked;
    if (digests === null) return outcome;
    if (x.bodyKind === BODY_NONE || x.bufferedBody !== null) return digestsFit(x.bufferedBody ?? EMPTY, digests) ? outcome : BODY_DIFFERS;
    return this.checkBody(x, outcome, digests);
  }

  /** @returns what is wrong, or a signature that is right */
  private check(x: Exchange): AuthOutcome | Checked {
    const found = this.find(x);
    if ("kind" in found) return found;
    const { input, signature } = found;
    const { parameters, components } = input;
    for (const name of parameters.keys()) if (!PARAMETERS.has(name)) return PARAMETER;
    const alg = parameters.get("alg");
    if (alg !== undefined && alg !== "hmac-sha256") return ALGORITHM;
    const keyId = parameters.get("keyid");
    const key = typeof keyId === "string" ? this.key(keyId) : undefined;
    if (typeof keyId !== "string" || key === undefined) return KEY;
    const nowMs = Date.now();
    const untilMs = this.goodUntil(parameters, nowMs);
    if (typeof untilMs !== "number") return untilMs;
    const uncovered = this.config.components.find((name) => !components.includes(name));
    if (uncovered !== undefined) return refused(`the signature does not cover ${uncovered}`);
    const signed = signatureBase(x, input);
    if ("missing" in signed)
      return refused("the signature covers a component that the request does not have, or has in a form that is not supported here");
    const expected = createHmac("sha256", key.secret).update(signed.base, "latin1").digest();
    if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return WRONG;
    const digests = this.demandedDigests(x, components);
    if (digests !== null && "kind" in digests) return digests;
    return this.once(x, { keyId, input, nowMs, untilMs }) ?? { outcome: key.outcome, digests };
  }

  /** RFC 9421 section 3.2, steps 1 to 3. */
  private find(x: Exchange): AuthOutcome | { readonly input: SignatureInput; readonly signature: Buffer } {
    const inputs = fieldValue(x, "signature-input");
    const signatures = fieldValue(x, "signature");
    if (inputs === null && signatures === null)
      return x.header("signature") === undefined && x.header("signature-input") === undefined ? ABSENT : MALFORMED;
    if (inputs === null || signatures === null) return HALF;
    const byLabel = parseSignatureInputs(inputs);
    const bytesByLabel = parseByteSequences(signatures);
    if (byLabel === null || bytesByLabel === null) return MALFORMED;
    const { tag } = this.config;
    const [only, ...others] = [...byLabel].filter(([, input]) => tag === null || input.parameters.get("tag") === tag);
    if (only === undefined || others.length > 0 || (tag === null && bytesByLabel.size !== 1)) return WHICH;
    const signature = bytesByLabel.get(only[0]);
    return signature === undefined ? HALF : { input: only[1], signature };
  }

  private key(keyId: string): { readonly secret: KeyObject; readonly outcome: AuthOutcome } | undefined {
    const ready = this.ready.get(keyId);
    if (ready !== undefined) return ready;
    const key = this.keys.get(keyId);
    const bytes = key === undefined ? null : secretBytes(key.secret.secret);
    if (key === undefined || bytes === null) return undefined;
    const made = { secret: createSecretKey(bytes), outcome: proven(consumerIdentity(key.consumer, this.name)) };
    this.ready.set(keyId, made);
    return made;
  }

  /** @returns Date.now() ms until which the signature can be accepted, or why it cannot */
  private goodUntil(parameters: SignatureInput["parameters"], nowMs: number): number | AuthOutcome {
    const { maxAgeMs, clockSkewMs } = this.config;
    const created = parameters.get("created");
    if (typeof created !== "number") return CREATED;
    const ageMs = nowMs - created * 1000;
    if (ageMs < -clockSkewMs || ageMs > maxAgeMs + clockSkewMs) return CREATED;
    const untilMs = created * 1000 + maxAgeMs + clockSkewMs;
    const expires = parameters.get("expires");
    if (expires === undefined) return untilMs;
    return typeof expires === "number" && nowMs <= expires * 1000 + clockSkewMs ? untilMs : EXPIRED;
  }

  /** @returns null when the body is not covered and need not be */
  private demandedDigests(x: Exchange, components: readonly string[]): Digests | AuthOutcome | null {
    if (this.config.body === "unsigned") return null;
    if (!components.includes(DIGEST)) return x.bodyKind === BODY_NONE ? null : BODY_UNCOVERED;
    return parseContentDigest(fieldValue(x, DIGEST) ?? "") ?? DIGEST_MALFORMED;
  }

  /** @returns what is wrong with sending it again; undefined when it is the first time */
  private once(x: Exchange, { keyId, input, nowMs, untilMs }: Signed): AuthOutcome | undefined {
    const nonce = input.parameters.get("nonce");
    if (nonce === undefined && !this.config.requireNonce) return undefined;
    if (typeof nonce !== "string" || nonce === "") return NONCE;
    const { replay } = x.runtime.services;
    const created = input.parameters.get("created") as number; // goodUntil() has looked
    if (created < replay.startedS) return TOO_EARLY;
    // A length in front, so that no two pairs make the same text.
    const seen = replay.take(`${keyId.length} ${keyId} ${nonce}`, Math.ceil(untilMs / 1000) + 1, Math.floor(nowMs / 1000));
    return seen === "new" ? undefined : seen === "seen" ? REPLAYED : FULL;
  }

  private async checkBody(x: Exchange, outcome: AuthOutcome, digests: Digests): Promise<AuthOutcome> {
    const bytesMax = Math.min(this.config.bodyBytes, x.route?.settings.bodyBytes ?? this.config.bodyBytes);
    const refusal = await bufferBody(x, { bytesMax, tooLarge: `a signed body may have ${bytesMax} bytes` });
    if (refusal !== null) return unavailable(refusal.code, refusal.detail);
    return x.bufferedBody !== null && digestsFit(x.bufferedBody, digests) ? outcome : BODY_DIFFERS;
  }
}

interface Signed {
  readonly keyId: string;
  readonly input: SignatureInput;
  readonly nowMs: number;
  readonly untilMs: number;
}

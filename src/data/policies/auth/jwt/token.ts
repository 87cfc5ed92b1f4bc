// Owns reading a compact JWS (RFC 7515 section 7.1) strictly, before anything in it is believed.
// Must never throw, and never put a part of the token into what it says.
import { parseStrictObject, strictUtf8 } from "../../../../base/strict-json.ts";

/** Longer tokens are refused unread. Under 16383: beyond that V8 hashes strings by their length alone, and maps of them get slow. */
export const TOKEN_CHARS_MAX = 16_000;
/** A `kid` names a key; anything longer is no name. */
const KID_CHARS_MAX = 256;
/** An algorithm's name. */
const ALG_CHARS_MAX = 16;
const TYP_CHARS_MAX = 128;

/** What a token says of itself; nothing is proven yet. */
export interface UnprovenToken {
  readonly alg: string;
  readonly kid: string | null;
  readonly typ: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** @returns the token's content, or which rule it broke */
export function parseToken(token: string): UnprovenToken | string {
  if (token.length > TOKEN_CHARS_MAX) return `the token is longer than ${TOKEN_CHARS_MAX} characters`;
  const first = token.indexOf(".");
  const second = token.indexOf(".", first + 1);
  if (first < 0 || second < 0) return "the token is not a compact JWS: it needs three parts";
  const third = token.indexOf(".", second + 1);
  if (third >= 0) return partsProblem(token, third);
  const signature = decode(token.slice(second + 1));
  if (second + 1 === token.length) return "the token has no signature";
  const header = object(token.slice(0, first), "header");
  if (typeof header === "string") return header;
  const unproven = readHeader(header);
  if (typeof unproven === "string") return unproven;
  if (signature === null) return "the token's signature is not strict base64url";
  const claims = object(token.slice(first + 1, second), "payload");
  return typeof claims === "string" ? claims : { ...unproven, claims };
}

function partsProblem(token: string, third: number): string {
  const fourth = token.indexOf(".", third + 1);
  const isJwe = fourth >= 0 && token.indexOf(".", fourth + 1) < 0;
  return isJwe ? "the token is encrypted (JWE): a signed one (JWS) is needed" : "the token is not a compact JWS: it needs three parts";
}

/** Base64url without padding, blanks or left-over bits: the one spelling of these bytes. @returns null when it is none */
function decode(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : null;
}

function object(text: string, part: "header" | "payload"): Record<string, unknown> | string {
  const bytes = decode(text);
  if (bytes === null) return `the token's ${part} is not strict base64url`;
  const json = strictUtf8(bytes);
  if (json === null) return `the token's ${part} is not UTF-8`;
  const parsed = parseStrictObject(json);
  return "value" in parsed ? parsed.value : `the token's ${part} ${parsed.problem}`;
}

/** Members by which a token would choose its own key (`jku`, `jwk`, `x5u`, `x5c`: RFC 7515 sections 4.1.2 to 4.1.6) are never read: some providers always send them. */
function readHeader(header: Readonly<Record<string, unknown>>): Omit<UnprovenToken, "claims"> | string {
  const { alg, kid, typ, cty } = header;
  // No extension is understood here, so that any that must be understood is one too many (section 4.1.11).
  if (Object.hasOwn(header, "crit")) return "the token needs extensions that are not understood (`crit`)";
  if (Object.hasOwn(header, "b64") && header["b64"] !== true) return "the token's payload is unencoded (`b64`)";
  if (Object.hasOwn(header, "enc") || Object.hasOwn(header, "zip")) return "the token is encrypted or compressed (`enc`, `zip`)";
  if (cty !== undefined && (typeof cty !== "string" || cty.toLowerCase().endsWith("jwt"))) return "the token holds another token (`cty`)";
  if (typeof alg !== "string" || alg.length > ALG_CHARS_MAX) return "the token names no algorithm (`alg`)";
  if (kid !== undefined && (typeof kid !== "string" || kid.length > KID_CHARS_MAX)) return "the token's `kid` is not a short text";
  if (typ !== undefined && (typeof typ !== "string" || typ.length > TYP_CHARS_MAX)) return "the token's `typ` is not a short text";
  return { alg, kid: kid ?? null, typ: typ ?? null };
}

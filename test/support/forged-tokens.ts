// Owns the table of forged and malformed tokens: each with the reason for which it must be refused. Used against the authenticator and over the wire.
import { generateKeyPairSync } from "node:crypto";
import { b64, goodClaims, ISSUER, nowS, part, rawToken, signature, signingKey, token } from "./jwt.ts";

export const rsa = signingKey("RS256", "rsa-1");
export const ec = signingKey("ES256", "ec-1");
const stranger = signingKey("RS256", "rsa-1");
const publicPem = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ type: "spki", format: "pem" }).toString();

const header = (more: Readonly<Record<string, unknown>> = {}) => ({ alg: "RS256", typ: "JWT", kid: "rsa-1", ...more });
const payload = (more: Readonly<Record<string, unknown>> = {}): string => JSON.stringify(goodClaims(more));
/** The payload's text with a member written as it is. */
const withMember = (text: string): string => `${payload().slice(0, -1)},${text}}`;
const signedText = (text: string): string => rawToken(rsa, JSON.stringify(header()), text);
const headerText = (text: string): string => rawToken(rsa, text, payload());

export const good = token(rsa);
const [goodHeader = "", goodPayload = "", goodSignature = ""] = good.split(".");
/** Unsigned as attackers do it. */
const unsigned = (alg: unknown, tail = ""): string => `${part(header({ alg }))}.${goodPayload}.${tail}`;
/** Signed with the public key of the issuer as if it were a shared secret. */
function confused(alg: string, key: string): string {
  const input = `${part(header({ alg }))}.${goodPayload}`;
  return `${input}.${b64(signature(alg, key, input))}`;
}
const flipped = (text: string, at: number): string => `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
const withoutMember = (name: string): string => token(rsa, { [name]: undefined });

const ALG = /invalid_token: the token is signed with an algorithm that is not allowed/;
const NAMES_NONE = /invalid_token: the token names no algorithm/;
const WRONG = /invalid_token: the token's signature is wrong/;
const NO_KEY = /invalid_token: the token is signed with a key that the issuer does not have/;
const NOT_JWS = /invalid_token: the token is not a compact JWS/;
const BASE64 = /invalid_token: the token's \w+ is not strict base64url/;
const TIMES = /invalid_token: the token's `exp`, `nbf` and `iat` must be numbers of seconds/;
const TWICE = /invalid_token: the token's \w+ has a member twice/;
const NOT_JSON = /invalid_token: the token's \w+ is not JSON/;
const AUDIENCE = /invalid_token: the token is for another audience/;
const ISSUERS = /invalid_token: the token is from another issuer/;
const CRIT = /invalid_token: the token needs extensions/;
const DEEP = /invalid_token: the token's payload is nested too deeply/;
const INEXACT = /invalid_token: the token's payload has a number or a text that cannot be carried exactly/;
const CONSUMER = /invalid_token: the claim sub names no consumer/;
const MISFIT = /invalid_token: the token's algorithm does not fit the issuer's keys/;

const deep = (levels: number): string => `"a":${"[".repeat(levels)}${"]".repeat(levels)}`;

/** Name, token, and what is said of it. */
export const FORGED: readonly (readonly [string, string, RegExp])[] = [
  // No signature, or somebody else's.
  ["alg none, no signature", unsigned("none"), /has no signature/],
  ["alg none, a signature", unsigned("none", goodSignature), ALG],
  ...["None", "NONE", "nOnE", "none ", " none", "none\0", "ｎone"].map(
    (alg) => [`alg ${JSON.stringify(alg)}`, unsigned(alg, "AA"), ALG] as const,
  ),
  ["alg missing", unsigned(undefined, goodSignature), NAMES_NONE],
  ["alg empty", unsigned("", goodSignature), ALG],
  ["alg null", unsigned(null, goodSignature), NAMES_NONE],
  ["alg a number", unsigned(256, goodSignature), NAMES_NONE],
  ["alg a list", unsigned(["RS256"], goodSignature), NAMES_NONE],
  ["alg an object", unsigned({ toString: "RS256" }, goodSignature), NAMES_NONE],
  ["alg in lower case", unsigned("rs256", goodSignature), ALG],
  ["alg with a blank", unsigned("RS256 ", goodSignature), ALG],
  ["alg very long", unsigned("RS256".repeat(2000), goodSignature), NAMES_NONE],
  ["alg a prototype's member", unsigned("constructor", goodSignature), ALG],
  ["alg __proto__", unsigned("__proto__", goodSignature), ALG],
  ["alg of encryption", unsigned("RSA-OAEP", goodSignature), ALG],
  ["alg dir", unsigned("dir", goodSignature), ALG],
  ["signature of another key with the same kid", token(stranger), WRONG],
  ["signature of another token", `${part(header())}.${part(goodClaims({ sub: "eve" }))}.${goodSignature}`, WRONG],
  ["signature cut short", `${goodHeader}.${goodPayload}.${goodSignature.slice(0, -3)}`, /wrong|base64url/],
  ["signature cut by three bytes", `${goodHeader}.${goodPayload}.${b64(Buffer.from(goodSignature, "base64url").subarray(0, 253))}`, WRONG],
  ["signature too long", `${goodHeader}.${goodPayload}.${goodSignature}AAAA`, /wrong|base64url/],
  ["signature all zero", `${goodHeader}.${goodPayload}.${b64(Buffer.alloc(256))}`, WRONG],
  ["signature of one byte", `${goodHeader}.${goodPayload}.AA`, WRONG],
  ["signature missing", `${goodHeader}.${goodPayload}.`, /has no signature/],
  ["header changed by a bit", `${flipped(goodHeader, 30)}.${goodPayload}.${goodSignature}`, /./],
  ["payload changed by a bit", `${goodHeader}.${flipped(goodPayload, 40)}.${goodSignature}`, /./],
  ["ES256 signature of zeros (CVE-2022-21449)", `${part({ alg: "ES256", kid: "ec-1" })}.${goodPayload}.${b64(Buffer.alloc(64))}`, WRONG],
  ["ES256 signature in DER", derSigned(), WRONG],
  // RS/HS confusion and keys of other types.
  ["HS256 with the public key as PEM", confused("HS256", publicPem), ALG],
  ["HS256 with the public key as JWK", confused("HS256", JSON.stringify(rsa.jwk)), ALG],
  ["HS256 with the modulus", confused("HS256", String(rsa.jwk["n"])), ALG],
  ["HS256 with an empty secret", confused("HS256", ""), ALG],
  ["HS512 with the public key", confused("HS512", publicPem), ALG],
  ["ES256 with the kid of an RSA key", token(ec, {}, { kid: "rsa-1" }), MISFIT],
  ["RS256 with the kid of an EC key", token(rsa, {}, { kid: "ec-1" }), MISFIT],
  ["RS512, which is not allowed", token({ ...rsa, alg: "RS512" }), ALG],
  ["PS256, which is not allowed", token({ ...rsa, alg: "PS256" }), ALG],
  ["EdDSA, which is not allowed", token(signingKey("EdDSA", "ed")), ALG],
  // Keys that the token brings along.
  ["jwk in the header is not used", token(stranger, {}, { jwk: stranger.jwk }), WRONG],
  ["jku in the header is not used", token(stranger, {}, { jku: "https://evil.example/jwks.json" }), WRONG],
  ["x5u in the header is not used", token(stranger, {}, { x5u: "https://evil.example/x.pem" }), WRONG],
  ["x5c in the header is not used", token(stranger, {}, { x5c: ["MIIB"] }), WRONG],
  // kid.
  ["kid unknown", token(rsa, {}, { kid: "rsa-2" }), NO_KEY],
  ["kid a path", token(rsa, {}, { kid: "../../../../dev/null" }), NO_KEY],
  ["kid an absolute path", token(rsa, {}, { kid: "/etc/passwd" }), NO_KEY],
  ["kid a file URL", token(rsa, {}, { kid: "file:///dev/null" }), NO_KEY],
  ["kid SQL", token(rsa, {}, { kid: "x' UNION SELECT 'AAAA' -- " }), NO_KEY],
  ["kid a command", token(rsa, {}, { kid: "$(id)`id`|id" }), NO_KEY],
  ["kid __proto__", token(rsa, {}, { kid: "__proto__" }), NO_KEY],
  ["kid constructor", token(rsa, {}, { kid: "constructor" }), NO_KEY],
  ["kid toString", token(rsa, {}, { kid: "toString" }), NO_KEY],
  ["kid empty", token(rsa, {}, { kid: "" }), NO_KEY],
  ["kid with NUL", token(rsa, {}, { kid: "rsa-1\0" }), NO_KEY],
  ["kid in other case", token(rsa, {}, { kid: "RSA-1" }), NO_KEY],
  ["kid a look-alike", token(rsa, {}, { kid: "rsа-1" }), NO_KEY],
  ["kid a number", token(rsa, {}, { kid: 1 }), /`kid` is not a short text/],
  ["kid null", token(rsa, {}, { kid: null }), /`kid` is not a short text/],
  ["kid a list", token(rsa, {}, { kid: ["rsa-1"] }), /`kid` is not a short text/],
  ["kid an object", token(rsa, {}, { kid: { $ne: null } }), /`kid` is not a short text/],
  ["kid of 300 characters", token(rsa, {}, { kid: "k".repeat(300) }), /`kid` is not a short text/],
  // crit, b64 and other extensions.
  ["crit unknown", token(rsa, {}, { crit: ["exp"], exp: 1 }), CRIT],
  ["crit empty", token(rsa, {}, { crit: [] }), CRIT],
  ["crit no list", token(rsa, {}, { crit: "b64" }), CRIT],
  ["crit null", token(rsa, {}, { crit: null }), CRIT],
  ["crit with b64 true", token(rsa, {}, { crit: ["b64"], b64: true }), CRIT],
  ["b64 false with crit", token(rsa, {}, { crit: ["b64"], b64: false }), CRIT],
  ["b64 false without crit", token(rsa, {}, { b64: false }), /unencoded/],
  ["b64 a text", token(rsa, {}, { b64: "true" }), /unencoded/],
  ["zip", token(rsa, {}, { zip: "DEF" }), /compressed/],
  ["cty JWT", token(rsa, {}, { cty: "JWT" }), /holds another token/],
  ["cty an object", token(rsa, {}, { cty: { toString: "JWT" } }), /holds another token/],
  ["cty application/jwt", token(rsa, {}, { cty: "application/jwt" }), /holds another token/],
  ["typ a number", token(rsa, {}, { typ: 1 }), /`typ` is not a short text/],
  ["typ very long", token(rsa, {}, { typ: "J".repeat(200) }), /`typ` is not a short text/],
  // Not a compact JWS.
  ["a JWE", `${part({ alg: "RSA-OAEP", enc: "A256GCM" })}.AAAA.AAAA.AAAA.AAAA`, /encrypted \(JWE\)/],
  ["a JWE with a good token inside", `${part({ alg: "dir", enc: "A256GCM", cty: "JWT" })}..AAAA.${b64(good)}.AAAA`, /encrypted \(JWE\)/],
  ["enc in a JWS", token(rsa, {}, { enc: "A256GCM" }), /encrypted/],
  ["two parts", `${goodHeader}.${goodPayload}`, NOT_JWS],
  ["one part", goodHeader, NOT_JWS],
  ["four parts", `${good}.AAAA`, NOT_JWS],
  ["six parts", `${good}.AAAA.AAAA.AAAA`, NOT_JWS],
  ["only dots", "..", /no signature|strict base64url|not JSON/],
  ["many dots", ".".repeat(10_000), NOT_JWS],
  [
    "JSON serialisation",
    JSON.stringify({ payload: goodPayload, protected: goodHeader, signature: goodSignature }),
    /not a compact JWS|base64url/,
  ],
  ["a word", "null", NOT_JWS],
  ["an opaque token", "2YotnFZFEjr1zCsicMWpAA", NOT_JWS],
  ["a nested token", rawToken(rsa, JSON.stringify(header()), good), NOT_JSON],
  ["huge", `${goodHeader}.${b64(`{"a":"${"x".repeat(40_000)}"}`)}.${goodSignature}`, /longer than 16000 characters/],
  ["a megabyte", "A".repeat(1_000_000), /longer than 16000 characters/],
  // Base64url.
  ["header padded", `${b64('{"alg":"RS256"}')}=.${goodPayload}.${goodSignature}`, BASE64],
  ["payload padded", `${goodHeader}.${goodPayload}=.${goodSignature}`, BASE64],
  ["signature padded", `${goodHeader}.${goodPayload}.${goodSignature}==`, BASE64],
  ["standard alphabet", `${goodHeader}.${goodPayload}.${goodSignature.slice(0, -2)}+/`, BASE64],
  ["a blank inside", `${goodHeader}.${goodPayload.slice(0, 8)} ${goodPayload.slice(8)}.${goodSignature}`, BASE64],
  ["a line end inside", `${goodHeader}.${goodPayload}\n.${goodSignature}`, BASE64],
  ["percent-encoded", `${goodHeader}.${goodPayload}.${goodSignature}%3D`, BASE64],
  ["left-over bits", `${goodHeader}.${goodPayload}.${lastCharacterChanged(goodSignature)}`, BASE64],
  ["a length that no bytes have", `${goodHeader}.AAAAA.${goodSignature}`, BASE64],
  ["characters beyond ASCII", `${goodHeader}.${goodPayload}.ÿÿÿÿ`, BASE64],
  // JSON.
  ["claim twice", signedText(withMember('"sub":"admin"')), TWICE],
  ["claim twice, one spelt with an escape", signedText(withMember('"\\u0073ub":"admin"')), TWICE],
  ["iss twice", signedText(withMember(`"iss":"${ISSUER}"`)), TWICE],
  ["exp twice", signedText(withMember(`"exp":${nowS() + 9999}`)), TWICE],
  ["claim twice, further in", signedText(withMember('"a":{"b":1,"b":2}')), TWICE],
  ["__proto__ twice", signedText(withMember('"__proto__":{},"__proto__":{}')), TWICE],
  ["alg twice", headerText('{"alg":"RS256","kid":"rsa-1","alg":"none"}'), TWICE],
  ["kid twice", headerText('{"alg":"RS256","kid":"rsa-2","kid":"rsa-1"}'), TWICE],
  ["payload empty", signedText(""), NOT_JSON],
  ["payload a text", signedText('"alice"'), /payload is not a JSON object/],
  ["payload a list", signedText(`[${payload()}]`), /payload is not a JSON object/],
  ["payload null", signedText("null"), /payload is not a JSON object/],
  ["payload a number", signedText("1"), /payload is not a JSON object/],
  ["payload with a tail", signedText(`${payload()}x`), NOT_JSON],
  ["payload two objects", signedText(payload() + payload()), NOT_JSON],
  ["payload with a comment", signedText(`/**/${payload()}`), NOT_JSON],
  ["payload with a trailing comma", signedText(`${payload().slice(0, -1)},}`), NOT_JSON],
  ["payload with NaN", signedText(withMember('"x":NaN')), NOT_JSON],
  ["payload with single quotes", signedText("{'sub':'alice'}"), NOT_JSON],
  ["payload with a byte order mark", signedText(`\ufeff${payload()}`), NOT_JSON],
  ["payload in UTF-16", rawToken(rsa, JSON.stringify(header()), Buffer.from(payload(), "utf16le")), /not UTF-8|not JSON/],
  ["payload not UTF-8", rawToken(rsa, JSON.stringify(header()), Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), /not UTF-8/],
  [
    "payload with overlong UTF-8",
    rawToken(rsa, JSON.stringify(header()), Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])),
    /not UTF-8/,
  ],
  ["payload with a control character", signedText(withMember('"x":"\u0001"')), NOT_JSON],
  ["payload with a lone surrogate", signedText(withMember('"x":"\\ud800"')), INEXACT],
  ["payload with a number beyond doubles", signedText(withMember('"x":1e400')), INEXACT],
  ["payload nested deeply", signedText(withMember(deep(100))), DEEP],
  ["payload nested very deeply", signedText(withMember(deep(5000))), DEEP],
  ["payload of quotes", signedText('"\\'.repeat(4000)), NOT_JSON],
  ["header a list", headerText('["RS256"]'), /header is not a JSON object/],
  ["header null", headerText("null"), /header is not a JSON object/],
  ["header with a tail", headerText(`${JSON.stringify(header())}garbage`), NOT_JSON],
  // Times.
  ["exp in the past", token(rsa, { exp: nowS() - 3600 }), /has expired/],
  ["exp missing", withoutMember("exp"), /has no `exp`/],
  ["exp null", token(rsa, { exp: null }), TIMES],
  ["exp a text", token(rsa, { exp: String(nowS() + 3600) }), TIMES],
  ["exp a date", token(rsa, { exp: "2099-01-01T00:00:00Z" }), TIMES],
  ["exp negative", token(rsa, { exp: -1 }), TIMES],
  ["exp true", token(rsa, { exp: true }), TIMES],
  ["exp a list", token(rsa, { exp: [nowS() + 3600] }), TIMES],
  ["exp an object", token(rsa, { exp: {} }), TIMES],
  ["exp beyond doubles", signedText(payload({ exp: "@" }).replace('"@"', "1e400")), INEXACT],
  ["exp beyond safe integers", signedText(payload({ exp: "@" }).replace('"@"', "1e300")), TIMES],
  ["exp zero", token(rsa, { exp: 0 }), /has expired/],
  ["exp in milliseconds of the past", token(rsa, { exp: nowS() - 100 }), /has expired/],
  ["nbf in the future", token(rsa, { nbf: nowS() + 3600 }), /not good yet/],
  ["nbf a text", token(rsa, { nbf: "0" }), TIMES],
  ["nbf negative", token(rsa, { nbf: -5 }), TIMES],
  ["iat in the future", token(rsa, { iat: nowS() + 3600 }), /issued in the future/],
  // Who for and who by.
  ["iss missing", withoutMember("iss"), ISSUERS],
  ["iss another", token(rsa, { iss: "https://evil.example" }), ISSUERS],
  ["iss with a slash more", token(rsa, { iss: `${ISSUER}/` }), ISSUERS],
  ["iss in other case", token(rsa, { iss: ISSUER.toUpperCase() }), ISSUERS],
  ["iss a list", token(rsa, { iss: [ISSUER] }), ISSUERS],
  ["iss an object", token(rsa, { iss: { toString: ISSUER } }), ISSUERS],
  ["aud missing", withoutMember("aud"), AUDIENCE],
  ["aud another", token(rsa, { aud: "other" }), AUDIENCE],
  ["aud a longer one", token(rsa, { aud: "api2" }), AUDIENCE],
  ["aud an empty list", token(rsa, { aud: [] }), AUDIENCE],
  ["aud a list of others", token(rsa, { aud: ["a", "b"] }), AUDIENCE],
  ["aud a list with a number", token(rsa, { aud: ["api", 1] }), AUDIENCE],
  ["aud nested", token(rsa, { aud: [["api"]] }), AUDIENCE],
  ["aud an object", token(rsa, { aud: { api: true } }), AUDIENCE],
  // Who.
  ["sub missing", withoutMember("sub"), CONSUMER],
  ["sub empty", token(rsa, { sub: "" }), CONSUMER],
  ["sub with a line end", token(rsa, { sub: "alice\r\nx-admin: 1" }), CONSUMER],
  ["sub with a NUL", token(rsa, { sub: "alice\0" }), CONSUMER],
  ["sub an object", token(rsa, { sub: { id: "alice" } }), CONSUMER],
  ["sub with a blank at its end", token(rsa, { sub: "alice " }), CONSUMER],
  ["sub with a line separator", token(rsa, { sub: "alice\u2028x" }), CONSUMER],
  ["sub with a C1 control", token(rsa, { sub: "alice\u0085x" }), CONSUMER],
  ["sub a fraction", token(rsa, { sub: 1.5 }), CONSUMER],
  ["exp a negative fraction", token(rsa, { exp: -0.5 }), TIMES],
  ["exp a fraction of the past", token(rsa, { exp: nowS() - 3600.5 }), /has expired/],
  ["sub a list", token(rsa, { sub: ["alice"] }), CONSUMER],
  ["sub very long", token(rsa, { sub: "a".repeat(300) }), CONSUMER],
];

/** DER where the two raw numbers are due (RFC 7518 section 3.4). */
function derSigned(): string {
  const input = `${part({ alg: "ES256", kid: "ec-1" })}.${goodPayload}`;
  const raw = signature("ES256", ec.privateKey, input);
  const number = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from([2, 33, 0]), bytes]);
  const body = Buffer.concat([number(raw.subarray(0, 32)), number(raw.subarray(32))]);
  return `${input}.${b64(Buffer.concat([Buffer.from([0x30, body.length]), body]))}`;
}

/** The same bytes for a lenient decoder: bits of the last character that stand for nothing (256 bytes leave four). */
function lastCharacterChanged(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1) ?? "A") ^ 1];
}

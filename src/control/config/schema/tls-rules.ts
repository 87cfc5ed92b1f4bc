// Owns the keys by which TLS is narrowed for listeners and upstreams: versions, cipher suites, curves; what this runtime has of them; and which of it the
// uws engine can do. Must never let a setting pass that would be ignored.
import type * as Tls from "node:tls";
import * as z from "zod";
import type { Rule } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";
import type { TlsRulesPlan, TlsVersion } from "../../../plan/tls-rules.ts";

const OLDEST: TlsVersion = "TLSv1.2";
const NEWEST: TlsVersion = "TLSv1.3";
const NAMES_MAX = 64;

/** Loaded when somebody writes one of the keys. */
const tls = (): typeof Tls => process.getBuiltinModule("node:tls");

const RUNTIME = `OpenSSL ${process.versions.openssl}`;

/** Cipher suites that a connection with certificates can have here. Those of TLS 1.3 begin with `TLS_`. */
const suites = once((): readonly string[] =>
  tls()
    .getCiphers()
    .map((name) => name.toUpperCase())
    .filter((name) => !/PSK|SRP/.test(name)),
);

/** Groups that Node's OpenSSL may have, by the names that TLS has for them. */
const KNOWN_CURVES = [
  ...["X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X25519", "X448", "P-256", "P-384", "P-521"],
  ...[
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "prime256v1",
    "secp256k1",
    "brainpoolP256r1tls13",
    "brainpoolP384r1tls13",
    "brainpoolP512r1tls13",
  ],
  ...["ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"],
];

const curvesHere = once((): readonly string[] => KNOWN_CURVES.filter(isUsableCurve));

function isUsableCurve(name: string): boolean {
  try {
    tls().createSecureContext({ ecdhCurve: name });
    return true;
  } catch {
    return false;
  }
}

/** `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, as IANA has it -> `ECDHE-RSA-AES128-GCM-SHA256`, as OpenSSL has it. */
const openSslName = (name: string): string =>
  name
    .toUpperCase()
    .replace(/^TLS_(RSA_(?=WITH))?/, "")
    .replace(/_?WITH_/, "_")
    .replace(/^_/, "")
    .replace(/AES_(\d+)/, "AES$1")
    .replace("_CBC", "")
    .replace(/(POLY1305)_SHA256$/, "$1")
    .replaceAll("_", "-");

/** One of what the runtime has. @param meant other writings of the same */
const oneOf = (what: string, list: () => readonly string[], meant: (text: string) => readonly string[]) =>
  z.string().superRefine((text, ctx) => {
    const here = list();
    if (here.includes(text)) return;
    const same = meant(text).find((name) => here.includes(name));
    const remedy = same === undefined ? `it has ${here.join(", ")}` : `did you mean \`${same}\`?`;
    ctx.addIssue({ code: "custom", message: `${RUNTIME} has no ${what} ${text}`, params: { remedy } });
  });

const sameIn = (list: () => readonly string[], text: string): readonly string[] =>
  list().filter((name) => name.toLowerCase() === text.toLowerCase());

const version = (description: string, preset: TlsVersion) =>
  z
    .enum(["TLSv1.2", "TLSv1.3"], {
      error: ({ input }) => {
        const [, digits] = /^(?:TLS|VersionTLS|SSL)?v?_?(\d[._]?\d?)$/i.exec(String(input)) ?? [];
        const meant = digits === undefined ? "" : digits.replace(/^(\d)[._]?(\d)$/, "TLSv$1.$2");
        if (meant === "TLSv1.2" || meant === "TLSv1.3") return `expected TLSv1.2 or TLSv1.3: write \`${meant}\``;
        return digits === undefined ? undefined : "expected TLSv1.2 or TLSv1.3: older versions are never spoken (RFC 8996)";
      },
    })
    .prefault(preset)
    .meta({ description });

/** Keys of `tls`, for whoever has them. */
export const tlsRuleKeys = once(() => ({
  minVersion: version("Oldest version of TLS that is spoken.", OLDEST),
  maxVersion: version("Newest version of TLS that is spoken.", NEWEST),
  ciphers: z
    .array(
      oneOf("cipher suite", suites, (text) => [openSslName(text), ...sameIn(suites, text)]).meta({
        pattern: /^[A-Za-z0-9_-]+$/.source,
      }),
    )
    .min(1)
    .max(NAMES_MAX)
    .optional()
    .meta({
      description:
        "The only cipher suites, by OpenSSL's names, for every version that is spoken: those of TLS 1.3 begin with `TLS_`. By default Node's. The order is a preference where this side decides: as a client, and as a server by the `net` engine.",
      examples: [["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"]],
    }),
  curves: z
    .array(oneOf("curve", curvesHere, (text) => sameIn(curvesHere, text)).meta({ pattern: /^[A-Za-z0-9-]+$/.source }))
    .min(1)
    .max(NAMES_MAX)
    .optional()
    .meta({
      description: "The only curves (groups) that keys are agreed on, first choice first. By default OpenSSL's.",
      examples: [["X25519", "P-256", "P-384"]],
    }),
}));

/** As written, defaults filled in. */
export interface WrittenTlsRules {
  readonly minVersion?: TlsVersion | undefined;
  readonly maxVersion: TlsVersion;
  readonly ciphers?: readonly string[] | undefined;
  readonly curves?: readonly string[] | undefined;
}

export const versionOrder: Rule<WrittenTlsRules> = ({ minVersion = OLDEST, maxVersion }, object) => {
  if (minVersion > maxVersion)
    object(`${minVersion} to ${maxVersion} is no version at all`, ["minVersion"], "swap `minVersion` and `maxVersion`");
};

/** A version without a cipher suite could not be spoken, and Node would leave it out without a word. */
export const ciphersForEachVersion: Rule<WrittenTlsRules> = ({ minVersion = OLDEST, maxVersion, ciphers }, object) => {
  if (ciphers === undefined) return;
  if (maxVersion === "TLSv1.3" && !ciphers.some(isOf13))
    object("none of these is a cipher suite of TLSv1.3", ["ciphers"], `add ${UWS_13.join(", ")}, or write \`maxVersion: TLSv1.2\``);
  if (minVersion === "TLSv1.2" && maxVersion >= minVersion && ciphers.every(isOf13))
    object(
      "none of these is a cipher suite of TLSv1.2",
      ["ciphers"],
      "add some, such as ECDHE-ECDSA-AES128-GCM-SHA256, or write `minVersion: TLSv1.3`",
    );
};

const isOf13 = (name: string): boolean => name.startsWith("TLS_");

/** @returns null when nothing is narrowed */
export function tlsRulesOf({ minVersion = OLDEST, maxVersion, ciphers = [], curves = [] }: WrittenTlsRules): TlsRulesPlan | null {
  if (minVersion === OLDEST && maxVersion === NEWEST && ciphers.length === 0 && curves.length === 0) return null;
  return { minVersion, maxVersion, ciphers: [...new Set(ciphers)], curves: [...new Set(curves)] };
}

/** The same where TLS of before is spoken too. */
export function oldTlsRules({ minVersion, ...written }: Partial<WrittenTlsRules>): TlsRulesPlan {
  const { maxVersion = NEWEST, ciphers = [], curves = [] } = written;
  return { minVersion: minVersion ?? "TLSv1", maxVersion, ciphers: [...new Set(ciphers)], curves: [...new Set(curves)], old: true };
}

/** What the kind of a certificate's key needs in the name of a suite of TLS 1.2. */
const AUTHENTICATES: Readonly<Record<string, (name: string) => boolean>> = {
  rsa: (name) => !name.includes("ECDSA"),
  ec: (name) => name.includes("ECDSA"),
  ed25519: (name) => name.includes("ECDSA"),
  ed448: (name) => name.includes("ECDSA"),
};

/** Whether TLS 1.2, if it is spoken, has a suite for a certificate with this kind of key. */
export function fitsKey({ minVersion, ciphers }: TlsRulesPlan, keyType: string): boolean {
  const fits = AUTHENTICATES[keyType];
  return minVersion !== "TLSv1.2" || ciphers.length === 0 || fits === undefined || ciphers.some((name) => !isOf13(name) && fits(name));
}

/** Of TLS 1.3 the uws engine speaks these, whatever it is told. */
const UWS_13 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
/** Of TLS 1.2 it can be told to speak these (BoringSSL). */
export const UWS_12: readonly string[] = [
  ...["ECDSA", "RSA"].flatMap((kind) =>
    ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA"].map((rest) => `ECDHE-${kind}-${rest}`),
  ),
  ...["ECDHE-RSA-AES128-SHA256", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA"],
];

/** @returns why the uws engine cannot keep these rules; '' when it can */
export function beyondUws({ minVersion, maxVersion, ciphers, curves }: TlsRulesPlan): string {
  if (minVersion !== "TLSv1.2") return `\`tls.minVersion: ${minVersion}\``;
  if (maxVersion !== "TLSv1.3") return `\`tls.maxVersion: ${maxVersion}\``;
  if (curves.length > 0) return "`tls.curves`";
  if (ciphers.length === 0) return "";
  if (!UWS_13.every((name) => ciphers.includes(name))) return "`tls.ciphers` without all of TLS 1.3's three usual ones";
  const other = ciphers.find((name) => !UWS_12.includes(name) && !UWS_13.includes(name));
  return other === undefined ? "" : `\`tls.ciphers\` with ${other}`;
}

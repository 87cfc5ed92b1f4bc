// Owns what TLS may use where versions, cipher suites and curves are narrowed, and what that is to Node: the same for listeners, upstreams and probes. Pure.
import type { SecureContextOptions } from "node:tls";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Spoken with services only that know no better (`insecure: [old-tls]`). */
type OldTlsVersion = "TLSv1";

/** What TLS may use. The runtime has all of it. */
export interface TlsRulesPlan {
  readonly minVersion: TlsVersion | OldTlsVersion;
  readonly maxVersion: TlsVersion;
  /** OpenSSL's names, those of TLS 1.3 (`TLS_...`) among them; empty for the default ones. */
  readonly ciphers: readonly string[];
  /** Empty for the default ones. */
  readonly curves: readonly string[];
  /** Of an upstream: whatever OpenSSL can, safe or not. */
  readonly old?: boolean;
}

export interface UpstreamTlsPlan {
  /** PEM text, already read; null for the system's roots. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly serverName: string | null;
  /** false only when the operator wrote `insecure: [tls-unverified]`. */
  readonly verify: boolean;
  /** null: Node's own choice from TLS 1.2 on. */
  readonly rules: TlsRulesPlan | null;
}

/** @param rules null: nothing is narrowed */
export function secureOptions(rules: TlsRulesPlan | null): SecureContextOptions {
  if (rules === null) return { minVersion: "TLSv1.2" };
  const { minVersion, maxVersion, ciphers, curves, old = false } = rules;
  return {
    minVersion,
    maxVersion,
    ...(ciphers.length === 0 ? {} : { ciphers: ciphers.join(":") }),
    ...(old ? oldOptions(ciphers) : {}),
    // Without parameters of ours, a server could not keep a suite that needs them.
    ...(ciphers.some((name) => name.startsWith("DHE-")) ? { dhparam: "auto" } : {}),
    ...(curves.length === 0 ? {} : { ecdhCurve: curves.join(":") }),
  };
}

/** OpenSSL takes keys and signatures of those days only where the list of suites says so. @param ciphers empty for the default ones */
function oldOptions(ciphers: readonly string[]): SecureContextOptions {
  const suites = ciphers.length === 0 ? process.getBuiltinModule("node:tls").DEFAULT_CIPHERS : ciphers.join(":");
  return {
    ciphers: `${suites}:@SECLEVEL=0`,
    secureOptions: process.getBuiltinModule("node:crypto").constants.SSL_OP_LEGACY_SERVER_CONNECT,
  };
}

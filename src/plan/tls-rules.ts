// Owns what versions, cipher suites and curves of a plan are to Node's TLS: the same for listeners, connections to upstreams, and probes. Pure.
import type { SecureContextOptions } from "node:tls";
import type { TlsRulesPlan } from "./plan.ts";

/** @param rules null: nothing is narrowed */
export function secureOptions(rules: TlsRulesPlan | null): SecureContextOptions {
  if (rules === null) return { minVersion: "TLSv1.2" };
  const { minVersion, maxVersion, ciphers, curves } = rules;
  return {
    minVersion,
    maxVersion,
    ...(ciphers.length === 0 ? {} : { ciphers: ciphers.join(":") }),
    // Without parameters of ours, a server could not keep a suite that needs them.
    ...(ciphers.some((name) => name.startsWith("DHE-")) ? { dhparam: "auto" } : {}),
    ...(curves.length === 0 ? {} : { ecdhCurve: curves.join(":") }),
  };
}

// Types of the part of a plan that says where a gateway listens. No logic.
import type { PathsPlan } from "./paths.ts";
import type { TlsRulesPlan } from "./tls-rules.ts";

export type Engine = "uws" | "net";

export interface ListenerPlan {
  /** Identity across reloads: the address as written, normalised (`127.0.0.1:8080`, `unix:/run/sluice.sock`). */
  readonly address: string;
  readonly host: string;
  /** 0 picks a free port: the primary resolves it before the workers see it. */
  readonly port: number;
  /** Unix socket path; then host is '' and port 0. */
  readonly unixPath: string | null;
  readonly engine: Engine;
  /** Why this engine: shown by `validate`. */
  readonly engineReason: string;
  readonly tls: ListenerTlsPlan | null;
  /** With TLS: HTTP/2 is offered in the handshake (net engine only). */
  readonly http2: boolean;
  /** Without TLS: clients that begin with HTTP/2 are served (net engine only). */
  readonly h2c: boolean;
  /** Every connection begins with a PROXY protocol header, which is believed (net engine only). */
  readonly proxyProtocol: boolean;
  /** What routes know it by; '' for none. */
  readonly name: string;
  /** Every request that came by plain HTTP is redirected to https on this port; null: none is. */
  readonly redirectToHttps: number | null;
  /** What request paths may hold beyond the strict normal form; null: nothing. */
  readonly paths: PathsPlan | null;
}

export interface ListenerTlsPlan {
  /** First is the default certificate. Paths are absolute. */
  readonly certificates: readonly CertificatePlan[];
  /** Client certificates are asked for and verified (net engine only); null: not asked for. */
  readonly clientAuth: ClientAuthPlan | null;
  /** null: the engine's own choice from TLS 1.2 on. */
  readonly rules: TlsRulesPlan | null;
  /** Changes when any file's content changes. */
  readonly fingerprint: string;
}

export interface ClientAuthPlan {
  /** PEM file, absolute, and its content. */
  readonly caPath: string;
  readonly ca: string;
  /** false: clients may come without one. */
  readonly required: boolean;
}

/** With the content of its files as they were checked: whoever listens must not depend on what they have become. Each character is a byte. */
export interface CertificatePlan {
  readonly certPath: string;
  readonly keyPath: string;
  readonly cert: string;
  readonly key: string;
  /** SNI names, `*.example.com` allowed; empty for default only. */
  readonly hosts: readonly string[];
}

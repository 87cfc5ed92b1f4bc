// Owns the check that certificates and keys can be used: they exist, parse, belong together and cover their names.
// What only time or trust can tell (expiry, names not covered) is a warning; what would fail a handshake is a problem.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { UNREADABLE } from "../../../base/schema.ts";
import { namesOf } from "../../../data/policies/auth/config.ts";
import type { TlsRulesPlan } from "../../../plan/tls-rules.ts";
import type { LeftOutListener, NamedUpstream } from "../schema/schema.ts";
import type { Draft } from "../schema/sections.ts";
import { fitsKey } from "../schema/tls-rules.ts";
import { ConfigFiles } from "../source/files.ts";
import type { PathPart } from "../source/problem.ts";
import { authOf } from "./auth-of.ts";
import type { Findings, Report } from "./references.ts";
import { serviceUsers } from "./service-of.ts";

/** Certificates that end sooner are warned about. */
const EXPIRY_WARNING_DAYS = 14;
const DAY_MS = 86_400_000;

export function checkTls(draft: Draft, files: ConfigFiles, findings: Findings): void {
  for (const [i, listener] of draft.listeners.entries()) {
    const names = new Map<string, number>();
    for (const [j, certificate] of (listener.certificates ?? []).entries()) {
      const path = ["listeners", i, "tls", "certificates", j];
      const parsed = checkFiles(files, certificate, path, findings.listener(i));
      if (parsed !== null) {
        checkValidity(parsed, certificate.hosts, path, findings.warn);
        checkSuites(listener.tlsRules, parsed, path, findings.report);
      }
      if (j > 0 && certificate.hosts.length === 0)
        findings.report(path, "only the first certificate may have no hosts: this one would never be served", "add hosts");
      for (const [k, host] of certificate.hosts.entries()) {
        const before = names.get(host);
        if (before !== undefined)
          findings.report(
            [...path, "hosts", k],
            `${host} already belongs to certificates[${findings.indexOf([...path.slice(0, -1), before])}]`,
            "list each name once",
          );
        else names.set(host, j);
      }
    }
  }
  checkClientAuthorities(draft, files, findings);
  for (const { name, tls } of draft.upstreams) if (tls !== undefined) checkClientTls(tls, ["upstreams", name, "tls"], findings);
  const redisTls = draft.sections.redis?.tls ?? null;
  if (redisTls !== null) checkClientTls(redisTls, ["redis", "tls"], findings);
  for (const { path, service } of serviceUsers(draft)) {
    const ca = readable(service.own?.ca ?? null);
    if (ca !== null) readCertificates(ca, [...path, "ca"], findings.report);
  }
}

function checkSuites(rules: TlsRulesPlan | null, certificate: X509Certificate, path: readonly PathPart[], report: Report): void {
  const keyType = certificate.publicKey.asymmetricKeyType ?? "";
  if (rules === null || fitsKey(rules, keyType)) return;
  const remedy = `add one such as ECDHE-${keyType === "rsa" ? "RSA" : "ECDSA"}-AES128-GCM-SHA256, or write \`minVersion: TLSv1.3\``;
  report(path, `none of \`ciphers\` is for a key of its kind (${keyType}): nobody could speak TLSv1.2 with it`, remedy);
}

/** Also whether `mtls` authenticators can be asked wherever a request may come from: every TLS listener that serves a route with one. */
function checkClientAuthorities(draft: Draft, files: ConfigFiles, findings: Findings): void {
  const { report, warn } = findings;
  const listener = (index: number): Report => findings.listener(index);
  for (const [i, { clientAuth }] of draft.listeners.entries()) {
    const path = ["listeners", i, "tls", "clientCa"];
    const pem = clientAuth === null ? null : pemFile(files, clientAuth.ca, path, listener(i));
    const authority = pem === null ? null : readCertificates(pem, path, listener(i));
    if (authority?.ca === false)
      warn(path, "the certificate is not that of an authority", "name the one that signs the clients' certificates");
  }
  const mtls = draft.sections.auth?.find(({ kind }) => kind === "mtls");
  if (mtls === undefined || findings.isLost(["listeners"])) return;
  if (draft.listeners.every(({ clientAuth }) => clientAuth === null))
    return report(["auth", mtls.name], "no listener asks clients for certificates", "add `tls.clientCa` to the listeners");
  for (const [i, { name, certificates, clientAuth }] of draft.listeners.entries()) {
    if (certificates === null || clientAuth !== null || !mayAskFor(mtls.name, name, draft.routes)) continue;
    const remedy = "add `clientCa`, with `clientCertificates: optional` where others call too";
    report(["listeners", i, "tls"], `${mtls.name} can't prove who calls here: clients are not asked for certificates`, remedy);
  }
}

const readable = (pem: string | null): string | null => (pem === UNREADABLE ? null : pem);

/** Whether some route asks for the authenticator on this listener; also when none asks for it anywhere. */
function mayAskFor(authenticator: string, listener: string, routes: Draft["routes"]): boolean {
  const asking = routes.filter((route) => {
    const tree = authOf(route)?.tree ?? null;
    return tree !== null && namesOf(tree).includes(authenticator);
  });
  return asking.length === 0 || asking.some(({ match }) => match.listeners.length === 0 || match.listeners.includes(listener));
}

/** What the gateway as a client needs: the same for upstreams and Redis. */
function checkClientTls(
  tls: Omit<NonNullable<NamedUpstream["tls"]>, "rules">,
  path: readonly PathPart[],
  { report, warn }: Findings,
): void {
  const ca = readable(tls.ca);
  if (ca !== null) readCertificates(ca, [...path, "ca"], report);
  const parsed = checkPair(readable(tls.cert), readable(tls.key), path, report);
  if (parsed !== null) checkValidity(parsed, [], path, warn);
}

/** @returns the certificate when both files can be read, parse and belong together. */
function checkFiles(
  files: ConfigFiles,
  { cert, key }: { readonly cert: string; readonly key: string },
  path: readonly PathPart[],
  report: Report,
): X509Certificate | null {
  return checkPair(pemFile(files, cert, [...path, "cert"], report), pemFile(files, key, [...path, "key"], report), path, report);
}

/** @returns whether a listener that was left out could be opened now; reads its files anew */
export function isUsable({ certificates, clientCa }: LeftOutListener): boolean {
  const files = new ConfigFiles();
  let usable = true;
  const report: Report = () => {
    usable = false;
  };
  for (const certificate of certificates) checkFiles(files, certificate, [], report);
  const authority = clientCa === null ? null : pemFile(files, clientCa, [], report);
  if (authority !== null) readCertificates(authority, [], report);
  return usable;
}

function pemFile(files: ConfigFiles, path: string, at: readonly PathPart[], report: Report): string | null {
  const content = files.read(path);
  if (Buffer.isBuffer(content)) return content.toString("latin1");
  report(at, `can't read ${path}: ${content.message}`, "paths are relative to the configuration file");
  return null;
}

/** @returns the certificate when both parse and belong together. */
function checkPair(cert: string | null, key: string | null, path: readonly PathPart[], report: Report): X509Certificate | null {
  const certificate = cert === null ? null : readCertificates(cert, [...path, "cert"], report);
  const privateKey = key === null ? null : readKey(key, [...path, "key"], report);
  if (certificate === null || privateKey === null) return null;
  if (certificate.checkPrivateKey(privateKey)) return certificate;
  report([...path, "key"], "the key does not belong to the certificate", "use the key the certificate was made for");
  return null;
}

/** Parses every certificate of a PEM text. @returns the first. */
function readCertificates(pem: string, path: readonly PathPart[], report: Report): X509Certificate | null {
  const blocks = pem.match(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g) ?? [];
  try {
    const [first] = blocks.map((block) => new X509Certificate(block));
    if (first !== undefined) return first;
    report(path, "there is no PEM certificate in this file", "use a file that holds -----BEGIN CERTIFICATE-----");
  } catch {
    report(path, "this is not a valid certificate", "check the file with `openssl x509 -text`");
  }
  return null;
}

function readKey(pem: string, path: readonly PathPart[], report: Report): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const encrypted = error instanceof Error && "code" in error && error.code === "ERR_MISSING_PASSPHRASE";
    report(
      path,
      encrypted ? "the private key is encrypted" : "this is not a valid private key",
      encrypted ? "store it without a passphrase" : "use a PEM file",
    );
    return null;
  }
}

function checkValidity(certificate: X509Certificate, hosts: readonly string[], path: readonly PathPart[], warn: Report): void {
  const left = Date.parse(certificate.validTo) - Date.now();
  if (left < 0) warn([...path, "cert"], `the certificate expired on ${certificate.validTo}`, "renew it");
  else if (left < EXPIRY_WARNING_DAYS * DAY_MS) warn([...path, "cert"], `the certificate ends on ${certificate.validTo}`, "renew it");
  if (Date.parse(certificate.validFrom) > Date.now())
    warn([...path, "cert"], `the certificate is valid only from ${certificate.validFrom}`, "");
  for (const [k, host] of hosts.entries()) {
    if (certificate.checkHost(host.replace(/^\*\./, "any-name.")) === undefined)
      warn([...path, "hosts", k], `the certificate does not cover ${host}`, "clients will refuse it");
  }
}

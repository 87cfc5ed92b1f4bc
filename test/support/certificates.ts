// Owns self-signed certificates for tests, made by openssl when they are needed: keys never stand in the repository.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/**
 * Writes `name.pem` and `name.key` (P-256) into a folder.
 * @param hosts subject alternative names; the first is the subject too
 * @param days until it ends
 */
export function makeCertificate(
  folder: string,
  name: string,
  hosts: readonly string[],
  days = 30,
): { readonly cert: string; readonly key: string } {
  const cert = join(folder, `${name}.pem`);
  const key = join(folder, `${name}.key`);
  const names = hosts.map((host) => (/^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`)).join(",");
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", String(days)];
  execFileSync(
    "openssl",
    [...request, "-subj", `/CN=${hosts[0] ?? name}`, "-addext", `subjectAltName=${names}`, "-keyout", key, "-out", cert],
    { stdio: "pipe" },
  );
  return { cert, key };
}

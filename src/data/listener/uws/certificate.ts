// Owns handing a certificate and its key to uWebSockets.js, which takes names of files only: as files that have no name and lie in memory, for as long as
// it reads them. Must never write a key to a disk.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { closeSync, constants, openSync, readFileSync, statfsSync, writeSync } from "node:fs";
import { OperatorError } from "../../../base/errors.ts";
import type { CertificatePlan } from "../../../plan/listener-plan.ts";

/** A file system in memory; a file that is opened so has no name in it (open(2)). */
const MEMORY = "/dev/shm";
const TMPFS_MAGIC = 0x01021994;
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

/** SSL options of uWebSockets.js. */
export interface CertificateFiles {
  readonly cert_file_name: string;
  readonly key_file_name: string;
}

/** @param use reads the files while it runs. @throws OperatorError when the pair cannot be used */
export function withCertificateFiles<T>(certificate: CertificatePlan | undefined, use: (files: CertificateFiles) => T): T {
  if (certificate === undefined) throw new OperatorError("a TLS listener needs at least one certificate");
  checkPair(certificate);
  const { certPath, keyPath, cert, key } = certificate;
  const opened: number[] = [];
  try {
    for (const text of hasMemoryFiles() ? [cert, key] : []) opened.push(inMemory(text));
    const [certFd, keyFd] = opened;
    if (certFd !== undefined && keyFd !== undefined)
      return use({ cert_file_name: `/proc/self/fd/${certFd}`, key_file_name: `/proc/self/fd/${keyFd}` });
    // Elsewhere than on Linux: the files themselves, as long as they are what was checked.
    if (!isStill(certPath, cert) || !isStill(keyPath, key))
      throw new OperatorError(
        `cannot use ${certPath} with ${keyPath}: they have changed, and ${MEMORY} is not there to hold what they were`,
      );
    return use({ cert_file_name: certPath, key_file_name: keyPath });
  } finally {
    for (const fd of opened) closeSync(fd);
  }
}

/** The native side says nothing about a pair that it cannot use: it shows the default certificate instead. @throws OperatorError */
function checkPair({ certPath, keyPath, cert, key }: CertificatePlan): void {
  try {
    if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) throw new Error("they do not belong together");
  } catch (error) {
    throw new OperatorError(`cannot use ${certPath} with ${keyPath}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function hasMemoryFiles(): boolean {
  try {
    return process.platform === "linux" && statfsSync(MEMORY).type === TMPFS_MAGIC;
  } catch {
    return false;
  }
}

/** @returns its descriptor. */
function inMemory(text: string): number {
  const fd = openSync(MEMORY, O_TMPFILE | constants.O_RDWR, 0o600);
  const bytes = Buffer.from(text, "latin1");
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
  return fd;
}

function isStill(path: string, text: string): boolean {
  try {
    return readFileSync(path, "latin1") === text;
  } catch {
    return false;
  }
}

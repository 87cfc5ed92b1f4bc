// Owns a private certificate authority for tests, made by openssl when it is needed: keys never stand in the repository.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Paths of PEM files. */
export interface IssuedCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  readonly expired?: boolean;
  /** `/CN=a/O=b` */
  readonly subject?: string;
  /** As openssl writes them: `extendedKeyUsage=serverAuth`. */
  readonly extensions?: readonly string[];
}

export class Authority {
  /** The authority's own certificate, a PEM file. */
  readonly ca: string;
  readonly #folder: string;
  readonly #name: string;

  /** @param folder where files go; must exist */
  constructor(folder: string, name = "authority") {
    this.#folder = folder;
    this.#name = name;
    this.ca = join(folder, `${name}.pem`);
    openssl("req", "-x509", ...KEY, "-days", "30", "-subj", `/CN=${name}`, "-keyout", join(folder, `${name}.key`), "-out", this.ca);
  }

  /**
   * Writes `file.pem` and `file.key`, each in one step, so that whoever watches them never sees half of one.
   * @param hosts subject alternative names, those of hosts as they are, others as openssl writes them (`URI:...`); the first is the subject too
   */
  issue(file: string, hosts: readonly string[], options: IssueOptions = {}): IssuedCertificate {
    const at = (suffix: string): string => join(this.#folder, `${file}.${suffix}`);
    const names = hosts.map((host) => (host.includes(":") ? host : /^[\d.]+$/.test(host) ? `IP:${host}` : `DNS:${host}`)).join(",");
    const extensions = [...(names === "" ? [] : [`subjectAltName=${names}`]), ...(options.extensions ?? [])];
    const subject = [
      "-subj",
      options.subject ?? `/CN=${hosts.find((host) => !host.includes(":")) ?? file}`,
      ...extensions.flatMap((each) => ["-addext", each]),
    ];
    openssl("req", ...KEY, ...subject, "-keyout", at("key.new"), "-out", at("csr"));
    const days = options.expired === true ? "-1" : "30"; // -1 exists for tests of expiry
    const signing = ["-CA", this.ca, "-CAkey", join(this.#folder, `${this.#name}.key`), "-CAcreateserial", "-copy_extensions", "copy"];
    openssl("x509", "-req", "-in", at("csr"), ...signing, "-days", days, "-out", at("pem.new"));
    fs.renameSync(at("key.new"), at("key"));
    fs.renameSync(at("pem.new"), at("pem"));
    return { cert: at("pem"), key: at("key") };
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: "pipe" });
}

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

  /** @param folder where files go; must exist. @param made files are there already */
  constructor(folder: string, name = "authority", made = false) {
    this.#folder = folder;
    this.#name = name;
    this.ca = join(folder, `${name}.pem`);
    if (!made)
      openssl("req", "-x509", ...KEY, "-days", "30", "-subj", `/CN=${name}`, "-keyout", join(folder, `${name}.key`), "-out", this.ca);
  }

  /** An authority below this one. */
  subordinate(name: string): Authority {
    this.issue(name, [], { subject: `/CN=${name}`, extensions: ["basicConstraints=critical,CA:TRUE"] });
    return new Authority(this.#folder, name, true);
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
    openssl("req", "-utf8", ...KEY, ...subject, "-keyout", at("key.new"), "-out", at("csr"));
    const issuer = { cert: this.ca, key: join(this.#folder, `${this.#name}.key`) };
    if (options.expired === true) signExpired(issuer, at("csr"), at("pem.new"));
    else {
      const signing = ["-CA", issuer.cert, "-CAkey", issuer.key, "-CAcreateserial", "-copy_extensions", "copy", "-days", "30"];
      openssl("x509", "-req", "-in", at("csr"), ...signing, "-out", at("pem.new"));
    }
    fs.renameSync(at("key.new"), at("key"));
    fs.renameSync(at("pem.new"), at("pem"));
    return { cert: at("pem"), key: at("key") };
  }
}

/** For tests of expiry. `openssl x509` takes no dates before 3.4 and no negative days since 3.5; `openssl ca` takes dates in both. */
function signExpired(issuer: IssuedCertificate, request: string, certificate: string): void {
  const folder = fs.mkdtempSync(`${certificate}-ca-`);
  const at = (name: string): string => join(folder, name);
  fs.writeFileSync(at("index.txt"), "");
  const section = { database: at("index.txt"), new_certs_dir: folder, default_md: "sha256", policy: "any", copy_extensions: "copy" };
  const lines = Object.entries(section).map(([key, value]) => `${key} = ${value}`);
  fs.writeFileSync(at("ca.conf"), `[ca]\ndefault_ca = it\n[it]\nrand_serial = yes\n${lines.join("\n")}\n[any]\n${ANY_SUBJECT}\n`);
  const dates = ["-startdate", "20250101000000Z", "-enddate", "20250201000000Z"];
  const signing = ["-cert", issuer.cert, "-keyfile", issuer.key, "-in", request, "-out", certificate, "-notext", "-batch"];
  openssl("ca", "-config", at("ca.conf"), ...signing, ...dates);
  fs.rmSync(folder, { recursive: true });
}

const ANY_SUBJECT = ["commonName", "organizationName", "organizationalUnitName"].map((name) => `${name} = optional`).join("\n");

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: "pipe" });
}

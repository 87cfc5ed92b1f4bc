// Certificates are made by openssl for each run: no keys in the repository.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { loadConfig } from "../../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../../src/control/config/output/redact.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { makeCertificate } from "../../../../support/certificates.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  for (const name of ["api", "shop"]) makeCertificate(folder, name, [`${name}.example.com`, `*.${name}.example.com`]);
  makeCertificate(folder, "brief", ["brief.example.com"], 1);
  writeFileSync(join(folder, "junk.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  writeFileSync(join(folder, "text.pem"), "hello");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const load = (certificates: string, upstreamTls = "") => {
  const file = join(folder, "c.yaml");
  const upstream = upstreamTls === "" ? "http://a" : "https://a";
  writeFileSync(
    file,
    `version: 1\nlisteners: [{ address: 127.0.0.1:0, tls: { certificates: [${certificates}] } }]\nupstreams: { a: { targets: [{ url: ${upstream} }]${upstreamTls} } }\nroutes: [{ name: r, match: {}, to: a }]\n`,
  );
  return loadConfig({ files: [file], env: {} });
};
const lines = (problems: readonly Parameters<typeof formatProblem>[0][]) =>
  problems.map((p) =>
    formatProblem(p)
      .replaceAll(`${folder}/`, "")
      .replace(/^c\.yaml:\d+:\d+: /, ""),
  );
const problems = (certificates: string, upstreamTls = ""): string[] => {
  const result = load(certificates, upstreamTls);
  return result.ok ? [] : lines(result.problems);
};

const API = "{ cert: api.pem, key: api.key, hosts: [api.example.com] }";

describe("listener certificates", () => {
  const check = (name: string, certificates: string, ...expected: string[]) =>
    it(name, () => expect(problems(certificates)).toEqual(expected.map((text) => `listeners[0].tls.certificates${text}`)));
  check("good", `${API}, { cert: shop.pem, key: shop.key, hosts: [shop.example.com, "*.shop.example.com"] }`);
  check(
    "missing file",
    "{ cert: none.pem, key: api.key }",
    "[0].cert: can't read none.pem: there is no such file; paths are relative to the configuration file",
  );
  check(
    "a folder",
    "{ cert: ../., key: api.key }",
    `[0].cert: can't read ${resolve(tmpdir())}: it is a directory; paths are relative to the configuration file`,
  );
  check(
    "not a certificate",
    "{ cert: text.pem, key: api.key }",
    "[0].cert: there is no PEM certificate in this file; use a file that holds -----BEGIN CERTIFICATE-----",
  );
  check(
    "broken certificate",
    "{ cert: junk.pem, key: api.key }",
    "[0].cert: this is not a valid certificate; check the file with `openssl x509 -text`",
  );
  check("not a key", "{ cert: api.pem, key: text.pem }", "[0].key: this is not a valid private key; use a PEM file");
  check(
    "key of another certificate",
    "{ cert: api.pem, key: shop.key }",
    "[0].key: the key does not belong to the certificate; use the key the certificate was made for",
  );
  check(
    "a second without hosts",
    `${API}, { cert: shop.pem, key: shop.key }`,
    "[1]: only the first certificate may have no hosts: this one would never be served; add hosts",
  );
  check(
    "a name twice",
    `${API}, { cert: shop.pem, key: shop.key, hosts: [api.example.com] }`,
    "[1].hosts[0]: api.example.com already belongs to certificates[0]; list each name once",
  );
});

describe("warnings", () => {
  const check = (name: string, certificates: string, expected: RegExp | null) =>
    it(name, () => {
      const result = load(certificates);
      const found = result.ok ? lines(result.warnings) : lines(result.problems);
      if (expected === null) expect(found).toEqual([]);
      else expect(found).toEqual([expect.stringMatching(expected)]);
    });
  check("none for a good one", API, null);
  check(
    "a name that is not covered",
    "{ cert: api.pem, key: api.key, hosts: [other.example.com] }",
    /hosts\[0\]: the certificate does not cover other\.example\.com; clients will refuse it$/,
  );
  check("a wildcard that is not covered", "{ cert: brief.pem, key: brief.key, hosts: [] }", /cert: the certificate ends on .*; renew it$/);
});

describe("upstream TLS", () => {
  const check = (name: string, tls: string, ...expected: string[]) =>
    it(name, () => expect(problems(API, `, tls: ${tls}`)).toEqual(expected.map((text) => `upstreams.a.tls${text}`)));
  check("good", "{ ca: shop.pem, cert: api.pem, key: api.key, serverName: a.internal }");
  check("with file:", "{ ca: 'file:shop.pem' }");
  check(
    "missing file, said once",
    "{ ca: none.pem }",
    ".ca: can't read none.pem: there is no such file; paths are relative to the configuration file",
  );
  check(
    "key of another certificate",
    "{ cert: api.pem, key: shop.key }",
    ".key: the key does not belong to the certificate; use the key the certificate was made for",
  );
  it("the plan holds the text", () => {
    const result = load(API, ", tls: { ca: shop.pem }");
    const plan = result.ok ? compilePlan(result.config, { version: 1, metricSlot: () => 0, breakerSlot: () => 0 }) : null;
    expect(plan?.upstreams[0]?.tls?.ca).toMatch(/^-----BEGIN CERTIFICATE-----/);
  });
});

it("the plan names absolute paths and holds what the files held, and its fingerprint follows the content", () => {
  const compiled = () => {
    const result = load(API);
    if (!result.ok) throw new Error(lines(result.problems).join("\n"));
    expect(result.files).toEqual(expect.arrayContaining([join(folder, "c.yaml"), join(folder, "api.pem"), join(folder, "api.key")]));
    return compilePlan(result.config, { version: 1, metricSlot: () => 0, breakerSlot: () => 0 }).listeners[0]?.tls;
  };
  const before = compiled();
  expect(before?.certificates).toEqual([
    {
      certPath: join(folder, "api.pem"),
      keyPath: join(folder, "api.key"),
      cert: readFileSync(join(folder, "api.pem"), "latin1"),
      key: readFileSync(join(folder, "api.key"), "latin1"),
      hosts: ["api.example.com"],
    },
  ]);
  expect(compiled()?.fingerprint).toBe(before?.fingerprint);
  makeCertificate(folder, "api", ["api.example.com"]);
  expect(compiled()?.fingerprint).not.toBe(before?.fingerprint);
});

it("what may be shown of a configuration has no key in it", () => {
  const result = load(API);
  if (!result.ok) throw new Error(lines(result.problems).join("\n"));
  expect(Object.values(result.config.certificateFiles).join("")).toContain("PRIVATE KEY");
  expect(JSON.stringify(redactConfig(result.config))).not.toContain("-----BEGIN");
});

it("a secret may come from a file, without its line end", () => {
  writeFileSync(join(folder, "token"), "0123456789abcdef\n");
  const file = join(folder, "s.yaml");
  writeFileSync(
    file,
    "version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\nadmin: { token: 'file:token' }\nroutes: [{ name: r, match: {}, respond: {} }]\n",
  );
  const result = loadConfig({ files: [file], env: {} });
  expect(result.ok ? result.config.admin?.token : lines(result.problems)).toBe("0123456789abcdef");
});

// Which certificate belongs to which name, in a handshake and for the host of a request.
import { expect, it } from "vitest";
import { CertificateTable } from "../../../../../src/data/listener/net/certificate-table.ts";
import { KeptTerms } from "../../../../../src/data/listener/net/connection-terms.ts";

const certificate = (...hosts: string[]) => ({ certPath: "", keyPath: "", cert: "", key: "", hosts });
const several = new CertificateTable([
  certificate(),
  certificate("api.example.com", "API.example.org"),
  certificate("*.example.com"),
  certificate("api.example.com"),
]);

it.each([
  ["api.example.com", 1],
  ["api.example.org", 1],
  ["www.example.com", 2],
  ["a.b.example.com", 0],
  ["example.com", 0],
  ["localhost", 0],
  ["127.0.0.1", 0],
  ["", 0],
  [".example.com", 2],
])("the certificate of %s is number %i", (name, index) => {
  expect(several.indexOf(name)).toBe(index);
});

const terms = (table: CertificateTable | null, serverName: string) =>
  new KeptTerms(
    {
      current: () => {
        throw new Error("not asked for");
      },
    },
    { certificates: table, serverName },
  );

it.each([
  ["the same name", "api.example.com", "api.example.com", true],
  ["another name of the same certificate", "api.example.com", "api.example.org", true],
  ["a name of another certificate", "api.example.com", "www.example.com", false],
  ["a name of no certificate", "api.example.com", "other.test", false],
  ["a name of no certificate, on the default one", "other.test", "another.test", true],
  ["a name of a certificate, on the default one", "other.test", "api.example.com", false],
  ["a name of a certificate, without a name in the handshake", "", "api.example.com", false],
  ["a name of no certificate, without a name in the handshake", "", "127.0.0.1", true],
  ["no host at all (HTTP/1.0)", "api.example.com", "", true],
])("a connection answers for %s: %s, %s -> %s", (_, serverName, host, answers) => {
  expect(terms(several, serverName).answersFor(host)).toBe(answers);
});

it.each([
  ["without TLS", null],
  ["with one certificate for all names", new CertificateTable([certificate()])],
  ["with one certificate that has names", new CertificateTable([certificate("api.example.com", "*.example.com")])],
])("%s a connection answers for every host", (_, table) => {
  for (const host of ["api.example.com", "other.test", "127.0.0.1"]) expect(terms(table, "api.example.com").answersFor(host)).toBe(true);
});

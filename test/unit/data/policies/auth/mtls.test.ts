// Certificates as a listener hands them on: verified. Whose they are.
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { alternativeNames, certificateName, fingerprintOf, isSpiffeId } from "../../../../../src/data/credentials/certificate-names.ts";
import type { AuthOutcome } from "../../../../../src/data/exchange/identity/authenticator.ts";
import { Authority, type IssueOptions } from "../../../../support/authority.ts";
import { authenticatorsOf, outcomeText } from "../../../../support/configured-authenticators.ts";
import { TestExchange } from "../../../../support/exchange.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-mtls-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const authority = new Authority(folder);
let issued = 0;
const issue = (names: readonly string[], options?: IssueOptions): X509Certificate =>
  new X509Certificate(readFileSync(authority.issue(`c${++issued}`, names, options).cert));

/** The extension with one URI of any characters, which openssl's own notation does not allow. */
const oneUri = (text: string): string =>
  Buffer.from([0x30, text.length + 2, 0x86, text.length, ...Buffer.from(text, "latin1")]).toString("hex");

const partner = issue(["Partner.example.com"], { subject: "/CN=Acme Corp/O=Acme" });
const server = authority.issue("server", ["gateway.test"]);

const authenticators =
  authenticatorsOf(`listeners: [{ address: 127.0.0.1:0, tls: { certificates: [{ cert: "${server.cert}", key: "${server.key}" }], clientCa: "${authority.ca}" } }]
auth:
  san: { mtls: { consumerFrom: san } }
  known: { mtls: { consumerFrom: san, onlyKnownConsumers: true } }
  prefixed: { mtls: { consumerFrom: san, consumerPrefix: "mesh:" } }
  subject: { mtls: { consumerFrom: subject } }
  spiffe: { mtls: { consumerFrom: spiffe } }
  fingerprint: { mtls: { consumerFrom: fingerprint } }
tiers: { gold: {} }
consumers:
  - { id: acme, tier: gold, certificates: [PARTNER.example.com, "SHA-256:${partner.fingerprint256}", "Acme Corp", "Büro Köln"] }
  - { id: orders.example.com, roles: [service] }
  - { id: pinned.example.com, certificates: ["sha256:${"0".repeat(64)}"] }
  - { id: "mesh:billing.example.com", roles: [billing] }
  - { id: "spiffe://example.org/orders", roles: [orders] }
`);

const SEVERAL = "refused: the client certificate bears the names of several callers";
const NAMELESS = "refused: the client certificate has no name of the kind that is looked for";
const UNKNOWN = "refused: the client certificate is not that of a known consumer";

describe("whose a certificate is", () => {
  const check = (name: string, by: string, certificate: () => X509Certificate, expected: string) =>
    it(`${by}: ${name}`, () => {
      const x = new TestExchange({ certificate: certificate() });
      for (let i = 0; i < 2; i++) expect(outcomeText(authenticators.get(by)?.authenticate(x) as AuthOutcome)).toBe(expected);
    });
  check("listed", "san", () => partner, "acme");
  check("an id", "san", () => issue(["orders.example.com"]), "orders.example.com");
  check("in another case", "san", () => issue(["ORDERS.Example.com"]), "orders.example.com");
  check("nobody's", "san", () => issue(["other.example.com"]), "other.example.com");
  check("an e-mail address", "san", () => issue(["email:bob@example.com"]), "bob@example.com");
  check("a URI", "san", () => issue(["URI:urn:example:bob"]), "urn:example:bob");
  check("one consumer's, among others", "san", () => issue(["x.example.com", "orders.example.com", "URI:urn:y"]), "orders.example.com");
  check("two consumers'", "san", () => issue(["orders.example.com", "partner.example.com"]), SEVERAL);
  check("two of nobody", "san", () => issue(["x.example.com", "y.example.com"]), SEVERAL);
  check("an address only", "san", () => issue(["192.0.2.1"]), NAMELESS);
  check("none", "san", () => issue([], { subject: "/CN=orders.example.com" }), NAMELESS);
  check("a wildcard", "san", () => issue(["*.example.com"]), NAMELESS);
  check("an id that lists its certificates, and not this", "san", () => issue(["pinned.example.com"]), UNKNOWN);
  check("a comma", "san", () => issue([], { extensions: [`subjectAltName=DER:${oneUri("urn:a, DNS:orders.example.com")}`] }), NAMELESS);
  check("known", "known", () => issue(["orders.example.com"]), "orders.example.com");
  check("unknown", "known", () => issue(["other.example.com"]), UNKNOWN);
  check("with prefix", "prefixed", () => issue(["billing.example.com"]), "mesh:billing.example.com");
  check("what has the prefix by itself", "prefixed", () => issue(["orders.example.com"]), "mesh:orders.example.com");
  check("listed", "subject", () => partner, "acme");
  check("an id", "subject", () => issue([], { subject: "/O=x/CN=orders.example.com" }), "orders.example.com");
  check("none", "subject", () => issue([], { subject: "/O=orders.example.com" }), NAMELESS);
  check("two", "subject", () => issue([], { subject: "/CN=orders.example.com/CN=other.example.com" }), NAMELESS);
  check("a blank", "subject", () => issue([], { subject: "/CN=Other Corp" }), "Other Corp");
  check("beyond ASCII", "subject", () => issue([], { subject: "/CN=Jürgen Müller" }), "Jürgen Müller");
  check("beyond ASCII, listed", "subject", () => issue([], { subject: "/CN=Büro Köln" }), "acme");
  check("what begins with another's prefix", "san", () => issue(["URI:mesh:x"]), UNKNOWN);
  check("a consumer that begins with another's prefix", "san", () => issue(["URI:mesh:billing.example.com"]), UNKNOWN);
  check("a name inside another", "subject", () => issue([], { subject: "/CN=x\\/CN=orders.example.com" }), "x/CN=orders.example.com");
  check("an id", "spiffe", () => issue(["URI:spiffe://example.org/orders"]), "spiffe://example.org/orders");
  check("beside a DNS name", "spiffe", () => issue(["URI:spiffe://example.org/a", "orders.example.com"]), "spiffe://example.org/a");
  check("two URIs", "spiffe", () => issue(["URI:spiffe://example.org/a", "URI:https://x"]), NAMELESS);
  check("another URI", "spiffe", () => issue(["URI:https://example.org/orders"]), NAMELESS);
  check(
    "an authority's",
    "spiffe",
    () => issue(["URI:spiffe://example.org/a"], { extensions: ["basicConstraints=critical,CA:TRUE"] }),
    NAMELESS,
  );
  check("listed", "fingerprint", () => partner, "acme");
  check("of a namesake", "fingerprint", () => issue(["partner.example.com"], { subject: "/CN=Acme Corp/O=Acme" }), UNKNOWN);
});

it("absent without a certificate", () => {
  expect(outcomeText(authenticators.get("san")?.authenticate(new TestExchange()) as AuthOutcome)).toBe("absent");
});

it("a certificate that ended while the connection went on is refused", () => {
  const certificate = issue(["orders.example.com"], { expired: true });
  expect(outcomeText(authenticators.get("san")?.authenticate(new TestExchange({ certificate })) as AuthOutcome)).toBe(
    "refused: the client certificate has expired",
  );
});

it("tells policies what the certificate says", () => {
  expect(authenticators.get("san")?.authenticate(new TestExchange({ certificate: partner }))).toMatchObject({
    kind: "identity",
    identity: {
      consumer: "acme",
      tier: "gold",
      claims: { dns: ["partner.example.com"], email: [], uri: [], commonName: "Acme Corp", fingerprint: fingerprintOf(partner) },
    },
  });
});

describe("SPIFFE IDs", () => {
  const check = (id: string, good: boolean) => it(id, () => expect(isSpiffeId(id)).toBe(good));
  check("spiffe://example.org", true);
  check("spiffe://example.org/ns/prod/sa/api_1.x-y", true);
  check("spiffe://example.org/", false);
  check("spiffe://example.org/a/", false);
  check("spiffe://example.org/a//b", false);
  check("spiffe://example.org/../b", false);
  check("spiffe://example.org/a/.", false);
  check("spiffe://example.org/...", true);
  check("spiffe://Example.org/a", false);
  check("spiffe://example.org:80/a", false);
  check("spiffe://u@example.org/a", false);
  check("spiffe://example.org/a?b", false);
  check("spiffe://example.org/a%20b", false);
  check("SPIFFE://example.org/a", false);
});

it("names in every spelling", () => {
  expect(["Api.Example.com", `SHA256:${"AB:".repeat(31)}AB`, "sha256:xyz", "spiffe://a/B", "Acme Corp"].map(certificateName)).toEqual([
    "api.example.com",
    `sha256:${"ab".repeat(32)}`,
    "sha256:xyz",
    "spiffe://a/B",
    "Acme Corp",
  ]);
  expect(alternativeNames(issue(["A.b", "email:X@y.z"]))).toEqual({ dns: ["a.b"], email: ["X@y.z"], uri: [] });
});

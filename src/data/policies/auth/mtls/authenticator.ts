// Owns the kind `mtls`: from the certificate that the listener has verified to a consumer. Once a connection; then it is a look-up.
// Must never choose among several callers that a certificate names.
import type { X509Certificate } from "node:crypto";
import type { ConsumerPlan } from "../../../../plan/plan.ts";
import type { Exchange } from "../../../exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome } from "../authenticator.ts";
import { consumersByCertificate } from "../consumer-index.ts";
import { ABSENT, consumerIdentity, proven, refused } from "../outcome.ts";
import { alternativeNames, certificateName, commonName, fingerprintOf, spiffeId } from "./certificate-names.ts";
import type { MtlsConfig } from "./config.ts";

/** As in the configuration. */
const CONSUMER = /^[\x21-\x7e]{1,256}$/;

const EXPIRED = refused("the client certificate has expired");
const NAMELESS = refused("the client certificate has no name of the kind that is looked for");
const SEVERAL = refused("the client certificate bears the names of several callers");
const UNKNOWN = refused("the client certificate is not that of a known consumer");

/** The names that say whose a certificate is, by `consumerFrom`; null when it has none that can be used. */
const NAMES: Readonly<Record<MtlsConfig["consumerFrom"], (certificate: X509Certificate) => readonly string[] | null>> = {
  san: (certificate) => {
    const names = alternativeNames(certificate);
    return names === null ? null : [...names.dns, ...names.email, ...names.uri];
  },
  subject: (certificate) => listed(commonName(certificate)),
  spiffe: (certificate) => listed(spiffeId(certificate)),
  fingerprint: (certificate) => [fingerprintOf(certificate)],
};

const listed = (name: string | null): readonly string[] | null => (name === null ? null : [name]);

interface Judged {
  readonly outcome: AuthOutcome;
  readonly expiresMs: number;
}

export function createMtlsAuthenticator({ plan, consumers }: AuthenticatorContext): Authenticator {
  return new MtlsAuthenticator(plan.name, plan.config as MtlsConfig, consumers); // output of mtlsConfig, by the registry
}

class MtlsAuthenticator implements Authenticator {
  readonly name: string;
  /** The handshake asks; there is no scheme to name. */
  readonly challenge = null;
  readonly stripPath = null;
  private readonly config: MtlsConfig;
  private readonly consumers: ReadonlyMap<string, ConsumerPlan>;
  private readonly byCertificate: ReadonlyMap<string, ConsumerPlan>;
  /** A connection has one certificate object as long as it lives. */
  private readonly judged = new WeakMap<X509Certificate, Judged>();

  constructor(name: string, config: MtlsConfig, consumers: ReadonlyMap<string, ConsumerPlan>) {
    this.name = name;
    this.config = config;
    this.consumers = consumers;
    this.byCertificate = consumersByCertificate(consumers);
  }

  authenticate(x: Exchange): AuthOutcome {
    const certificate = x.clientCertificate();
    if (certificate === null) return ABSENT;
    let judged = this.judged.get(certificate);
    if (judged === undefined) {
      judged = { outcome: this.judge(certificate), expiresMs: Date.parse(certificate.validTo) };
      this.judged.set(certificate, judged);
    }
    // A connection may outlive its certificate. Written so that an instant that is none counts as over.
    return Date.now() <= judged.expiresMs ? judged.outcome : EXPIRED;
  }

  private judge(certificate: X509Certificate): AuthOutcome {
    const names = NAMES[this.config.consumerFrom](certificate);
    if (names === null || names.length === 0) return NAMELESS;
    let consumer: ConsumerPlan | undefined;
    for (const name of names) {
      const found = this.configured(name);
      if (found === undefined) continue;
      if (consumer !== undefined && consumer !== found) return SEVERAL;
      consumer = found;
    }
    if (consumer !== undefined) return proven(consumerIdentity(consumer, this.name, claimsOf(certificate)));
    if (this.config.onlyKnownConsumers || this.config.consumerFrom === "fingerprint") return UNKNOWN;
    const [only = "", ...others] = names;
    if (others.length > 0) return SEVERAL;
    const id = this.config.consumerPrefix + only;
    // A configured consumer that lists its certificates has no others.
    if (!CONSUMER.test(id) || this.consumers.has(id)) return UNKNOWN;
    const nothing: readonly string[] = [];
    return proven({
      consumer: id,
      authenticator: this.name,
      tier: null,
      scopes: nothing,
      roles: nothing,
      groups: nothing,
      claims: claimsOf(certificate),
    });
  }

  private configured(name: string): ConsumerPlan | undefined {
    const listing = this.byCertificate.get(certificateName(name));
    if (listing !== undefined) return listing;
    const namesake = this.consumers.get(this.config.consumerPrefix + name);
    return namesake?.certificates.length === 0 ? namesake : undefined;
  }

  stripHeaders(): void {}
}

/** What policies and templates may look at. Plain JSON. */
function claimsOf(certificate: X509Certificate): Readonly<Record<string, unknown>> {
  return {
    ...alternativeNames(certificate),
    commonName: commonName(certificate),
    fingerprint: fingerprintOf(certificate),
    serialNumber: certificate.serialNumber,
    subject: certificate.subject,
    issuer: certificate.issuer,
    notAfter: certificate.validTo,
  };
}

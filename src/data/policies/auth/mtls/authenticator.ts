// Owns the kind `mtls`: from the certificate that the listener has verified to a consumer. Once a connection; then it is a look-up.
// Must never choose among several callers that a certificate names.
import type { X509Certificate } from "node:crypto";
import { callerName } from "../../../../base/caller-name.ts";
import type { ConsumerPlan } from "../../../../plan/plan.ts";
import { alternativeNames, certificateName, commonName, fingerprintOf, spiffeId } from "../../../credentials/certificate-names.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome } from "../../../exchange/identity/authenticator.ts";
import { consumersByCertificate } from "../consumer-index.ts";
import { ABSENT, consumerIdentity, proven, refused } from "../outcome.ts";
import type { MtlsConfig } from "./config.ts";

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

export function createMtlsAuthenticator({ plan, consumers, ids }: AuthenticatorContext): Authenticator {
  return new MtlsAuthenticator(plan.name, plan.config as MtlsConfig, { consumers, ids }); // output of mtlsConfig, by the registry
}

type Known = Pick<AuthenticatorContext, "consumers" | "ids">;

class MtlsAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes = "a client certificate";
  readonly places = [];
  /** The handshake asks; there is no scheme to name. */
  readonly challenge = null;
  private readonly config: MtlsConfig;
  private readonly known: Known;
  private readonly byCertificate: ReadonlyMap<string, ConsumerPlan>;
  /** A connection has one certificate object as long as it lives. */
  private readonly judged = new WeakMap<X509Certificate, Judged>();

  constructor(name: string, config: MtlsConfig, known: Known) {
    this.name = name;
    this.config = config;
    this.known = known;
    this.byCertificate = consumersByCertificate(known.consumers);
  }

  authenticate(x: Exchange): AuthOutcome {
    const certificate = x.clientCertificate();
    if (certificate === null) return ABSENT;
    let judged = this.judged.get(certificate);
    if (judged === undefined) {
      judged = { outcome: this.judge(certificate), expiresMs: endOf(certificate) };
      this.judged.set(certificate, judged);
    }
    // A connection may outlive its certificate. Written so that an instant that is none counts as over.
    return Date.now() <= judged.expiresMs ? judged.outcome : EXPIRED;
  }

  private judge(certificate: X509Certificate): AuthOutcome {
    const names = NAMES[this.config.consumerFrom](certificate);
    const facts = { claims: claimsOf(certificate), expiresMs: endOf(certificate) };
    if (names === null || names.length === 0) return NAMELESS;
    let consumer: ConsumerPlan | undefined;
    for (const name of names) {
      const found = this.configured(name);
      if (found === undefined) continue;
      if (consumer !== undefined && consumer !== found) return SEVERAL;
      consumer = found;
    }
    if (consumer !== undefined) return proven(consumerIdentity(consumer, this.name, facts));
    if (this.config.onlyKnownConsumers || this.config.consumerFrom === "fingerprint") return UNKNOWN;
    const [only = "", ...others] = names;
    if (others.length > 0) return SEVERAL;
    const id = this.idOf(only);
    // A configured consumer that lists its certificates has no others.
    if (id === null || this.known.consumers.has(id)) return UNKNOWN;
    const nothing: readonly string[] = [];
    return proven({
      consumer: id,
      authenticator: this.name,
      tier: null,
      scopes: nothing,
      roles: nothing,
      groups: nothing,
      partial: false,
      ...facts,
    });
  }

  /** @returns null when the name cannot be an id, or would be somebody else's */
  private idOf(name: string): string | null {
    const id = callerName(this.config.consumerPrefix + name);
    return id !== null && this.known.ids.owns(this.config.consumerPrefix, id) ? id : null;
  }

  private configured(name: string): ConsumerPlan | undefined {
    const listing = this.byCertificate.get(certificateName(name));
    if (listing !== undefined) return listing;
    const id = this.idOf(name);
    const namesake = id === null ? undefined : this.known.consumers.get(id);
    return namesake?.certificates.length === 0 ? namesake : undefined;
  }
}

/** Date.now() ms; NaN when it is no time. */
const endOf = (certificate: X509Certificate): number => Date.parse(certificate.validTo);

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

// Owns the kind `introspection` (RFC 7662): what the provider says of an opaque token, believed for a while. Fails closed.
// Must never believe an answer beyond the token's `exp`.
import type { Exchange } from "../../../exchange/exchange.ts";
import type { Authenticator, AuthenticatorContext, AuthOutcome, CredentialPlace } from "../../../exchange/identity/authenticator.ts";
import type { Services } from "../../../exchange/runtime.ts";
import { keptState } from "../../kept-state.ts";
import { upstreamIndex } from "../../subrequest-call.ts";
import { type ClaimReading, identityOf, type Known } from "../jwt/claims-identity.ts";
import { ABSENT, challengeOf, proven, refused, unavailable } from "../outcome.ts";
import { Places, tokenTakes } from "../places.ts";
import { NONE } from "../reading.ts";
import { type Finding, Verdicts } from "../verdicts.ts";
import { type Answer, IntrospectionClient } from "./client.ts";
import type { IntrospectionConfig } from "./config.ts";

/** Longest token asked about, in characters. */
const TOKEN_CHARS_MAX = 8192;
/** RFC 6750 section 2.1. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
/** How long it is remembered that a token is not active, ms; no longer than `cacheFor`. */
const INACTIVE_MS = 5000;
/** Tokens remembered in each worker, active and inactive ones each. */
const REMEMBERED_MAX = 10_000;

const SEVERAL_TOKENS = refused("more than one token", "invalid_request");
const MALFORMED = refused("this is no token (RFC 6750 section 2.1)", "invalid_token");
const INACTIVE = refused("the token is not active", "invalid_token");
const BOUND = refused("the token is bound to a key, which is not checked here", "invalid_token");
const AUDIENCE = refused("the token is meant for another audience", "invalid_token");
const OVERLOADED = unavailable("auth_overloaded", "too many tokens are waiting to be asked about");
const REJECTED = refused("the provider takes this for no token", "invalid_token");
const DOWN = unavailable("auth_unavailable", "the provider that knows this token does not answer");

/** An active token; what is not plain is filled in by whoever asks first. */
interface Active {
  readonly claims: Readonly<Record<string, unknown>>;
  /** Date.now() ms; Infinity for a token without `exp`. */
  readonly expiresMs: number;
  outcome: AuthOutcome;
  /** What the outcome was joined with: another plan has other consumers. null: nothing yet. */
  known: Known | null;
}

/** What the provider's answer about one token amounts to. */
type Verdict = Active | "inactive" | "rejected" | "failed" | Unclear;

/** The provider answered, but not what was asked: 503, and not remembered. */
interface Unclear {
  readonly unclear: AuthOutcome;
}

interface Kept {
  readonly client: IntrospectionClient;
  readonly verdicts: Verdicts<Verdict>;
}

export function createIntrospectionAuthenticator({ plan, consumers, tiers, ids, services, whole }: AuthenticatorContext): Authenticator {
  const config = plan.config as IntrospectionConfig; // output of introspectionConfig, by the registry
  const kept = keptState(services, plan, (): Kept => {
    const onTrouble = (reason: string): void => services.reportFault(`introspection for ${plan.name} fails`, reason, "-");
    return {
      client: new IntrospectionClient(config, onTrouble),
      verdicts: new Verdicts({ running: config.concurrency, waiting: config.queue, remembered: REMEMBERED_MAX }),
    };
  });
  const upstream = upstreamIndex(config.service, whole.upstreams);
  return new IntrospectionAuthenticator(plan.name, config, { ...kept, known: { consumers, tiers, ids }, services, upstream });
}

/** What an authenticator of one plan has. */
interface Means extends Kept {
  readonly known: Known;
  readonly services: Services;
  /** Index in the runtime's upstreams. */
  readonly upstream: number;
}

class IntrospectionAuthenticator implements Authenticator {
  readonly name: string;
  readonly takes: string;
  readonly places: readonly CredentialPlace[];
  readonly challenge: string;
  private readonly config: IntrospectionConfig;
  private readonly reading: ClaimReading;
  private readonly tokens: Places;
  private readonly client: IntrospectionClient;
  private readonly verdicts: Verdicts<Verdict>;
  private readonly known: Known;
  private readonly services: Services;
  private readonly upstream: number;

  constructor(name: string, config: IntrospectionConfig, { client, verdicts, known, services, upstream }: Means) {
    this.name = name;
    this.challenge = challengeOf("Bearer", name);
    this.config = config;
    this.reading = { ...config, tenantClaim: null };
    this.tokens = new Places(config.from);
    this.takes = tokenTakes(this.tokens, config.from);
    this.places = this.tokens.all;
    this.client = client;
    this.verdicts = verdicts;
    this.known = known;
    this.services = services;
    this.upstream = upstream;
  }

  authenticate(x: Exchange): AuthOutcome | Promise<AuthOutcome> {
    const token = this.tokens.find(x);
    if (typeof token !== "string") return token === NONE ? ABSENT : SEVERAL_TOKENS;
    if (token.length > TOKEN_CHARS_MAX || !TOKEN.test(token)) return MALFORMED;
    const key = this.verdicts.key(token);
    const remembered = this.verdicts.recall(key, performance.now());
    if (remembered !== undefined) return this.outcome(remembered);
    const verdict = this.verdicts.decide(key, () => this.ask(token, x));
    return verdict?.then((found) => (found === null ? OVERLOADED : this.outcome(found))) ?? OVERLOADED;
  }

  private async ask(token: string, x: Exchange): Promise<Finding<Verdict>> {
    const upstream = x.runtime.upstreams[this.upstream];
    if (upstream === undefined) return { verdict: "failed", good: false, untilMs: 0 };
    const verdict = verdictOf(await this.client.introspect(token, upstream, { services: this.services, view: x }));
    if (verdict === "failed" || (typeof verdict === "object" && "unclear" in verdict)) return { verdict, good: false, untilMs: 0 };
    const { cacheForMs } = this.config;
    const good = typeof verdict === "object";
    const forMs = good ? Math.min(cacheForMs, verdict.expiresMs - Date.now()) : Math.min(cacheForMs, INACTIVE_MS);
    return { verdict, good, untilMs: forMs > 0 ? performance.now() + forMs : 0 };
  }

  private outcome(verdict: Verdict): AuthOutcome {
    if (verdict === "failed") return DOWN;
    if (verdict === "rejected") return REJECTED;
    if (typeof verdict === "object" && "unclear" in verdict) return verdict.unclear;
    // The clock may have been set since.
    if (verdict === "inactive" || Date.now() >= verdict.expiresMs) return INACTIVE;
    if (verdict.known !== this.known) {
      verdict.outcome = this.judge(verdict);
      verdict.known = this.known;
    }
    return verdict.outcome;
  }

  private judge({ claims, expiresMs }: Active): AuthOutcome {
    // RFC 7800: whoever presents it must prove more than that he has it.
    if (claims["cnf"] !== undefined) return BOUND;
    const { audiences } = this.config;
    const given: readonly unknown[] = [claims["aud"]].flat();
    if (audiences !== null && !given.some((each) => typeof each === "string" && audiences.includes(each))) return AUDIENCE;
    const identity = identityOf(claims, this.reading, { known: this.known, authenticator: this.name, expiresMs });
    return typeof identity === "string" ? refused(identity, "invalid_token") : proven(identity);
  }
}

function verdictOf(answer: Answer): Verdict {
  if (answer.kind === "unclear")
    return { unclear: unavailable("auth_unavailable", `the provider does not say what this token is worth: ${answer.reason}`) };
  if (answer.kind !== "active") return answer.kind;
  const exp = answer.claims["exp"] as number | undefined; // the client has looked
  return { claims: answer.claims, expiresMs: exp === undefined ? Number.POSITIVE_INFINITY : exp * 1000, outcome: ABSENT, known: null };
}

// Owns the checks that what routes demand of a caller, and what services are told of one, can be had at all: that something fills it.
// Must never refuse a configuration because of consumers that come from elsewhere: withdrawing the last one with a role must go through.
import { type AuthConfig, namesOf } from "../../../data/policies/auth/config.ts";
import type { AuthorizeConfig } from "../../../data/policies/authorize/config.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import { type PathPart, suggest } from "../source/problem.ts";
import { authOf } from "./auth-of.ts";
import { CallerFacts, GRANTS, type Grant } from "./caller-facts.ts";
import type { Findings, Report } from "./references.ts";

/** Names that a message may choose its suggestion from: comparing them costs time. */
const COMPARED_MAX = 1000;

export function checkGrants(draft: Draft, findings: Findings): void {
  // What could not be read might give what nothing else gives.
  if (["auth", "consumers", "consumersFrom", "tiers"].some((section) => findings.isLost([section]))) return;
  const { auth, consumers, consumersFrom } = draft.sections;
  if (auth === undefined || consumers === undefined || consumersFrom === undefined) return; // broken: nothing can be said
  const facts = new CallerFacts(auth, consumersFrom.redis === null ? consumers : null);
  const unfilled = consumersFrom.directory === null ? findings.report : findings.warn;
  for (const [index, route] of draft.routes.entries()) {
    const config = route.policies.find((policy) => policy.name === "authorize")?.config as AuthorizeConfig | undefined; // parsed by authorizeSchema
    const tree = authOf(route)?.tree ?? null;
    if (config === undefined || tree === null) continue;
    const check = new RouteCheck(facts, namesIn(tree), { path: ["routes", index, "authorize"], unfilled, warn: findings.warn });
    for (const grant of GRANTS) check.grant(grant, config[grant]);
    check.claims(route, config, findings.report);
    check.consumers(config.consumers ?? []);
  }
  checkHeaders(facts, findings, unfilled);
}

const namesIn = (tree: NonNullable<AuthConfig["tree"]>): readonly string[] => [...new Set(namesOf(tree))];

interface Place {
  readonly path: readonly PathPart[];
  /** Says that nothing at all fills it. */
  readonly unfilled: Report;
  readonly warn: Report;
}

/** What one route's callers can be or have. */
class RouteCheck {
  readonly #facts: CallerFacts;
  readonly #names: readonly string[];
  readonly #place: Place;

  constructor(facts: CallerFacts, names: readonly string[], place: Place) {
    this.#facts = facts;
    this.#names = names;
    this.#place = place;
  }

  grant(grant: Grant, demanded: AuthorizeConfig[Grant]): void {
    if (demanded === undefined || this.#names.some((name) => this.#facts.carries(name, grant))) return;
    const { path, unfilled, warn } = this.#place;
    const had = this.#facts.granted(this.#names, grant);
    if (had === null) return;
    if (had.size === 0) {
      const remedy = `set \`claims.${CLAIM_OF[grant]}\` under an authenticator of the route, or give consumers ${WHAT[grant]}`;
      return unfilled([...path, grant], `nothing gives a caller of this route ${WHAT[grant]}, so nobody could ever use it`, remedy);
    }
    const lists = Array.isArray(demanded) ? [[[] as PathPart[], demanded] as const] : anyAndAll(demanded);
    for (const [at, names] of lists)
      for (const [i, name] of names.entries())
        if (!had.has(name)) warn([...path, grant, ...at, i], `no caller of this route has ${name}`, suggest(name, sample(had), grant));
  }

  /** Only credentials that say more than who calls have claims. */
  claims({ name }: RouteConfig, { claims }: AuthorizeConfig, report: Report): void {
    if (claims === undefined || this.#names.some((each) => this.#facts.hasClaims(each))) return;
    report(
      [...this.#place.path, "claims"],
      `no credential of the route ${name} has claims, so nobody could ever use it`,
      "claims come with jwt, introspection and mtls",
    );
  }

  consumers(ids: readonly string[]): void {
    if (ids.length === 0 || !this.#names.every((name) => this.#facts.isClosed(name))) return;
    const known = this.#facts.provable(this.#names);
    if (known === null) return;
    for (const [i, id] of ids.entries()) {
      if (known.has(id)) continue;
      const remedy = this.#facts.exists(id) ? "give it such a credential, or name another" : suggest(id, sample(known), "consumers");
      this.#place.warn([...this.#place.path, "consumers", i], `no consumer ${id} has a credential that this route takes`, remedy);
    }
  }
}

const WHAT: Readonly<Record<Grant, string>> = { scopes: "scopes", roles: "roles", groups: "groups", tiers: "a tier" };
const CLAIM_OF: Readonly<Record<Grant, string>> = { scopes: "scopes", roles: "roles", groups: "groups", tiers: "tier" };

const sample = (names: ReadonlySet<string>): readonly string[] => [...names].slice(0, COMPARED_MAX);

function anyAndAll(demanded: object): readonly (readonly [PathPart[], readonly string[]])[] {
  return Object.entries(demanded).flatMap(([key, names]) => (names === undefined ? [] : [[[key], names as readonly string[]] as const])); // any and all
}

/** The part of `identity.headers` -> what fills it. */
const HEADER_GRANTS: Readonly<Record<string, Grant>> = { scopes: "scopes", roles: "roles", groups: "groups", tier: "tiers" };

/** A header that somebody has written down is expected by some service. (Those of claims may also be there so that no client can send them.) */
function checkHeaders(facts: CallerFacts, { root, warn }: Findings, unfilled: Report): void {
  for (const [part, grant] of Object.entries(HEADER_GRANTS)) {
    const path = ["identity", "headers", part];
    const node = nodeAt(root, path);
    if (node?.kind !== "scalar" || typeof node.value !== "string" || facts.isFilled(grant)) continue;
    unfilled(
      path,
      `nothing fills this header: no caller has ${WHAT[grant]}`,
      `set \`claims.${CLAIM_OF[grant]}\` under an authenticator, or remove it`,
    );
  }
  const claims = nodeAt(root, ["identity", "claims"]);
  if (claims?.kind === "map" && claims.entries.size > 0 && !facts.names.some((name) => facts.hasClaims(name)))
    warn(["identity", "claims"], "nothing fills these headers: no credential has claims", "claims come with jwt, introspection and mtls");
}

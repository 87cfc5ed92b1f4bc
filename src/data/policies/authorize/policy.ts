// Authorizes the caller of a route. Denies by default: every condition must hold, and one that cannot be evaluated counts as false.
import { CidrSet } from "../../../base/ip.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Identity } from "../../exchange/identity/identity.ts";
import type { Policy, PolicyFactory, Reply } from "../../exchange/policy.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import { claimAt } from "../../routing/claim.ts";
import { compileExpression } from "../../routing/expression/load-expression.ts";
import { challengeFor } from "../challenge.ts";
import type { AuthorizeConfig } from "./config.ts";
import { compileClaimTest } from "./operand.ts";
import { compileWindows } from "./time-windows.ts";

const denied = (detail: string): Reply => ({ kind: "problem", code: "access_denied", detail });

/** What needs no caller, and is looked at before one is asked for. @returns why not; undefined when it holds. */
type Circumstance = (x: Exchange) => Reply | undefined;
type Demand = (identity: Identity, x: Exchange) => Reply | undefined;

/** @throws Error for an expression that the primary accepted and that cannot be compiled: the plan is then refused */
export const createAuthorize: PolicyFactory = (config, route): Policy => {
  const authorize = config as AuthorizeConfig; // parsed by authorizeSchema in the primary
  const when = conditionOf(authorize, route);
  const circumstances = [...circumstancesOf(authorize), ...(when === null || when.needsIdentity ? [] : [when.test])];
  const demands = [
    ...demandsOf(authorize, route),
    ...(when?.needsIdentity === true
      ? [when.test].map(
          (test): Demand =>
            (_, x) =>
              test(x),
        )
      : []),
  ];
  return {
    name: "authorize",
    ...(circumstances.length === 0 ? {} : { onEdge: (x) => firstAnswer(circumstances, x) }),
    ...(demands.length === 0 ? {} : { onRequest: (x) => (x.identity === null ? nobody(x) : answerTo(x.identity, demands, x)) }),
  };
};

function firstAnswer(circumstances: readonly Circumstance[], x: Exchange): Reply | undefined {
  for (const circumstance of circumstances) {
    const answer = circumstance(x);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

function answerTo(identity: Identity, demands: readonly Demand[], x: Exchange): Reply | undefined {
  for (const demand of demands) {
    const answer = demand(identity, x);
    if (answer !== undefined) return answer;
  }
  return undefined;
}

/** Something is asked of the caller, and there is none: a credential might help. */
function nobody(x: Exchange): Reply {
  const { headers = [], detail = "" } = x.challenges ?? {};
  return { kind: "problem", code: "credentials_missing", detail, headers };
}

function circumstancesOf({ ip, time }: AuthorizeConfig): Circumstance[] {
  const list: Circumstance[] = [];
  if (ip !== undefined) {
    const allowed = new CidrSet(ip);
    const reply = denied("the route may not be used from this address");
    list.push((x) => (allowed.contains(x.clientInfo().ip) ? undefined : reply));
  }
  if (time !== undefined) {
    const inside = compileWindows(time);
    const reply = denied("the route may not be used at this time");
    list.push(() => (inside(Date.now()) ? undefined : reply));
  }
  return list;
}

function demandsOf(config: AuthorizeConfig, route: PolicyRoute): Demand[] {
  const list: Demand[] = [];
  if (config.scopes !== undefined) list.push(scopeDemand(config.scopes, route));
  for (const key of ["roles", "groups"] as const) {
    const grants = config[key];
    if (grants === undefined) continue;
    const reply = denied(
      key === "roles" ? "the caller lacks a role that the route demands" : "the caller lacks a group that the route demands",
    );
    list.push((identity) => (grantsHold(grants, identity[key]) ? undefined : reply));
  }
  const { consumers, tiers, claims } = config;
  const other = denied("the route is for other callers");
  if (consumers !== undefined) {
    const ids = new Set(consumers);
    list.push((identity) => (ids.has(identity.consumer) ? undefined : other));
  }
  if (tiers !== undefined) list.push((identity) => (identity.tier !== null && tiers.includes(identity.tier) ? undefined : other));
  const reply = denied("a claim of the caller does not fit this request");
  for (const [name, written] of Object.entries(claims ?? {})) {
    const test = compileClaimTest(written, route.paramNames);
    list.push((identity, x) => (test(claimAt(identity.claims, name), x) ? undefined : reply));
  }
  return list;
}

type Grants = NonNullable<AuthorizeConfig["roles"]>;

function grantsHold({ any, all }: Grants, has: readonly string[]): boolean {
  if (any !== undefined && !any.some((each) => has.includes(each))) return false;
  return all === undefined || all.every((each) => has.includes(each));
}

/** RFC 6750 section 3.1: the challenge names scopes that would do. Only those who prove themselves by a Bearer token are challenged to bring another. */
function scopeDemand(scopes: Grants, route: PolicyRoute): Demand {
  const wanted = [...(scopes.all ?? []), ...(scopes.any ?? [])];
  const detail = "the caller lacks a scope that the route demands";
  const replies = new Map<string, Reply>();
  const replyTo = (authenticator: string): Reply => {
    // Of a caller who proved several things (`a+b`), the first that can be challenged.
    const challenges = authenticator.split("+").map((name) => route.resources.authenticators.get(name)?.challenge ?? null);
    const bearer = challenges.find((each) => each !== null && challengeFor(each, { error: "insufficient_scope" }) !== each);
    if (bearer === null || bearer === undefined) return { kind: "problem", code: "insufficient_scope", detail };
    const headers = ["www-authenticate", challengeFor(bearer, { error: "insufficient_scope", description: detail, scopes: wanted })];
    return { kind: "problem", code: "insufficient_scope", detail, headers };
  };
  return (identity) => {
    if (grantsHold(scopes, identity.scopes)) return undefined;
    let reply = replies.get(identity.authenticator);
    if (reply === undefined) replies.set(identity.authenticator, (reply = replyTo(identity.authenticator))); // as many as the plan has combinations
    return reply;
  };
}

function conditionOf(
  { when }: AuthorizeConfig,
  route: PolicyRoute,
): { readonly needsIdentity: boolean; readonly test: Circumstance } | null {
  if (when === undefined) return null;
  const expression = compileExpression(when, "request");
  if ("error" in expression) throw new Error(`route ${route.name}: authorize.when: ${expression.error}`);
  const no = denied("the condition of the route does not hold");
  return { needsIdentity: expression.needsIdentity, test: (x) => (expression.holds(x, Date.now()) === true ? undefined : no) };
}

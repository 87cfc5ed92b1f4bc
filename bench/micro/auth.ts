// Measures what it costs a request to know the caller once an authenticator has answered: the tree, authorize, and what services are told.
// The kinds of authenticator have measurements of their own. A test runs it with few rounds, so that it cannot rot.
// Run: node bench/micro/auth.ts [rounds].
import { identity as identitySchema } from "../../src/control/config/schema/identity.ts";
import { IdentityHeaders } from "../../src/data/exchange/identity/identity-headers.ts";
import type { Policy } from "../../src/data/exchange/policy.ts";
import { HeaderAuthenticator } from "../../test/support/authenticator.ts";
import { buildPolicy, policyRoute, TestExchange } from "../../test/support/exchange.ts";
import type { Micro } from "./measure.ts";

/** Requests timed as one piece. */
const BATCH = 2000;

export interface AuthCost {
  /** The authenticator alone: what the policy has to ask anyhow. */
  readonly authenticatorNs: number;
  /** `auth: a`, including the authenticator. */
  readonly oneNs: number;
  /** `auth: { any: [a, b] }`, the second proves it. */
  readonly anyNs: number;
  /** `auth: { all: [a, b] }`, merged. */
  readonly allNs: number;
  /** Taking the credential out and writing four headers and the signed token. */
  readonly upstreamNs: number;
  /** scopes, roles and one claim against a path parameter. */
  readonly authorizeNs: number;
  /** `when: claims.tenant == path.tenant && "user" in consumer.roles`. */
  readonly whenNs: number;
  /** Requests that were let through; to check the work was done. */
  readonly passed: number;
}

type Works = Readonly<Record<Exclude<keyof AuthCost, "passed">, () => unknown>>;

/** What is timed, by name; each gives undefined when the request was let through. */
function authWorks(): Works {
  const grants = { scopes: ["a", "b"], roles: ["user"], tier: "gold", claims: { tenant: "t1" } };
  const [a, b] = [new HeaderAuthenticator("a", { grants }), new HeaderAuthenticator("b", { grants })];
  const identityHeaders = new IdentityHeaders(identitySchema().parse({ internalToken: { algorithm: "HS256", key: "k".repeat(32) } }));
  const resources = { ...policyRoute().resources, identityHeaders, authenticators: new Map([a, b].map((each) => [each.name, each])) };
  const build = (key: string, config: unknown): Policy => buildPolicy(key, config, { paramNames: ["tenant"], resources });
  const sketch = { params: { tenant: "t1" } };
  const one = new TestExchange({ ...sketch, headers: { host: "h", accept: "*/*", "x-a": "ann" } });
  const other = new TestExchange({ ...sketch, headers: { host: "h", accept: "*/*", "x-b": "ann" } });
  const both = new TestExchange({ ...sketch, headers: { host: "h", "x-a": "ann", "x-b": "ann" } });
  const asking = (policy: Policy, x: TestExchange) => (): unknown => policy.onRequest?.(x);
  const first = build("auth", "a");
  const list = ["host", "h", "accept", "*/*", "user-agent", "x", "x-a", "ann", "via", "1.1 sluice"];
  return {
    authenticatorNs: () => (a.authenticate(one) instanceof Promise ? null : undefined),
    oneNs: asking(first, one),
    anyNs: asking(build("auth", { any: ["a", "b"] }), other),
    allNs: asking(build("auth", { all: ["a", "b"] }), both),
    upstreamNs: () => first.onUpstreamRequest?.(one, { method: "GET", path: "/", headers: list.slice() }),
    authorizeNs: asking(build("authorize", { scopes: { all: ["a"] }, roles: { any: ["user"] }, claims: { tenant: "{path.tenant}" } }), one),
    whenNs: asking(build("authorize", { when: 'claims.tenant == path.tenant && "user" in consumer.roles' }), one),
  };
}

export const MICRO: readonly Micro[] = (Object.keys(authWorks()) as (keyof Works)[]).map((name) => ({
  name: name.slice(0, -2),
  prepare: () => {
    const works = authWorks();
    works.oneNs(); // authorize needs to know the caller
    const work = works[name];
    return (count) => {
      for (let i = 0; i < count; i++) if (work() !== undefined) throw new Error(`${name}: a request was not let through`);
      return count;
    };
  },
}));

/** @returns medians over the rounds, in ns a request */
export function benchAuth(rounds: number): AuthCost {
  const works = authWorks();
  let passed = 0;
  const timed = (work: () => unknown): number => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < BATCH; i++) if (work() === undefined) passed++;
    return Number(process.hrtime.bigint() - start) / BATCH;
  };
  const names = Object.keys(works) as (keyof typeof works)[]; // Object.keys loses the literal type
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]]));
  // In turn, so that noise of the machine meets all alike.
  for (let round = 0; round < rounds; round++) for (const name of names) times[name]?.push(timed(works[name]));
  const medians = Object.fromEntries(names.map((name) => [name, median(times[name] ?? [])]));
  return { ...(medians as unknown as Omit<AuthCost, "passed">), passed }; // the same names
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[sorted.length >> 1] ?? 0;
}

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 200);
  benchAuth(rounds);
  const { passed: _passed, ...costs } = benchAuth(rounds);
  for (const [name, ns] of Object.entries(costs)) console.log(`${name.slice(0, -2).padEnd(14)} ${ns.toFixed(0).padStart(6)} ns`);
}

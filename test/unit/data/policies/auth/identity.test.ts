// What authenticators say of a caller is shared by caches and exchanges: it holds nothing of the credential, and nobody who reads it changes it.
import { hash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { identity as identitySchema } from "../../../../../src/control/config/schema/identity.ts";
import { hashPassword } from "../../../../../src/data/credentials/password-hash.ts";
import type { Identity } from "../../../../../src/data/exchange/identity/identity.ts";
import { IdentityHeaders } from "../../../../../src/data/exchange/identity/identity-headers.ts";
import { mergeIdentities } from "../../../../../src/data/policies/auth/merge-identities.ts";
import { identityOf } from "../../../../support/authenticator.ts";
import { authenticatorOf } from "../../../../support/configured-authenticators.ts";
import { ask, buildPolicy, policyRoute, TestExchange } from "../../../../support/exchange.ts";
import { hsToken, ISSUER, jwtAuthenticator, newSecret, testWorker } from "../../../../support/jwt.ts";

const KEY = "slk_acme-key-of-this-test";
const PASSWORD = "pass-word-of-this-test";

/** One for each kind that takes what a client keeps secret, with the parts of it that may stand nowhere. */
const CREDENTIALS: Readonly<Record<string, () => Promise<{ readonly identity: Identity; readonly secrets: readonly string[] }>>> = {
  apiKey: async () => {
    const sections = `auth: { keys: { apiKey: { name: x-api-key } } }
tiers: { gold: {} }
consumers: [ { id: acme, tier: gold, scopes: [a], roles: [b], groups: [c], keys: ["sha256:${hash("sha256", KEY)}"] } ]
`;
    return { identity: await proven(authenticatorOf(sections), { "x-api-key": KEY }), secrets: [KEY, hash("sha256", KEY)] };
  },
  basic: async () => {
    const hashed = await hashPassword(PASSWORD, { scheme: "argon2id", memoryKib: 8192, passes: 1, lanes: 1 });
    const sections = `auth: { legacy: { basic: {} } }\nconsumers: [ { id: acme, roles: [b], password: "${hashed}" } ]\n`;
    const sent = Buffer.from(`acme:${PASSWORD}`).toString("base64");
    return { identity: await proven(authenticatorOf(sections), { authorization: `Basic ${sent}` }), secrets: [PASSWORD, sent, hashed] };
  },
  jwt: async () => {
    await using worker = testWorker();
    const secret = newSecret();
    const written = { issuer: ISSUER, audience: "api", algorithms: ["HS256"], secret, claims: { roles: "roles" } };
    const token = hsToken("HS256", secret, { aud: "api", roles: ["b"], org: { unit: "x" } });
    const identity = await proven(jwtAuthenticator(worker, written), { authorization: `Bearer ${token}` });
    return { identity, secrets: [token, token.slice(token.lastIndexOf(".") + 1), secret] };
  },
};

async function proven(authenticator: ReturnType<typeof authenticatorOf>, headers: Record<string, string>): Promise<Identity> {
  const outcome = await authenticator.authenticate(new TestExchange({ headers }));
  if (outcome.kind !== "identity") throw new Error(JSON.stringify(outcome));
  return outcome.identity;
}

/** A change of what is frozen throws. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null) for (const member of Object.values(Object.freeze(value))) frozen(member);
  return value;
}

describe("an identity", () => {
  const kinds = Object.keys(CREDENTIALS);

  it.each(kinds)("of %s holds nothing of the credential", async (kind) => {
    const { identity, secrets } = (await CREDENTIALS[kind]?.()) ?? expect.unreachable();
    const text = JSON.stringify(identity);
    expect(identity.consumer).not.toBe("");
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([]);
  });

  it.each(kinds)("of %s is as it was after a request with everything that reads it", async (kind) => {
    const { identity } = (await CREDENTIALS[kind]?.()) ?? expect.unreachable();
    const before = structuredClone(identity);
    frozen(identity);
    const x = new TestExchange();
    x.identity = identity;
    const authorize = { roles: { any: ["b"] }, when: 'consumer.roles.exists(r, r == "b")', claims: { org: "x" } };
    ask(buildPolicy("authorize", authorize), x);
    const headers = new IdentityHeaders(identitySchema().parse({ claims: { "x-org": "org" } }));
    headers.append(identity, []);
    mergeIdentities(identity, identityOf(identity.consumer, { scopes: ["z"], roles: ["y"], claims: { org: "y" } }));
    buildPolicy("headers", { request: { set: { "x-who": "{consumer.id} {claims.org}" } } }, policyRoute()).onUpstreamRequest?.(x, {
      method: "GET",
      path: "/",
      headers: [],
    });
    expect(identity).toEqual(before);
  });
});

// What services are told about a caller, and by which names no client may send anything.
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { identity as identitySchema } from "../../../../../src/control/config/schema/identity.ts";
import { publicJwk } from "../../../../../src/control/config/schema/public-jwk.ts";
import type { Identity } from "../../../../../src/data/exchange/identity/identity.ts";
import { IdentityHeaders } from "../../../../../src/data/exchange/identity/identity-headers.ts";
import { InternalToken } from "../../../../../src/data/exchange/identity/internal-token.ts";
import type { InternalTokenPlan } from "../../../../../src/plan/plan.ts";
import { identityOf } from "../../../../support/authenticator.ts";

const headersFor = (written: unknown): IdentityHeaders => new IdentityHeaders(structuredClone(identitySchema().parse(written)));

function told(written: unknown, identity: Identity): Record<string, string> {
  const headers = headersFor(written);
  const list: string[] = ["x-other", "1"];
  headers.append(identity, list);
  const again: string[] = ["x-other", "1"];
  headers.append(identity, again);
  expect(again).toEqual(list);
  return Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 && i > 0 ? [[name, list[i + 1] ?? ""]] : [])));
}

describe("what is told", () => {
  const full = { tier: "gold", scopes: ["orders:read", "a,b"], roles: ["user", "a b"], groups: ["x,y", "50%"] };

  it("everything that is known, by the default names", () => {
    expect(told({}, identityOf("acme", full))).toEqual({
      "x-consumer-id": "acme",
      "x-consumer-tier": "gold",
      "x-consumer-scopes": "orders:read a%2Cb",
      "x-consumer-roles": "user,a%20b",
      "x-consumer-groups": "x%2Cy,50%25",
    });
  });

  it("nothing that is not", () => expect(told({}, identityOf("acme"))).toEqual({ "x-consumer-id": "acme" }));

  it("by other names, or not at all", () => {
    expect(
      told(
        { headers: { consumer: "X-User", scopes: false, roles: false, groups: false, tier: false, authenticator: "x-by" } },
        identityOf("a", full),
      ),
    ).toEqual({ "x-user": "a", "x-by": "test" });
  });

  it.each([
    ["auth0|ann", "auth0|ann"],
    ["ann@example.com", "ann@example.com"],
    ["CN=ann, O=Example", "CN=ann,%20O=Example"],
    ["a\r\nx-consumer-roles: admin", "a%0D%0Ax-consumer-roles:%20admin"],
    ["caf\u00e9", "caf%C3%A9"],
    ["\u0000\u007f", "%00%7F"],
    ["100%", "100%25"],
  ])("the id %j as %s", (id, expected) => expect(told({}, identityOf(id))["x-consumer-id"]).toBe(expected));

  it.each<[unknown, string | undefined]>([
    ["t1", "t1"],
    [7, "7"],
    [true, "true"],
    [["a", "b,c"], "a,b%2Cc"],
    [["a", { b: 1 }], undefined],
    [{ a: 1 }, undefined],
    [null, undefined],
    [undefined, undefined],
    ["x\ny", "x%0Ay"],
  ])("the claim %j as %j", (tenant, expected) => {
    expect(told({ claims: { "x-tenant": "org.tenant" } }, identityOf("a", { claims: { org: { tenant } } }))["x-tenant"]).toBe(expected);
  });
});

describe("names that no client may send", () => {
  it("the default ones even when others are configured, those of claims and of the token", () => {
    const headers = headersFor({
      headers: { consumer: "x-user" },
      claims: { "x-tenant": "tenant" },
      protect: ["X-Remote-User"],
      internalToken: { header: "x-proof", algorithm: "HS256", key: "k".repeat(32) },
    });
    for (const name of [
      "x-user",
      "x-consumer-id",
      "x-consumer-roles",
      "x-tenant",
      "x-proof",
      "x-internal-token",
      "x-remote-user",
      "x-consumer-username",
    ])
      expect(headers.isProtected(name), name).toBe(true);
    for (const name of ["x-users", "x-consumer", "host", "authorization", ""]) expect(headers.isProtected(name), name).toBe(false);
  });

  it.each<[unknown, string]>([
    [{ headers: { consumer: "authorization" } }, "begins with x-"],
    [{ headers: { consumer: "x_user" } }, "begins with x-"],
    [{ headers: { consumer: "x-forwarded-user" } }, "another meaning"],
    [{ headers: { consumer: "x-request-id" } }, "another meaning"],
    [{ headers: { consumer: "x-a", roles: "X-A" } }, "two parts share the header x-a"],
    [{ claims: { "x-consumer-id": "sub" } }, "two parts share the header x-consumer-id"],
    [{ internalToken: { algorithm: "HS256", key: "short" } }, "at least 32 bytes"],
    [{ internalToken: { key: "k".repeat(64) } }, "expected an Ed25519 private key"],
    [
      { internalToken: { key: generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "pem", type: "pkcs8" }) } },
      "Ed25519",
    ],
  ])("%j is refused: %s", (written, message) => {
    const parsed = identitySchema().safeParse(written);
    expect(JSON.stringify(parsed.error?.issues ?? [])).toContain(message);
  });
});

describe("the internal token", () => {
  const pair = generateKeyPairSync("ed25519");
  const pem = pair.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const plan = (written: object): InternalTokenPlan => {
    const { token } = identitySchema().parse({ internalToken: written });
    if (token === null) throw new Error("a token was asked for");
    return token;
  };
  const ann = identityOf("ann", { tier: "gold", scopes: ["a", "b"], roles: ["r"], groups: ["g"], claims: { secret: "not for services" } });

  it("says who is calling and is verified by the public key that the admin listener shows", async () => {
    let nowMs = Date.now();
    const token = new InternalToken(plan({ key: pem, audience: "internal" }), () => nowMs).of(ann);
    const jwk = publicJwk(pem);
    const { payload, protectedHeader } = await jwtVerify(token, createPublicKey({ key: { ...jwk }, format: "jwk" }), {
      algorithms: ["EdDSA"],
      audience: "internal",
      issuer: "sluice",
    });
    expect(protectedHeader).toEqual({ alg: "EdDSA", typ: "JWT", kid: jwk["kid"] });
    const iat = Math.floor(nowMs / 1000);
    expect(payload).toEqual({
      iss: "sluice",
      aud: "internal",
      sub: "ann",
      auth: "test",
      tier: "gold",
      scope: "a b",
      roles: ["r"],
      groups: ["g"],
      iat,
      exp: iat + 30,
    });
    nowMs = 0;
  });

  it("HS256 with the shared secret", async () => {
    const key = "k".repeat(40);
    const { payload } = await jwtVerify(new InternalToken(plan({ algorithm: "HS256", key })).of(ann), Buffer.from(key), {
      algorithms: ["HS256"],
    });
    expect(payload.sub).toBe("ann");
  });

  it("is made anew after half its life, and shared by identities that say the same", () => {
    let nowMs = 1_000_000;
    const source = new InternalToken(plan({ key: pem, ttl: "30s" }), () => nowMs);
    const first = source.of(ann);
    expect(source.of({ ...ann })).toBe(first);
    nowMs += 14_999;
    expect(source.of(ann)).toBe(first);
    nowMs += 1;
    const second = source.of(ann);
    expect(second).not.toBe(first);
    expect(source.of({ ...ann })).toBe(second);
    expect(source.of(identityOf("ben"))).not.toBe(second);
    const [head = "", payload = "", signature = ""] = second.split(".");
    expect(verify(null, Buffer.from(`${head}.${payload}`), pair.publicKey, Buffer.from(signature, "base64url"))).toBe(true);
  });
});

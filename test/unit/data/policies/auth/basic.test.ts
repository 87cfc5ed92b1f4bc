// Hashes of the least cost that is accepted; what is measured is never time, but how often a password is checked.
import { describe, expect, it } from "vitest";
import { hashPassword, parsePasswordHash } from "../../../../../src/data/credentials/password-hash.ts";
import type { AuthOutcome } from "../../../../../src/data/exchange/identity/authenticator.ts";
import { authenticatorOf, outcomeText, testServices } from "../../../../support/configured-authenticators.ts";
import { TestExchange } from "../../../../support/exchange.ts";

const CHEAP = { scheme: "argon2id", memoryKib: 8192, passes: 1, lanes: 1 } as const;
const CHEAP_SCRYPT = { scheme: "scrypt", ln: 14, r: 1, p: 1 } as const;
const [alice, bob, alice2] = await Promise.all([
  hashPassword("wönder:land", CHEAP),
  hashPassword("builder", CHEAP_SCRYPT),
  hashPassword("new password", CHEAP),
]);

const sections = (options = "", alicesPassword = alice): string => `auth: { legacy: { basic: { ${options} } } }
consumers:
  - { id: acme, username: älice, password: "${alicesPassword}" }
  - { id: bob, password: "${bob}" }
  - { id: keyless }
`;

const basic = (text: string, encoding: BufferEncoding = "utf8") => `Basic ${Buffer.from(text, encoding).toString("base64")}`;
const exchange = (authorization: string | string[]) => new TestExchange({ headers: { authorization } });

const WRONG = "refused: the user name or the password is wrong";
const MALFORMED = "refused: the Basic credentials are not base64 of `user:password` in UTF-8 without control characters (RFC 7617)";

describe("credentials", () => {
  const authenticator = authenticatorOf(sections());
  const check = (name: string, authorization: string | string[], expected: string) =>
    it(name, async () => {
      // The second time from memory.
      for (let i = 0; i < 2; i++) expect(outcomeText(await authenticator.authenticate(exchange(authorization)))).toBe(expected);
    });
  check("right", basic("älice:wönder:land"), "acme");
  check("decomposed letters", basic("a\u0308lice:wo\u0308nder:land"), "acme");
  check("the id as user name, scrypt", basic("bob:builder"), "bob");
  check("scheme in lower case", basic("bob:builder").replace("Basic", "basic"), "bob");
  check("wrong password", basic("bob:Builder"), WRONG);
  check("unknown user", basic("nobody:builder"), WRONG);
  check("the id where there is a user name", basic("acme:wönder:land"), WRONG);
  check("a consumer without password", basic("keyless:"), WRONG);
  check("empty password", basic("bob:"), WRONG);
  check("empty user name", basic(":builder"), WRONG);
  check("another scheme", "Bearer abc", "absent");
  check("two headers", [basic("bob:builder"), basic("bob:builder")], "refused: more than one Authorization header");
  check("nothing", "Basic", MALFORMED);
  check("not base64", "Basic bob:builder", MALFORMED);
  check("base64url", "Basic __-_", MALFORMED);
  check("without padding", basic("bob:builder").replace(/=+$/, ""), MALFORMED);
  check("no colon", basic("bob"), MALFORMED);
  check("latin1", basic("b\xf6b:builder", "latin1"), MALFORMED);
  check("NUL", basic("bob:builder\0"), MALFORMED);
  check("too long", basic(`bob:${"x".repeat(2048)}`), MALFORMED);
});

it("asks for UTF-8", () => expect(authenticatorOf(sections()).challenge).toBe('Basic realm="legacy", charset="UTF-8"'));

it("remembers what was right and what was wrong, and answers that at once", async () => {
  const authenticator = authenticatorOf(sections());
  for (const [credentials, expected] of [
    ["bob:builder", "bob"],
    ["bob:wrong", WRONG],
  ] as const) {
    const first = authenticator.authenticate(exchange(basic(credentials)));
    expect(first).toBeInstanceOf(Promise);
    await first;
    expect(outcomeText(authenticator.authenticate(exchange(basic(credentials))) as AuthOutcome)).toBe(expected);
  }
});

it("cacheFor: 0 remembers nothing that was right", async () => {
  const authenticator = authenticatorOf(sections("cacheFor: 0"));
  for (let i = 0; i < 2; i++) {
    const outcome = authenticator.authenticate(exchange(basic("bob:builder")));
    expect(outcome).toBeInstanceOf(Promise);
    expect(outcomeText(await outcome)).toBe("bob");
  }
});

it("checks the same credentials once, and takes no more than its bounds", async () => {
  const authenticator = authenticatorOf(sections("queue: 1"));
  const ask = (password: string) => authenticator.authenticate(exchange(basic(`bob:${password}`)));
  const outcomes = await Promise.all(["builder", "builder", "x", "y", "builder", "x"].map(ask));
  expect(outcomes.map(outcomeText)).toEqual(["bob", "bob", WRONG, "auth_overloaded", "bob", WRONG]);
  // There is room again, and the refusal was not remembered as a verdict.
  expect(outcomeText(await ask("y"))).toBe(WRONG);
});

it("queue: 0 still checks one at a time", async () => {
  const authenticator = authenticatorOf(sections("queue: 0"));
  const ask = (password: string) => authenticator.authenticate(exchange(basic(`bob:${password}`)));
  expect((await Promise.all(["builder", "x"].map(ask))).map(outcomeText)).toEqual(["bob", "auth_overloaded"]);
});

it("a reload keeps what is known and forgets whose password changed", async () => {
  const services = testServices();
  const before = authenticatorOf(sections(), services);
  for (const credentials of ["älice:wönder:land", "bob:builder", "älice:new password"])
    await before.authenticate(exchange(basic(credentials)));
  const after = authenticatorOf(sections("", alice2), services);
  expect(outcomeText(after.authenticate(exchange(basic("bob:builder"))) as AuthOutcome)).toBe("bob");
  expect(outcomeText(await after.authenticate(exchange(basic("älice:wönder:land"))))).toBe(WRONG);
  expect(outcomeText(await after.authenticate(exchange(basic("älice:new password"))))).toBe("acme");
  // The old plan, whose requests may still be under way, goes on by its own consumers.
  expect(outcomeText(await before.authenticate(exchange(basic("älice:new password"))))).toBe(WRONG);
});

it("a check that began before the reload proves nothing after it", async () => {
  const services = testServices();
  const before = authenticatorOf(sections(), services);
  const after = authenticatorOf(sections("", alice2), services);
  const credentials = basic("älice:wönder:land");
  const outcomes = [before.authenticate(exchange(credentials)), after.authenticate(exchange(credentials))];
  expect((await Promise.all(outcomes)).map(outcomeText)).toEqual(["acme", "auth_unavailable"]);
});

describe("stored hashes", () => {
  const salt = "A".repeat(22);
  const digest = "B".repeat(43);
  const check = (text: string, ok: boolean) => it(text.slice(0, 40), () => expect(parsePasswordHash(text) !== null).toBe(ok));
  check(`scrypt:ln=15,r=8,p=1:${salt}:${digest}`, true);
  check(`scrypt:ln=13,r=8,p=1:${salt}:${digest}`, false);
  check(`scrypt:ln=21,r=8,p=1:${salt}:${digest}`, false);
  check(`scrypt:ln=20,r=8,p=1:${salt}:${digest}`, false);
  check(`scrypt:ln=15,r=8,p=17:${salt}:${digest}`, false);
  check(`scrypt:ln=15,r=8,p=0:${salt}:${digest}`, false);
  check(`scrypt:ln=15,r=8,p=1:AAAA:${digest}`, false);
  check(`scrypt:ln=15,r=8,p=1:${salt}:BBBB`, false);
  check(`scrypt:ln=15,r=8,p=1:${salt}`, false);
  check(`$argon2id$v=19$m=19456,t=2,p=1$${salt}$${digest}`, true);
  check(`$argon2i$v=19$m=19456,t=2,p=1$${salt}$${digest}`, false);
  check(`$argon2id$v=16$m=19456,t=2,p=1$${salt}$${digest}`, false);
  check(`$argon2id$v=19$m=64,t=2,p=1$${salt}$${digest}`, false);
  check(`$argon2id$v=19$m=9999999,t=2,p=1$${salt}$${digest}`, false);
  check(`$argon2id$v=19$m=19456,t=17,p=1$${salt}$${digest}`, false);
  check("secret", false);
  check(`$2b$10$${salt}${digest}`, false);
});

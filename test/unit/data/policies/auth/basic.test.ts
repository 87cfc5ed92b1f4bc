// Hashes of the least cost that is accepted; what is measured is never time, but how often a password is checked.
import { describe, expect, it } from "vitest";
import { hashPassword, parsePasswordHash } from "../../../../../src/data/credentials/password-hash.ts";
import type { AuthOutcome } from "../../../../../src/data/exchange/identity/authenticator.ts";
import type { Services } from "../../../../../src/data/exchange/runtime.ts";
import type { PasswordJob } from "../../../../../src/offload/password-task.ts";
import { authenticatorOf, outcomeText, testServices } from "../../../../support/configured-authenticators.ts";
import { TestExchange } from "../../../../support/exchange.ts";
import { until } from "../../../../support/until.ts";

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

const BCRYPT = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"; // U*U
const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"; // myPassword
const SHA = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE="; // myPassword

/** A worker's services that count how often a password was checked on the thread, and check when told. */
function countingServices() {
  const services = testServices();
  const jobs: PasswordJob[] = [];
  const held: (() => void)[] = [];
  const checkPassword = async (job: PasswordJob): Promise<boolean> => {
    jobs.push(job);
    await new Promise<void>((resolve) => held.push(resolve));
    return services.checkPassword(job);
  };
  return { services: { ...services, checkPassword } as Services, jobs, held };
}

describe("hashes of other programs", () => {
  const foreign = (options = "insecure: [weak-hashes]") => `auth: { legacy: { basic: { ${options} } } }
consumers:
  - { id: ann, password: "${BCRYPT}" }
  - { id: ben, password: "${APR1}" }
  - { id: cid, password: "${SHA}" }
`;
  const authenticator = authenticatorOf(foreign());
  it.each([
    ["ann:U*U", "ann"],
    ["ann:U*V", WRONG],
    ["ben:myPassword", "ben"],
    ["ben:mypassword", WRONG],
    ["cid:myPassword", "cid"],
    ["cid:", WRONG],
    ["dan:U*U", WRONG],
  ])("%s: %s", async (credentials, expected) => {
    for (let i = 0; i < 2; i++) expect(outcomeText(await authenticator.authenticate(exchange(basic(credentials))))).toBe(expected);
  });

  it("a right password costs its hash once, and a wrong one too while it is remembered", async () => {
    const { services, jobs, held } = countingServices();
    const counted = authenticatorOf(foreign(), services);
    for (const [credentials, expected] of [
      ["ann:U*U", "ann"],
      ["ann:no", WRONG],
      ["ann:U*U", "ann"],
      ["ann:no", WRONG],
    ] as const) {
      const outcome = counted.authenticate(exchange(basic(credentials)));
      for (const release of held.splice(0)) release();
      expect(outcomeText(await outcome)).toBe(expected);
    }
    expect(jobs.map(({ password }) => password)).toEqual(["U*U", "no"]);
  });

  it("nobody costs what most users cost: the thread is asked about somebody who does not exist", async () => {
    const { services, jobs, held } = countingServices();
    const counted = authenticatorOf(`auth: { legacy: { basic: {} } }\nconsumers: [{ id: ann, password: "${BCRYPT}" }]\n`, services);
    const outcome = counted.authenticate(exchange(basic("nobody:x")));
    for (const release of held.splice(0)) release();
    expect(outcomeText(await outcome)).toBe(WRONG);
    expect(jobs).toMatchObject([{ scheme: "bcrypt", cost: 5, password: "x" }]);
  });

  it("a flood from one address leaves everybody else a place in line", async () => {
    const { services, held } = countingServices();
    const counted = authenticatorOf(foreign("queue: 4, insecure: [weak-hashes]"), services);
    const ask = (credentials: string, ip: string) => {
      const x = new TestExchange({ headers: { authorization: basic(credentials) } });
      x.clientInfo = () => ({ ip, scheme: "http" }) as ReturnType<TestExchange["clientInfo"]>;
      return counted.authenticate(x);
    };
    const flood = Array.from({ length: 20 }, (_, i) => ask(`ann:wrong-${i}`, `2001:db8:1:2::${i}`)); // one network of 64 bits
    const [ann, ben] = [ask("ann:U*U", "2001:db8:1:3::1"), ask("ben:myPassword", "192.0.2.7")];
    const outcomes = Promise.all([ann, ben]);
    // Who was being checked, then each source in turn: the two need no more than three checks before them.
    for (let i = 0; i < 4; i++) {
      await until("a password is being checked", () => held.length > 0);
      held.shift()?.();
    }
    expect((await outcomes).map(outcomeText)).toEqual(["ann", "ben"]);
    const refused = await Promise.all(flood.slice(5));
    expect(new Set(refused.map((each) => outcomeText(each)))).toEqual(new Set(["auth_overloaded"]));
    // Of the four that were in line, two gave up their places.
    expect((await Promise.all(flood.slice(3, 5))).map(outcomeText)).toEqual(["auth_overloaded", "auth_overloaded"]);
    for (const release of held.splice(0)) release();
  });

  it("a thread that cannot tell is 503, and nothing is remembered", async () => {
    const services = { ...testServices(), checkPassword: () => Promise.reject(new Error("broken")) } as Services;
    const broken = authenticatorOf(foreign(), services);
    for (let i = 0; i < 2; i++) expect(outcomeText(await broken.authenticate(exchange(basic("ann:U*U"))))).toBe("auth_unavailable");
  });
});

describe("an htpasswd file", () => {
  const file = `auth:
  legacy:
    basic:
      insecure: [weak-hashes]
      htpasswd: |
        # users
        ann:${BCRYPT}
        ben:${APR1}
        robert:${SHA}
tiers: { gold: {} }
consumers:
  - { id: ann, tier: gold, scopes: [read] }
  - { id: bob, username: robert, roles: [admin] }
  - { id: eve, password: "${BCRYPT}" }
`;
  const authenticator = authenticatorOf(file);
  const ask = async (credentials: string) => authenticator.authenticate(exchange(basic(credentials)));
  it("its users are the consumers of that id or user name, or strangers without grants", async () => {
    expect(await ask("ann:U*U")).toMatchObject({ identity: { consumer: "ann", tier: "gold", scopes: ["read"] } });
    expect(await ask("robert:myPassword")).toMatchObject({ identity: { consumer: "bob", roles: ["admin"] } });
    expect(await ask("ben:myPassword")).toMatchObject({ identity: { consumer: "ben", tier: null, scopes: [], roles: [], groups: [] } });
  });
  it("takes the place of the consumers with a password", async () => expect(outcomeText(await ask("eve:U*U"))).toBe(WRONG));
  it("a wrong password is wrong", async () => expect(outcomeText(await ask("ben:U*U"))).toBe(WRONG));

  it("with another user keeps what is known of those that stay, and forgets whose hash changed", async () => {
    const { services, jobs, held } = countingServices();
    const section = (lines: string) => `auth: { legacy: { basic: { htpasswd: "${lines}" } } }\n`;
    const askOf = async (each: ReturnType<typeof authenticatorOf>, credentials: string) => {
      const outcome = each.authenticate(exchange(basic(credentials)));
      for (const release of held.splice(0)) release();
      return outcomeText(await outcome);
    };
    expect(await askOf(authenticatorOf(section(`ann:${BCRYPT}`), services), "ann:U*U")).toBe("ann");
    const after = authenticatorOf(section(`ann:${BCRYPT}\\nben:${BCRYPT}`), services);
    expect(await askOf(after, "ann:U*U")).toBe("ann");
    expect(jobs).toHaveLength(1);
    expect(await askOf(authenticatorOf(section(`ann:${alice}`), services), "ann:U*U")).toBe(WRONG);
  });
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
  check(`$2b$10$${salt}${"B".repeat(31)}`, true);
  check(`$2b$13$${salt}${"B".repeat(31)}`, false);
  check(`$2b$10$${salt}${digest}`, false);
});

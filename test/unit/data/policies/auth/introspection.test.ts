// Against a real endpoint. That something is remembered shows in what the endpoint was not asked.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Authenticator } from "../../../../../src/data/exchange/identity/authenticator.ts";
import type { Services } from "../../../../../src/data/exchange/runtime.ts";
import { Authority } from "../../../../support/authority.ts";
import { BASE, problemsOf } from "../../../../support/config-text.ts";
import { callingAuthenticatorOf, outcomeText, testServices } from "../../../../support/configured-authenticators.ts";
import { TestExchange } from "../../../../support/exchange.ts";
import { IntrospectionProvider, type Script } from "../../../../support/introspection-provider.ts";
import { until, untilAsync } from "../../../../support/until.ts";

let provider: IntrospectionProvider;
let faults: string[] = [];
beforeAll(async () => {
  provider = await IntrospectionProvider.start();
});
afterAll(() => provider[Symbol.asyncDispose]());
beforeEach(() => {
  provider.asked.length = 0;
  provider.scripts.clear();
  provider.always = null;
  provider.hold = null;
  faults = [];
});

const services = (): Services => ({ ...testServices(), reportFault: (message, error) => void faults.push(`${message}: ${error}`) });

const begun: Disposable[] = [];
afterEach(() => {
  for (const each of begun.splice(0)) each[Symbol.dispose]();
});

const begin = (sections: string, of: Services): Authenticator => {
  const made = callingAuthenticatorOf(sections, of);
  begun.push(made);
  return made.authenticator;
};

/** An authenticator of its own, so that nothing is remembered from another test. */
const start = (options = "", of: Services = services(), endpoint = provider.url) =>
  begin(
    `auth: { oauth: { introspection: { endpoint: "${endpoint}", clientId: "gate way", clientSecret: "s+c:ret", ${options} } } }
tiers: { gold: {} }
consumers: [{ id: acme, tier: gold, scopes: [configured] }]
`,
    of,
  );
const bearer = (token: string) => new TestExchange({ headers: { authorization: `Bearer ${token}` } });
const nowS = () => Math.floor(Date.now() / 1000);
const DOWN = "auth_unavailable";
const NOT_ACTIVE = "refused: the token is not active";

it("asks as RFC 7662 says", async () => {
  provider.scripts.set("a/b+c==", { active: true, sub: "acme" });
  expect(outcomeText(await start().authenticate(bearer("a/b+c==")))).toBe("acme");
  expect(provider.asked).toEqual([
    {
      authorization: `Basic ${Buffer.from("gate%20way:s%2Bc%3Aret").toString("base64")}`,
      body: "token=a%2Fb%2Bc%3D%3D&token_type_hint=access_token",
      method: "POST",
      url: "/introspect?v=1",
      type: "application/x-www-form-urlencoded",
    },
  ]);
});

it("makes an identity of the answer and the configuration", async () => {
  const answer = { active: true, sub: "acme", scope: "orders:read orders:write", realm: { roles: ["admin"] }, exp: nowS() + 60 };
  provider.scripts.set("t", answer);
  const outcome = await start("claims: { roles: realm.roles }").authenticate(bearer("t"));
  expect(outcome).toEqual({
    kind: "identity",
    identity: {
      consumer: "acme",
      authenticator: "oauth",
      tier: "gold",
      scopes: ["orders:read", "orders:write", "configured"],
      roles: ["admin"],
      groups: [],
      partial: false,
      claims: answer,
      expiresMs: answer.exp * 1000,
    },
  });
});

describe("what the endpoint may say", () => {
  const check = (name: string, script: Script, expected: string, options = "") =>
    it(name, async () => {
      provider.always = script;
      expect(outcomeText(await start(options).authenticate(bearer("t")))).toBe(expected);
    });
  const text =
    (body: string | Buffer, headers: Readonly<Record<string, string>> = {}, status = 200): Script =>
    (response) =>
      response.writeHead(status, headers).end(body);
  check("active", { active: true, sub: "acme" }, "acme");
  check("inactive", { active: false, sub: "acme" }, NOT_ACTIVE);
  check("a word for yes", { active: "true", sub: "acme" }, DOWN);
  check("one for yes", { active: 1, sub: "acme" }, DOWN);
  check("nothing", {}, DOWN);
  check("a list", text("[true]"), DOWN);
  check("active twice", text('{"active":false,"active":true,"sub":"acme"}'), DOWN);
  check("not JSON", text("yes"), DOWN);
  check("empty", text(""), DOWN);
  check("not UTF-8", text(Buffer.from('{"active":true,"sub":"acme","x":"\xff"}', "latin1")), DOWN);
  check("compressed", text(gzipSync('{"active":true,"sub":"acme"}'), { "content-encoding": "gzip" }), DOWN);
  check("too large", text(`{"active":true,"sub":"acme","x":"${"x".repeat(70_000)}"}`), DOWN);
  check("an error with a good body", text('{"active":true,"sub":"acme"}', {}, 500), DOWN);
  check("not our client", text("{}", {}, 401), DOWN);
  for (const status of [400, 413, 414, 422, 431])
    check(`status ${status}: it takes this for no token`, text("{}", {}, status), "refused: the provider takes this for no token");
  for (const status of [403, 404, 405, 406, 429, 503]) check(`status ${status}`, text("{}", {}, status), DOWN);
  check("a byte order mark", text('\ufeff{"active":true,"sub":"acme"}'), "acme");
  check("a redirect", text("", { location: "http://127.0.0.1:1/" }, 307), DOWN);
  check(
    "cut short",
    (response) => void response.writeHead(200, { "content-length": "100" }).write('{"active":true'),
    DOWN,
    "timeout: 50ms",
  );
  check("cut off", (response) => void response.destroy(), DOWN);
  check("no answer in time", () => {}, DOWN, "timeout: 50ms");
  check("expired", { active: true, sub: "acme", exp: nowS() - 1 }, NOT_ACTIVE);
  check("exp as text", { active: true, sub: "acme", exp: "4102444800" }, DOWN);
  check("exp beyond all numbers", text('{"active":true,"sub":"acme","exp":1e400}'), DOWN);
  check("no sub", { active: true, client_id: "acme" }, "refused: the claim sub names no consumer");
  check("no sub, but what is asked for", { active: true, client_id: "acme" }, "acme", "claims: { consumer: client_id }");
  check("an unknown consumer", { active: true, sub: "bob" }, "bob");
  check(
    "an unknown consumer, where only known ones may",
    { active: true, sub: "bob" },
    "refused: the token's consumer is not known here",
    "onlyKnownConsumers: true",
  );
  check(
    "bound to a key",
    { active: true, sub: "acme", cnf: { jkt: "x" } },
    "refused: the token is bound to a key, which is not checked here",
  );
  check("the right audience", { active: true, sub: "acme", aud: ["x", "api"] }, "acme", "audience: api");
  check(
    "another audience",
    { active: true, sub: "acme", aud: "x" },
    "refused: the token is meant for another audience",
    "audience: [api, b]",
  );
  check("no audience", { active: true, sub: "acme" }, "refused: the token is meant for another audience", "audience: api");
});

describe("tokens", () => {
  const check = (name: string, headers: Record<string, string | string[]>, expected: string, asked: number) =>
    it(name, async () => {
      provider.always = { active: true, sub: "acme" };
      expect(outcomeText(await start().authenticate(new TestExchange({ headers })))).toBe(expected);
      expect(provider.asked.length).toBe(asked);
    });
  check("none", {}, "absent", 0);
  check("another scheme", { authorization: "Basic YTpi" }, "absent", 0);
  check("two", { authorization: ["Bearer a", "Bearer a"] }, "refused: more than one token", 0);
  check("empty", { authorization: "Bearer " }, "refused: this is no token (RFC 6750 section 2.1)", 0);
  check("odd characters", { authorization: "Bearer a b" }, "refused: this is no token (RFC 6750 section 2.1)", 0);
  check("too long", { authorization: `Bearer ${"a".repeat(8193)}` }, "refused: this is no token (RFC 6750 section 2.1)", 0);
  check("good", { authorization: "bearer a" }, "acme", 1);
  it("in a cookie", async () => {
    provider.always = { active: true, sub: "acme" };
    const x = new TestExchange({ headers: { cookie: "a=1; token=abc" } });
    expect(outcomeText(await start("in: cookie, name: token").authenticate(x))).toBe("acme");
  });
});

describe("remembers", () => {
  const ask = async (authenticator: ReturnType<typeof start>, token = "t") => outcomeText(await authenticator.authenticate(bearer(token)));

  it("active and inactive tokens; and answers those at once", async () => {
    provider.scripts.set("t", { active: true, sub: "acme" });
    const authenticator = start();
    for (let i = 0; i < 3; i++) expect([await ask(authenticator), await ask(authenticator, "u")]).toEqual(["acme", NOT_ACTIVE]);
    expect(provider.asked.length).toBe(2);
    expect(authenticator.authenticate(bearer("t"))).not.toBeInstanceOf(Promise);
  });

  it("nothing with cacheFor: 0, and keeps the connection", async () => {
    provider.scripts.set("t", { active: true, sub: "acme" });
    const authenticator = start("cacheFor: 0");
    const before = provider.connections;
    for (let i = 0; i < 3; i++) expect(await ask(authenticator)).toBe("acme");
    expect([provider.asked.length, provider.connections - before]).toEqual([3, 1]);
  });

  it("no longer than cacheFor", async () => {
    provider.scripts.set("t", { active: true, sub: "acme" });
    const authenticator = start("cacheFor: 30ms");
    expect(await ask(authenticator)).toBe("acme");
    provider.scripts.clear();
    let last = "";
    await until("the token is asked about again", () => {
      void ask(authenticator).then((text) => (last = text));
      return last === NOT_ACTIVE;
    });
  });

  it("no longer than exp, and not that the token was good", async () => {
    // A second is the smallest step of exp: of the two instants that this may be, both are in the future.
    provider.scripts.set("t", { active: true, sub: "acme", exp: nowS() + 2 });
    const authenticator = start("cacheFor: 1h");
    expect(await ask(authenticator)).toBe("acme");
    let last = "";
    await until("the token has ended", () => {
      void ask(authenticator).then((text) => (last = text));
      return last === NOT_ACTIVE;
    });
  });

  it("no failure", async () => {
    provider.always = (response) => response.writeHead(500).end();
    const authenticator = start();
    expect(await ask(authenticator)).toBe(DOWN);
    provider.always = { active: true, sub: "acme" };
    expect(await ask(authenticator)).toBe("acme");
  });

  it("through a reload, but not what the consumers were", async () => {
    provider.scripts.set("t", { active: true, sub: "acme" });
    const worker = services();
    await ask(start("", worker));
    const after = begin(
      `auth: { oauth: { introspection: { endpoint: "${provider.url}", clientId: "gate way", clientSecret: "s+c:ret" } } }
consumers: [{ id: acme, roles: [new] }]
`,
      worker,
    );
    expect(after.authenticate(bearer("t"))).toMatchObject({ kind: "identity", identity: { tier: null, roles: ["new"] } });
    expect(provider.asked.length).toBe(1);
  });
});

describe("bounds", () => {
  it("one token is asked about once at a time, and the others wait", async () => {
    provider.always = { active: true, sub: "acme" };
    let release = () => {};
    provider.hold = new Promise((resolve) => (release = resolve));
    const authenticator = start("concurrency: 1, queue: 1");
    const outcomes = ["a", "a", "b", "c", "a", "b"].map((token) => authenticator.authenticate(bearer(token)));
    await until("the first is asked about", () => provider.asked.length === 1);
    release();
    expect((await Promise.all(outcomes)).map(outcomeText)).toEqual(["acme", "acme", "acme", "auth_overloaded", "acme", "acme"]);
    expect(provider.asked.length).toBe(2);
  });

  it("a connection that the provider closed meanwhile is no failure", async () => {
    provider.always = { active: true, sub: "acme" };
    const authenticator = start("cacheFor: 0, breaker: { failures: 2 }");
    for (let i = 0; i < 5; i++) {
      expect(outcomeText(await authenticator.authenticate(bearer("t")))).toBe("acme");
      provider.closeIdle();
    }
  });

  it("after failures in a row nothing is asked for a while, then one token is tried", async () => {
    provider.always = (response) => response.writeHead(503).end();
    const authenticator = start("cacheFor: 0, breaker: { failures: 3, openFor: 100ms }");
    const ask = async (token: string) => outcomeText(await authenticator.authenticate(bearer(token)));
    for (let i = 0; i < 10; i++) expect(await ask(`t${i}`)).toBe(DOWN);
    expect(provider.asked.length).toBe(3);
    expect(faults).toEqual(["introspection for oauth fails: status 503"]);
    let release = () => {};
    provider.hold = new Promise((resolve) => (release = resolve));
    provider.always = { active: true, sub: "acme" };
    const outcomes: Promise<string>[] = [];
    await until("one token is tried", () => {
      outcomes.push(ask(`u${outcomes.length}`));
      return provider.asked.length === 4;
    });
    for (let i = 0; i < 10; i++) expect(await ask(`v${i}`)).toBe(DOWN);
    release();
    expect((await Promise.all(outcomes)).filter((text) => text !== DOWN)).toEqual(["acme"]);
    expect(provider.asked.length).toBe(4);
    // The trial's outcome goes through the thread that drives the breakers.
    await untilAsync("the breaker is closed", async () => expect(await ask("w")).toBe("acme"));
  });

  describe("answers about one token shut nobody else out", () => {
    const JUNK: readonly (readonly [string, Script])[] = [
      ...[400, 403, 406, 413, 414, 418, 422, 429, 431].map((status): [string, Script] => [
        `status ${status}`,
        (response) => response.writeHead(status).end(),
      ]),
      ["a redirect", (response) => response.writeHead(302, { location: "/blocked" }).end()],
      ["a page that is no JSON", (response) => response.end("<html>The requested URL was rejected.</html>")],
      ["too much", (response) => response.end("x".repeat(70_000))],
      ["too much, refused", (response) => response.writeHead(400).end("x".repeat(70_000))],
      ["something compressed", (response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x")],
      ["exp that is no number", { active: true, sub: "acme", exp: "soon" }],
    ];
    it.each(JUNK)("%s", async (_, script) => {
      provider.always = script;
      const authenticator = start("cacheFor: 0, breaker: { failures: 3, openFor: 1m }");
      const ask = async (token: string) => outcomeText(await authenticator.authenticate(bearer(token)));
      for (let i = 0; i < 10; i++) expect(await ask(`junk${i}`)).not.toBe("acme");
      provider.always = { active: true, sub: "acme" };
      expect(await ask("good")).toBe("acme");
      expect(provider.asked.length).toBe(11);
      // An operator hears of it once, for the endpoint may be the wrong one.
      expect(faults).toEqual([expect.stringMatching(/^introspection for oauth fails: 3 answers in a row that do not say whether/)]);
    });

    it.each([401, 404, 405, 500, 503])("but %d is about every token", async (status) => {
      provider.always = (response) => response.writeHead(status).end();
      const authenticator = start("cacheFor: 0, breaker: { failures: 3, openFor: 1m }");
      for (let i = 0; i < 10; i++) expect(outcomeText(await authenticator.authenticate(bearer(`t${i}`)))).toBe(DOWN);
      expect(provider.asked.length).toBe(3);
    });

    it("and one that comes as the trial closes the breaker", async () => {
      provider.always = (response) => response.writeHead(503).end();
      const authenticator = start("cacheFor: 0, breaker: { failures: 1, openFor: 30ms }");
      const ask = async (token: string) => outcomeText(await authenticator.authenticate(bearer(token)));
      expect(await ask("t")).toBe(DOWN);
      provider.always = (response) => response.writeHead(400).end();
      let last = "";
      await until("junk was tried", () => {
        void ask("junk").then((text) => (last = text));
        return last.startsWith("refused");
      });
      provider.always = { active: true, sub: "acme" };
      await untilAsync("the breaker is closed", async () => expect(await ask("good")).toBe("acme"));
    });
  });

  it("a probe that fails keeps it open", async () => {
    provider.always = (response) => response.writeHead(503).end();
    const authenticator = start("cacheFor: 0, breaker: { failures: 1, openFor: 30ms }");
    const ask = async () => outcomeText(await authenticator.authenticate(bearer("t")));
    expect(await ask()).toBe(DOWN);
    await until("it was tried again", () => {
      void ask();
      return provider.asked.length === 2;
    });
    expect(faults.length).toBe(1);
  });

  it("nobody there", async () => {
    expect(outcomeText(await start("", services(), "http://127.0.0.1:1/").authenticate(bearer("t")))).toBe(DOWN);
  });
});

describe("TLS", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-introspection-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("is verified, with an authority of its own", async () => {
    const authority = new Authority(folder);
    const other = new Authority(folder, "other");
    await using secure = await IntrospectionProvider.start(authority.issue("id", ["127.0.0.1"]));
    secure.always = { active: true, sub: "acme" };
    const ask = async (options: string) => outcomeText(await start(options, services(), secure.url).authenticate(bearer("t")));
    expect(await ask(`ca: ${authority.ca}`)).toBe("acme");
    expect(await ask(`ca: ${other.ca}`)).toBe(DOWN);
    expect(await ask("")).toBe(DOWN);
    expect(secure.asked.length).toBe(1);
  });
});

describe("configuration", () => {
  const check = (name: string, introspection: string, ...expected: string[]) =>
    it(name, () => {
      const text = `${BASE}auth: { a: { introspection: { ${introspection} } } }\ndefaults: { auth: a }\n`;
      expect(problemsOf(text).map((problem) => problem.replace(/^c\.yaml:6:\d+: auth\.a\.introspection\.?/, ""))).toEqual(expected);
    });
  const id = "clientId: a, clientSecret: b";
  check("good", `endpoint: "https://id.example.com/i", ${id}`);
  check("on this machine", `endpoint: "http://[::1]:9000/i", ${id}`);
  check(
    "in the clear",
    `endpoint: "http://id.example.com/i", ${id}`,
    "endpoint: expected https: only a provider on this machine may be asked in the clear; use https://; in a network that you trust, add `insecure: [http-introspection]`",
  );
  check(
    "a name that only begins like this machine",
    `endpoint: "http://127.0.0.1.example.com/", ${id}`,
    "endpoint: expected https: only a provider on this machine may be asked in the clear; use https://; in a network that you trust, add `insecure: [http-introspection]`",
  );
  check(
    "user in the URL",
    `endpoint: "https://a:b@id.example.com/", ${id}`,
    "endpoint: a URL without user, password and fragment is needed; use clientId and clientSecret",
  );
  check("no URL", `endpoint: id.example.com, ${id}`, "endpoint: expected a URL such as https://id.example.com/introspect");
  check("no secret", `endpoint: "https://id.example.com/", clientId: a`, "clientSecret: is required; add it");
  check(
    "a secret that is not there",
    `endpoint: "https://id.example.com/", clientId: a, clientSecret: file:nowhere`,
    "clientSecret: can't read nowhere: there is no such file; paths are relative to the configuration file",
  );
  check(
    "an authority that is none",
    `endpoint: "https://id.example.com/", ${id}, ca: package.json`,
    "ca: there is no PEM certificate in this file; use a file that holds -----BEGIN CERTIFICATE-----",
  );
  check(
    "a cookie without name",
    `endpoint: "https://id.example.com/", ${id}, in: cookie`,
    "name: is required for a cookie; add the cookie's name",
  );
});

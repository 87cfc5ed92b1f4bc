// Who may call what, through a real gateway on both engines: trees of authenticators, challenges, authorisation, what services receive.
import { hash } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { until } from "../../support/until.ts";

const ANN = "ann-key-0123456789";
const BEN = "ben-key-0123456789";
const digest = (key: string): string => `sha256:${hash("sha256", key)}`;
const TOKEN_SECRET = "a-token-secret-of-more-than-32-bytes";
const SHARED_SECRET = "a-shared-secret-of-more-than-32-bytes";

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
auth:
  keys: { apiKey: { name: x-api-key } }
  link: { apiKey: { in: query, name: key } }
  cookie: { apiKey: { in: cookie, name: session } }
  tokens: { jwt: { issuer: https://id.example.com, audience: api, secret: ${TOKEN_SECRET}, algorithms: [HS256] } }
  names: { jwt: { issuer: https://id.example.com, audience: api, secret: ${TOKEN_SECRET}, algorithms: [HS256], claims: { groups: groups, roles: roles } } }
tiers: { gold: { rate: 1000/s } }
consumers:
  - { id: ann, tier: gold, scopes: ["orders:read"], roles: [user, admin], groups: [staff], keys: ["${digest(ANN)}"] }
  - { id: ben, keys: ["${digest(BEN)}"] }
identity: { internalToken: { algorithm: HS256, key: ${SHARED_SECRET}, audience: internal } }
defaults: { auth: keys }
routes:
  - { name: public, match: { path: "/public/**" }, auth: none, to: u }
  - { name: one, match: { path: "/one/**" }, to: u }
  - { name: any, match: { path: "/any/**" }, auth: { any: [keys, link] }, to: u }
  - { name: all, match: { path: "/all/**" }, auth: { all: [keys, link] }, to: u }
  - { name: optional, match: { path: "/optional/**" }, auth: { optional: keys }, to: u }
  - { name: cookie, match: { path: "/cookie/**" }, auth: cookie, to: u }
  - { name: kept, match: { path: "/kept/**" }, auth: { any: [keys, link], forwardCredentials: true }, to: u }
  - { name: fixed, match: { path: "/fixed/**" }, respond: { body: secret } }
  - { name: moved, match: { path: "/moved/**" }, redirect: { to: /elsewhere } }
  - { name: linked, match: { path: "/linked/**" }, auth: link, redirect: { to: https://www.example.com/new } }
  - { name: pages, match: { path: "/pages/**" }, cors: { origins: ["https://app.example.com"] }, to: u }
  - { name: scoped, match: { path: "/scoped/**" }, authorize: { scopes: { all: ["orders:read"] } }, to: u }
  - { name: admins, match: { path: "/admins/**" }, authorize: { roles: { any: [admin] } }, to: u }
  - { name: asked, match: { path: "/asked/**" }, auth: { optional: keys }, authorize: { groups: { any: [staff] } }, to: u }
  - { name: own, match: { path: "/own/{id}/**" }, authorize: { when: "consumer.id == path.id && method != 'DELETE'" }, to: u }
  - name: tenants
    match: { path: "/tenants/{tenant}/**" }
    auth: { any: [tokens, keys] }
    authorize: { scopes: { any: [write] }, claims: { tenant: "{path.tenant}" } }
    headers: { request: { set: { x-tenant: "{claims.tenant}" } } }
    to: u
  - { name: named, match: { path: "/named/**" }, auth: names, authorize: { groups: { all: ["Domain Users", 7] }, consumers: ["Jürgen Müller"] }, to: u }
  - { name: mine, match: { path: "/mine" }, auth: { optional: keys }, rewrite: { path: "/users/{consumer.id}" }, headers: { request: { set: { x-tier: "{consumer.tier}" } } }, to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

const KEYS_CHALLENGE = 'ApiKey realm="keys", in="header", name="x-api-key"';

let runs = 0;

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly challenges: readonly string[];
}

async function ask(engine: Engine, target: string, headers: readonly string[], method = "GET"): Promise<Answer> {
  rig.report();
  await using client = await rig.connect(engine);
  client.send(`${method} ${target} HTTP/1.1\r\nHost: a.example\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`);
  const response = await client.response(method === "HEAD");
  const isProblem = valuesOf(response, "content-type")[0]?.includes("problem") === true && response.body.length > 0;
  return {
    status: response.status,
    code: isProblem ? String(JSON.parse(response.body.toString()).code) : "",
    challenges: valuesOf(response, "www-authenticate"),
  };
}

const key = (value: string): string => `X-API-Key: ${value}`;
const WEB_SOCKET = [
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];
const MISSING = { status: 401, code: "credentials_missing" };
const INVALID = { status: 401, code: "credentials_invalid" };
const OK = { status: 200 };

describe.each(ENGINES)("%s", (engine) => {
  it.each<[string, string[], object]>([
    ["/public/x", [], OK],
    ["/public/x", [key("anything")], OK],
    ["/one/x", [], MISSING],
    ["/one/x", [key(ANN)], OK],
    ["/one/x", [key("wrong-key-0123456")], INVALID],
    ["/one/x", [key(ANN), key(BEN)], INVALID],
    ["/one/x?key=ann-key-0123456789", [], MISSING],
    ["/any/x", [], MISSING],
    [`/any/x?key=${ANN}`, [], OK],
    [`/any/x?key=${ANN}`, [key("wrong-key-0123456")], OK],
    ["/any/x?key=wrong", [key("wrong-key-0123456")], INVALID],
    ["/any/x?key=wrong", [], INVALID],
    [`/all/x?key=${ANN}`, [], MISSING],
    ["/all/x", [key(ANN)], MISSING],
    [`/all/x?key=${ANN}`, [key(ANN)], OK],
    [`/all/x?key=${ANN}`, [key(BEN)], INVALID],
    ["/optional/x", [], OK],
    ["/optional/x", [key(ANN)], OK],
    ["/optional/x", [key("wrong-key-0123456")], INVALID],
    ["/cookie/x", [`Cookie: a=1; session=${ANN}; b=2`], OK],
    ["/fixed/x", [], MISSING],
    ["/fixed/x", [key(ANN)], OK],
    ["/moved/x", [], MISSING],
    ["/moved/x", [key(ANN)], { status: 308 }],
    ["/scoped/x", [], MISSING],
    ["/scoped/x", [key(ANN)], OK],
    ["/scoped/x", [key(BEN)], { status: 403, code: "insufficient_scope" }],
    ["/admins/x", [key(ANN)], OK],
    ["/admins/x", [key(BEN)], { status: 403, code: "access_denied" }],
    ["/asked/x", [], MISSING],
    ["/asked/x", [key(ANN)], OK],
    ["/asked/x", [key(BEN)], { status: 403, code: "access_denied" }],
    ["/own/ann/x", [key(ANN)], OK],
    ["/own/%61nn/x", [key(ANN)], OK],
    ["/own/ben/x", [key(ANN)], { status: 403, code: "access_denied" }],
    ["/own/ann%2e/x", [key(ANN)], { status: 403, code: "access_denied" }],
    ["/mine", [key(ANN)], OK],
    ["/mine", [], { status: 400, code: "bad_path" }],
  ])("%s with %j", async (target, headers, expected) => {
    expect(await ask(engine, target, headers)).toMatchObject(expected);
  });

  it("HEAD and handshakes are let in by the same rule", async () => {
    expect(await ask(engine, "/one/x", [], "HEAD")).toMatchObject({ status: 401, challenges: [KEYS_CHALLENGE] });
    expect(await ask(engine, "/one/x", [key(ANN)], "HEAD")).toMatchObject(OK);
    expect(await ask(engine, "/one/ws", WEB_SOCKET)).toMatchObject(MISSING);
    expect(await ask(engine, "/own/ann/x", [key(ANN), "Content-Length: 0"], "DELETE")).toMatchObject({ status: 403 });
    const path = `/one/ws-${++runs}`;
    await using client = await rig.connect(engine);
    client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${[key(ANN), ...WEB_SOCKET].join("\r\n")}\r\n\r\n`);
    const { raw } = await rig.upstream.received(path);
    expect(raw).toMatch(/x-consumer-id: ann\r\n/);
    expect(raw).not.toContain(ANN);
  });

  it("a preflight needs no credentials, what follows it does", async () => {
    const origin = "Origin: https://app.example.com";
    expect(await ask(engine, "/pages/x", [origin, "Access-Control-Request-Method: GET"], "OPTIONS")).toMatchObject({ status: 204 });
    expect(await ask(engine, "/pages/x", [origin])).toMatchObject(MISSING);
    expect(await ask(engine, "/one/x", [origin, "Access-Control-Request-Method: GET"], "OPTIONS")).toMatchObject(MISSING);
    expect(await ask(engine, "/pages/x", [origin], "OPTIONS")).toMatchObject(MISSING);
  });

  it("challenges: one for each authenticator that would do", async () => {
    expect((await ask(engine, "/any/x", [])).challenges).toEqual([KEYS_CHALLENGE, 'ApiKey realm="link", in="query", name="key"']);
    expect((await ask(engine, "/asked/x", [])).challenges).toEqual([KEYS_CHALLENGE]);
    expect((await ask(engine, "/admins/x", [key(BEN)])).challenges).toEqual([]);
  });

  it("services learn who is calling, and not by which credential", async () => {
    const path = `/any/up-${++runs}`;
    expect(await ask(engine, `${path}?q=1&key=${ANN}&z=2`, [key("wrong-key-0123456"), "X-Consumer-Roles: root"])).toMatchObject(OK);
    const { raw, target } = await rig.upstream.received(path);
    expect(target).toBe(`${path}?q=1&z=2`);
    expect(raw).not.toMatch(/ann-key|wrong-key|x-api-key|root/i);
    const sent = new Map([...raw.matchAll(/^(x-[a-z-]+): (.*)\r$/gm)].map(([, name = "", value = ""]) => [name, value]));
    expect(Object.fromEntries([...sent].filter(([name]) => name.startsWith("x-consumer-")))).toEqual({
      "x-consumer-id": "ann",
      "x-consumer-tier": "gold",
      "x-consumer-scopes": "orders:read",
      "x-consumer-roles": "user,admin",
      "x-consumer-groups": "staff",
    });
    const { payload } = await jwtVerify(sent.get("x-internal-token") ?? "", Buffer.from(SHARED_SECRET), {
      algorithms: ["HS256"],
      audience: "internal",
    });
    expect(payload).toMatchObject({
      iss: "sluice",
      sub: "ann",
      auth: "link",
      tier: "gold",
      scope: "orders:read",
      roles: ["user", "admin"],
    });
  });

  it("a session cookie goes, the others stay", async () => {
    const path = `/cookie/up-${++runs}`;
    await ask(engine, path, [`Cookie: a=1; session=${ANN}; b=2`]);
    const { raw } = await rig.upstream.received(path);
    expect(raw).toMatch(/cookie: a=1; b=2\r\n/);
    expect(raw).not.toContain(ANN);
  });

  it("a redirect does not hand a credential on", async () => {
    await using client = await rig.connect(engine);
    client.send(`GET /linked/x?q=1&key=${ANN}&z=2 HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    expect(valuesOf(await client.response(), "location")).toEqual(["https://www.example.com/new?q=1&z=2"]);
  });

  it("credentials are forwarded where that was asked for, and where the route looks for none", async () => {
    const kept = `/kept/up-${++runs}`;
    await ask(engine, `${kept}?key=${ANN}`, [key(ANN)]);
    const first = await rig.upstream.received(kept);
    // The first that proves somebody settles it: nobody has looked at the other.
    expect(first.target).toBe(kept);
    expect(first.raw).toContain(`x-api-key: ${ANN}\r\n`);
    const forged = `/kept/up-${++runs}`;
    expect(await ask(engine, `${forged}?q=1&key=${BEN}`, [key("forged-key-0123456")])).toMatchObject(OK);
    const second = await rig.upstream.received(forged);
    expect(second.target).toBe(`${forged}?q=1&key=${BEN}`);
    expect(second.raw).not.toMatch(/x-api-key|forged/i);
    expect(second.raw).toContain("x-consumer-id: ben\r\n");
    const open = `/public/up-${++runs}`;
    await ask(engine, open, [key("for-the-service")]);
    const { raw } = await rig.upstream.received(open);
    expect(raw).toContain("x-api-key: for-the-service\r\n");
    expect(raw).not.toContain("x-consumer-");
  });

  it("tokens: verified while the body arrives, claims compared with the path, challenges as RFC 6750 has them", async () => {
    const token = (claims: object) =>
      new SignJWT({ iss: "https://id.example.com", aud: "api", sub: "dan", ...claims })
        .setProtectedHeader({ alg: "HS256" })
        .setExpirationTime("5m")
        .sign(Buffer.from(TOKEN_SECRET));
    const good = await token({ scope: "read write", tenant: "t1", jti: engine });
    const path = `/tenants/t1/up-${++runs}`;
    await using client = await rig.connect(engine);
    const body = "0123456789".repeat(20_000);
    client.send(
      `POST ${path} HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer ${good}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect((await client.response()).status).toBe(200);
    const received = await rig.upstream.received(path);
    expect(received.raw).toMatch(/x-tenant: t1\r\n/);
    expect(received.raw).toMatch(/x-consumer-id: dan\r\n/);
    expect(received.raw).not.toMatch(/\r\nauthorization:/i);
    expect(received.body.toString()).toBe(body);

    const bearer = (text: string): string[] => [`Authorization: Bearer ${text}`];
    expect(await ask(engine, "/tenants/t2/x", bearer(good))).toMatchObject({ status: 403, code: "access_denied", challenges: [] });
    expect(await ask(engine, "/tenants/t1/x", bearer(await token({ scope: "read", tenant: "t1" })))).toEqual({
      status: 403,
      code: "insufficient_scope",
      challenges: [
        'Bearer realm="tokens", error="insufficient_scope", error_description="the caller lacks a scope that the route demands", scope="write"',
      ],
    });
    const invalid = await ask(engine, "/tenants/t1/x", bearer(`${good.slice(0, -4)}AAAA`));
    expect(invalid).toMatchObject(INVALID);
    expect(invalid.challenges).toEqual([
      expect.stringMatching(/^Bearer realm="tokens", error="invalid_token", error_description="/),
      KEYS_CHALLENGE,
    ]);
    expect(await ask(engine, "/tenants/t1/x", [...bearer(good), ...bearer(good)])).toEqual({
      status: 400,
      code: "credentials_malformed",
      challenges: [
        'Bearer realm="tokens", error="invalid_request", error_description="the request has more than one token"',
        KEYS_CHALLENGE,
      ],
    });
    expect(await ask(engine, "/tenants/t1/x", bearer(""))).toMatchObject(INVALID);
    expect((await ask(engine, "/tenants/t1/x", [])).challenges).toEqual(['Bearer realm="tokens"', KEYS_CHALLENGE]);
    // Without claims there is no tenant.
    expect(await ask(engine, "/tenants/t1/x", [key(ANN)])).toMatchObject({ status: 403 });
  });

  it("names with blanks and beyond ASCII: compared as they are, sent percent-encoded, logged as they are", async () => {
    const token = (claims: object) =>
      new SignJWT({ iss: "https://id.example.com", aud: "api", sub: "Jürgen Müller", jti: engine, ...claims })
        .setProtectedHeader({ alg: "HS256" })
        .setExpirationTime("5m")
        .sign(Buffer.from(TOKEN_SECRET));
    const path = `/named/up-${++runs}`;
    const groups = ["Domain Users", "Büro", 7, { name: "a,b%" }, "bad\nname", ["x"]];
    const good = await token({ groups, roles: { admin: true, guest: false } });
    expect(await ask(engine, path, [`Authorization: Bearer ${good}`])).toMatchObject(OK);
    const { raw } = await rig.upstream.received(path);
    expect(raw).toContain("x-consumer-id: J%C3%BCrgen%20M%C3%BCller\r\n");
    expect(raw).toContain("x-consumer-groups: Domain%20Users,B%C3%BCro,7,a%2Cb%25\r\n");
    expect(raw).toContain("x-consumer-roles: admin\r\n");
    await until("the request is logged", () => rig.gateway.lines().some((line) => line["path"] === path));
    expect(rig.gateway.lines().find((line) => line["path"] === path)).toMatchObject({ consumer: "Jürgen Müller" });
    const other = await token({ groups: ["Domain", "Users", "7"] });
    expect(await ask(engine, path, [`Authorization: Bearer ${other}`])).toMatchObject({ status: 403, code: "access_denied" });
  });

  it("paths and headers may be made of what is proven", async () => {
    const before = rig.upstream.to("/users/ann").length;
    await ask(engine, "/mine", [key(ANN)]);
    expect((await rig.upstream.received("/users/ann", before + 1)).raw).toContain("x-tier: gold\r\n");
  });

  it("the access log names the consumer, and no line of any log has a key", async () => {
    const path = `/any/log-${++runs}`;
    await ask(engine, `${path}?key=${BEN}`, []);
    await ask(engine, path, []);
    const lines = () => rig.gateway.lines().filter((line) => line["path"] === path);
    await until("both are logged", () => lines().length === 2);
    expect(lines().map((line) => [line["consumer"], line["code"]])).toEqual([
      ["ben", null],
      [null, "credentials_missing"],
    ]);
    expect(rig.gateway.output).not.toMatch(/ann-key|ben-key|wrong-key|shared-secret|token-secret/);
  });
});

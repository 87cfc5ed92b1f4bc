import { generateKeyPairSync, hash } from "node:crypto";
import { expect, it } from "vitest";
import { parseConfig } from "../../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../../src/control/config/output/redact.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";

const TEXT = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
admin: { token: hunter2-hunter2-hunter2 }
upstreams: { a: { targets: [{ url: http://a }] } }
routes:
  - name: r
    match: {}
    to: a
    headers: { request: { set: { Authorization: Bearer hunter2, X-Api-Key: hunter2, x-tenant: acme }, remove: [cookie] } }
`;

it("shows what is configured and no secret", () => {
  const result = parseConfig({ texts: [{ file: "c.yaml", text: TEXT }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const shown = JSON.stringify(redactConfig(result.config));
  expect(JSON.stringify(result.config)).toContain("hunter2");
  expect(shown).not.toContain("hunter2");
  expect(shown).toContain("acme");
  expect(JSON.parse(shown)).toMatchObject({
    admin: { token: "***" },
    routes: [{ policies: [{ name: "headers", config: { request: { set: { authorization: "***" }, remove: ["cookie"] } } }] }],
  });
});

it("shows neither the secret of session affinity nor the key that was made of it", () => {
  const secret = "hunter2-0123456789-0123456789-0123456789";
  const text = TEXT.replace("a: { targets", `a: { sticky: { cookie: node, lifetime: 8h, secret: ${secret} }, targets`);
  const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const key = result.config.upstreams[0]?.sticky?.key ?? "";
  expect(key).toHaveLength(43);
  const shown = JSON.stringify(redactConfig(result.config));
  expect(shown).not.toContain(key);
  expect(shown).not.toContain("hunter2");
  expect(shown).toContain("Max-Age=28800");
});

/** Of "x". */
const PASSWORD_HASH = "$argon2id$v=19$m=19456,t=2,p=1$NSJ59tH1nrVpYDz3mUesIQ$onKVMmT87BZcfGYyyRhLy5OdqW492pAkQKJBHPPDufI";

/** Recognisable in every form that it may take. */
const forms = (secret: string): readonly string[] => [
  secret,
  Buffer.from(secret).toString("base64").replace(/=+$/, ""),
  Buffer.from(secret).toString("base64url"),
  Buffer.from(secret).toString("hex"),
];

it("shows no secret of those by which callers prove who they are, nor of the gateway's own", () => {
  const pem = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  const plant = (name: string): string => `hunter2-${name}-0123456789-0123456789-0123456789`;
  const digest = hash("sha256", "some key");
  const text = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }] } }
auth:
  tokens: { jwt: { issuer: "https://id.example.com", audience: api, secret: ${plant("jwt")}, algorithms: [HS256] } }
  keys: { apiKey: { name: x-api-key, pepper: ${plant("pepper")} } }
  opaque: { introspection: { endpoint: "https://id.example.com/ask", clientId: gateway, clientSecret: ${plant("client")} } }
consumers:
  - { id: acme, keys: ["hmac-sha256:${digest}"], signingSecrets: [{ keyId: k1, secret: ${plant("signing")} }], password: "${PASSWORD_HASH}" }
identity: { internalToken: { key: ${JSON.stringify(pem)} } }
defaults: { auth: { any: [tokens, keys, opaque] } }
routes: [{ name: r, match: {}, to: a }]
`;
  const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const shown = JSON.stringify(redactConfig(result.config));
  const pemBody = pem.split("\n")[1] ?? "none";
  for (const secret of [
    ...["jwt", "pepper", "signing", "client"].flatMap((name) => forms(plant(name))),
    digest,
    pemBody,
    PASSWORD_HASH.slice(-20),
    "hunter2",
  ])
    expect(shown, secret).not.toContain(secret);
  // What is no secret stays, so that the answer is worth asking for.
  for (const told of ["https://id.example.com", "x-api-key", "acme", "x-internal-token", "HS256", "k1"]) expect(shown).toContain(told);
});

it("shows no value that a route compares with, no text in a condition, and no query or password of a URL", () => {
  const text = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], health: { active: { path: "/h?key=hunter2" } } } }
auth:
  idp: { jwt: { issuer: https://id.example, audience: api, algorithms: [RS256], jwks: "https://id.example/jwks?code=hunter2" } }
  ask: { introspection: { endpoint: "https://id.example/ask?code=hunter2", clientId: a, clientSecret: hunter2, audience: api } }
routes:
  - name: a
    match: { path: /a, headers: { x-partner: hunter2, x-any: { present: true } }, query: { k: { prefix: hunter2 } } }
    to: a
    auth: { any: [idp, ask] }
    authorize:
      when: >-
        header["x-tenant"] == "hunter2" && header[ "x-b" ] in ["it's hunter2", 'hunter2']
    rewrite: { path: "/b?partner=hunter2" }
    forwardAuth: { url: "https://auth.example/verify?code=hunter2", expect: { headers: { x-shared: hunter2 } } }
    headers:
      request: [{ set: { x-auth: hunter2, x-session-id: hunter2, x-team: blue } }, { when: 'header["x-c"] == "hunter2"', set: { x-key: hunter2 } }]
      response: { when: 'response.header["x-d"] == "hunter2"', set: { set-cookie: hunter2 } }
    query: [{ when: 'query.e == "hunter2"', set: { token: hunter2 } }]
  - name: b
    match: { path: /b }
    auth: none
    redirect: { to: "https://x.example/here?t=hunter2" }
  - { name: c, match: { path: /c }, auth: none, respond: { headers: { x-key: hunter2, x-made-by: us } } }
  - name: d
    match: { path: /d }
    auth: none
    aggregate:
      leg: { to: a, path: "/part?x=hunter2", method: POST, query: { api_key: hunter2, page: first }, headers: { authorization: Bearer hunter2, x-team: green }, body: { json: { token: hunter2 } } }
`;
  const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const shown = JSON.stringify(redactConfig(result.config));
  expect(shown).not.toContain("hunter2");
  for (const told of [
    "x-partner",
    "x-tenant",
    "x-b",
    "x-c",
    "x-d",
    "query.e",
    "blue",
    "x-made-by",
    "us",
    "/part?***",
    "first",
    "green",
    "/b?***",
    "/h?***",
    "https://id.example/jwks?***",
    "https://x.example/here?***",
  ])
    expect(shown).toContain(told);
});

it("does not show a condition at all whose texts are written with escapes", () => {
  const text = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
auth: { keys: { apiKey: { name: x-api-key } } }
routes: [{ name: a, match: {}, auth: keys, authorize: { when: 'header["x-a"] == "\\"hunter2"' }, respond: {} }]
`;
  const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  expect(JSON.stringify(redactConfig(result.config))).not.toContain("hunter2");
});

// What Connection may name: nothing that an authenticator of the plan reads, in whatever kind and spelling, and nothing that the gateway answers for.
import { expect, test } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { ConnectionRules } from "../../../../../src/data/exchange/client/connection-rules.ts";
import { BASE, good } from "../../../../support/config-text.ts";

const SECTIONS = `defaults: { auth: none, forwardAuth: { url: http://auth/, requestHeaders: [x-decides] } }
identity: { headers: { consumer: x-user }, protect: [x-remote-user] }
auth:
  tokens: { jwt: { in: header, name: X-Token, issuer: "https://id.example", audience: a, algorithms: [HS256], secret: "0123456789abcdef0123456789abcdef" } }
  keys: { apiKey: { name: x-shop-key } }
  cookies: { apiKey: { in: cookie, name: x-in-a-cookie } }
  oauth: { introspection: { endpoint: "https://id.example/i", clientId: a, clientSecret: b, in: header, name: x-opaque } }
  sso: { forwardAuth: { url: http://sso/, name: x-sso, requestHeaders: [x-device], identity: { consumer: x-who } } }
  signed: { signature: { components: ["@method", "@path", x-order] } }
`;

const rules = new ConnectionRules(compilePlan(good([`${BASE}${SECTIONS}`]).config, { version: 1, metricSlot: () => 0 }));

test.each([
  "x-token",
  "x_token",
  "x-shop-key",
  "x-opaque",
  "x-sso",
  "x-device",
  "x-decides",
  "signature",
  "signature-input",
  "content-digest",
  "x-order",
  "x-user",
  "x-remote-user",
])("%s belongs to the plan", (name) => expect(rules.mayName(name)).toBe(false));

test.each([
  "x-consumer-id",
  "host",
  "content-length",
  "transfer-encoding",
  "authorization",
  "cookie",
  "expect",
  "x-request-id",
  "x-forwarded-x",
])("%s belongs to the gateway", (name) => expect(rules.mayName(name)).toBe(false));

test.each(["x-amount", "x-in-a-cookie", "accept", "te", "@method"])("%s may be named", (name) => expect(rules.mayName(name)).toBe(true));

// Measures the CPU a request costs without authentication, with a remembered JWT and with an API key: one gateway, interleaved rounds, medians.
// Run: npm run -s build && node bench/auth-cpu.ts. ROUNDS and SECONDS (of each round) may be set in the environment.
import { createHash } from "node:crypto";
import { startOrigin } from "../native-bench/peers/origin.ts";
import { ISSUER, signingKey, token } from "../test/support/jwt.ts";
import { printAddedCpu } from "./added-cpu.ts";

const PORTS = { gateway: 19_320, origin: 19_321 };
const API_KEY = "sk_a-key-of-this-benchmark-only";

const key = signingKey("RS256", "k1");
const jwt = token(key, { roles: ["admin", "user"], email: "alice@example.com", realm_access: { roles: ["a", "b", "c"] } });

/** All send the same headers: those of the other kinds must be carried by every request alike. */
const headers = { authorization: `Bearer ${jwt}`, "x-api-key": API_KEY };

const configuration = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: false
defaults: { accessLog: false }
upstreams: { app: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] } }
consumers: [{ id: acme, keys: ["sha256:${createHash("sha256").update(API_KEY).digest("hex")}"] }]
auth:
  corp: { jwt: { issuer: "${ISSUER}", audience: api, keys: ${JSON.stringify({ keys: [key.jwk] })}, algorithms: [RS256] } }
  partners: { apiKey: { in: header, name: x-api-key } }
routes:
  - { name: none, match: { path: /none }, auth: none, to: app }
  - { name: jwt, match: { path: /jwt }, auth: corp, to: app }
  - { name: key, match: { path: /key }, auth: partners, to: app }
`;

await printAddedCpu({
  port: PORTS.gateway,
  configuration,
  routes: ["none", "jwt", "key"],
  headers,
  start: async (directory) => [await startOrigin(directory, PORTS.origin)],
});

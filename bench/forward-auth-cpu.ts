// Measures the CPU that a request costs the gateway without a subrequest to a service, with one, and with a decision that is kept: one gateway,
// interleaved rounds, medians. Run: npm run -s build && node bench/forward-auth-cpu.ts. ROUNDS and SECONDS (of each round) may be set in the environment.
import { startOrigin } from "../native-bench/peers/origin.ts";
import { printAddedCpu } from "./added-cpu.ts";

const PORTS = { gateway: 19_330, origin: 19_331, service: 19_332 };

/** All send the same headers. */
const headers = { authorization: "Bearer abcdefghijklmnopqrstuvwxyz", cookie: "session=0123456789abcdef; theme=dark" };

const service = `url: "http://127.0.0.1:${PORTS.service}/verify", responseHeaders: [x-user]`;
const configuration = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: false
defaults: { accessLog: false }
upstreams: { app: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] } }
routes:
  - { name: none, match: { path: /none }, to: app }
  - { name: asked, match: { path: /asked }, forwardAuth: { ${service} }, to: app }
  - { name: kept, match: { path: /kept }, forwardAuth: { ${service}, cache: { for: 1h } }, to: app }
`;

await printAddedCpu({
  port: PORTS.gateway,
  configuration,
  routes: ["none", "asked", "kept"],
  headers,
  start: async (directory) => [await startOrigin(directory, PORTS.origin), await startOrigin(directory, PORTS.service, "service")],
});

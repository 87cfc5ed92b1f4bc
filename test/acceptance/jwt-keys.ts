// `npm run acceptance:keys`: a real OpenID Connect provider before the gateway, under wrk. Its keys rotate: no valid token may be refused, after one
// fetch. A million tokens with random keys: one fetch a cooldown at most. The provider goes away: the keys at hand verify on. Exits 1 otherwise.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runWrk } from "../../native-bench/measure/wrk.ts";
import { startOrigin } from "../../native-bench/peers/origin.ts";
import type { Peer } from "../../native-bench/peers/peer.ts";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { b64 } from "../support/jwt.ts";
import { OidcServer } from "../support/oidc.ts";

const REQUESTS = Number(process.env["REQUESTS"] ?? 1_000_000);
const SECONDS = Number(process.env["SECONDS"] ?? 10);
const CONNECTIONS = 64;
const COOLDOWN_S = 10;
const PORTS = { gateway: 19_310, origin: 19_311 };

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
fs.chmodSync(directory, 0o755);
const running: Peer[] = [];
const startedMs = performance.now();
const say = (text: string): void => console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);
const failed = (what: string): void => {
  say(`FAILED: ${what}`);
  process.exitCode = 1;
};

function lua(name: string, text: string): string {
  const file = path.join(directory, name);
  fs.writeFileSync(file, text);
  return file;
}

/** Tokens in turn. */
const inTurn = (name: string, tokens: readonly string[]): string =>
  lua(
    name,
    `local tokens = { ${tokens.map((each) => `"${each}"`).join(", ")} }
local i = 0
request = function()
  i = i % #tokens + 1
  return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. tokens[i] })
end
`,
  );

const MARK = "KIDKIDKIDKID";

/** Tokens with a random `kid` of 12 characters, which are 16 of base64url. */
function randomKeys(valid: string): string {
  const [, payload = "", signature = ""] = valid.split(".");
  // Three bytes make four characters, so the mark must begin at a multiple of three.
  const header = ["", "x", "xx"]
    .map((x) => JSON.stringify({ alg: "RS256", typ: "at+jwt", x, kid: MARK }))
    .find((text) => text.indexOf(MARK) % 3 === 0);
  const marked = b64(header ?? "");
  const at = marked.indexOf(b64(MARK));
  const groups = Array.from({ length: 1000 }, (_, i) => b64(String(i).padStart(3, "0")));
  return lua(
    "random.lua",
    `local g = { ${groups.map((each) => `"${each}"`).join(", ")} }
math.randomseed(os.time())
local function pick() return g[math.random(#g)] end
request = function()
  local token = "${marked.slice(0, at)}" .. pick() .. pick() .. pick() .. pick() .. "${marked.slice(at + 16)}.${payload}.${signature}"
  return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
end
`,
  );
}

const oidc = await OidcServer.start();
try {
  running.push(await startOrigin(directory, PORTS.origin));
  const gateway = await startSluiceWith(
    directory,
    PORTS.gateway,
    `version: 1
workers: 2
listeners: [{ address: 127.0.0.1:${PORTS.gateway} }]
admin: false
defaults: { accessLog: false }
upstreams: { app: { targets: [{ url: "http://127.0.0.1:${PORTS.origin}" }] } }
auth:
  corp:
    jwt: { issuer: "${oidc.issuer}", audience: api, discovery: true, algorithms: [RS256], keyFetch: { cooldown: ${COOLDOWN_S}s, refreshMin: 1s, refreshMax: 1h } }
routes: [{ name: all, match: { path: /** }, auth: corp, to: app }]
`,
  );
  running.push(gateway);
  const load = { url: gateway.url, seconds: SECONDS, connections: CONNECTIONS };

  const old = runWrk({ ...load, script: inTurn("old.lua", await oidc.tokens(50)) });
  const before = oidc.fetches;
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 300));
  oidc.rotate("k2");
  const young = runWrk({ ...load, seconds: Math.ceil(SECONDS / 2), script: inTurn("young.lua", await oidc.tokens(50)) });
  const [first, second] = [await old, await young];
  say(
    `rotation: ${first.requests} requests with old and ${second.requests} with new tokens, ${first.failedStatus + second.failedStatus} refused, ${oidc.fetches - before} fetches`,
  );
  if (first.failedStatus + second.failedStatus > 0 || second.requests === 0 || oidc.fetches - before !== 1)
    failed("a valid token was refused, or more than one fetch");

  const script = randomKeys(await oidc.token());
  const [fetched, floodMs] = [oidc.fetches, performance.now()];
  let asked = 0;
  let refused = 0;
  while (asked < REQUESTS) {
    const round = await runWrk({ ...load, script });
    asked += round.requests;
    refused += round.failedStatus;
  }
  const cooldowns = Math.ceil((performance.now() - floodMs) / 1000 / COOLDOWN_S);
  say(`random keys: ${asked} requests, ${refused} refused, ${oidc.fetches - fetched} fetches in ${cooldowns} cooldowns`);
  if (refused !== asked || oidc.fetches - fetched > cooldowns) failed("let through, or too many fetches");

  const fresh = inTurn("down.lua", await oidc.tokens(200));
  await oidc.stop();
  const down = await runWrk({ ...load, script: fresh });
  say(`provider down: ${down.requests} requests with tokens never seen before, ${down.failedStatus} refused`);
  if (down.failedStatus > 0 || down.requests === 0) failed("a valid token was refused");
} finally {
  await Promise.all(running.map((peer) => peer.stop()));
  await oidc[Symbol.asyncDispose]();
  fs.rmSync(directory, { recursive: true, force: true });
}

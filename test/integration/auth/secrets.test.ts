// Secrets are planted wherever a configuration may hold one, and looked for wherever a gateway may say something: logs, admin answers, problem bodies,
// responses, process listings, the messages of `validate` and of a refused reload.
import { spawnSync } from "node:child_process";
import { generateKeyPairSync, hash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { expect, it, onTestFailed } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

const plant = (name: string): string => `hunter2-${name}-0123456789-0123456789-0123456789`;
const NAMES = ["admin", "jwt", "client", "pepper", "signing", "apikey", "token", "password", "upstream"] as const;
const pem = generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString();
const digest = hash("sha256", plant("apikey"));

/** In every form that a secret may take on its way. */
const FORBIDDEN = [
  ...NAMES.flatMap((name) => {
    const bytes = Buffer.from(plant(name));
    return [plant(name), bytes.toString("base64").replace(/=+$/, ""), bytes.toString("base64url"), bytes.toString("hex")];
  }),
  pem.split("\n")[1] ?? "",
  digest,
];

function expectNoSecret(where: string, text: string): void {
  for (const secret of FORBIDDEN) if (text.includes(secret)) throw new Error(`${where} has ${secret}:\n${text}`);
}

const CONFIG = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0, token: "\${ADMIN_TOKEN}" }
upstreams: { u: { targets: [{ url: http://127.0.0.1:9 }] } }
auth:
  tokens: { jwt: { issuer: "https://id.example.com", audience: api, secret: file:jwt.secret, algorithms: [HS256] } }
  keys: { apiKey: { name: x-api-key, pepper: ${plant("pepper")} } }
  opaque: { introspection: { endpoint: "http://127.0.0.1:9/ask", clientId: gateway, clientSecret: file:client.secret, in: query, name: ticket } }
  link: { apiKey: { in: query, name: key } }
consumers:
  - { id: acme, keys: ["sha256:${digest}"], signingSecrets: [{ keyId: k1, secret: file:signing.secret }] }
identity: { internalToken: { key: file:internal.pem } }
defaults: { auth: { any: [tokens, keys, link, opaque] } }
routes:
  - { name: r, match: { path: "/r/**" }, respond: { body: hello } }
  - name: up
    match: { path: "/up/**" }
    headers: { request: { set: { authorization: "Bearer ${plant("upstream")}" } } }
    to: u
`;

it("no secret is said anywhere", async () => {
  await using gateway = await Gateway.start({
    config: CONFIG,
    files: { "jwt.secret": `${plant("jwt")}\n`, "signing.secret": plant("signing"), "client.secret": plant("client"), "internal.pem": pem },
    env: { ADMIN_TOKEN: plant("admin") },
  });
  onTestFailed(() => console.error(gateway.report()));
  await until("the admin listener is there", () => gateway.adminUrl !== "");

  const ask = async (target: string, headers: Record<string, string>, expected: number): Promise<void> => {
    const response = await fetch(gateway.url + target, { headers, redirect: "manual" });
    const text = await response.text();
    expect(response.status, `${target} ${text}`).toBe(expected);
    expectNoSecret(`the answer to ${target}`, `${JSON.stringify([...response.headers])} ${text}`);
  };
  await ask("/r/x", { "x-api-key": plant("apikey") }, 200);
  await ask(`/r/x?key=${plant("apikey")}`, {}, 200);
  await ask("/r/x", { "x-api-key": plant("password") }, 401);
  await ask(`/r/x?key=${plant("password")}`, {}, 401);
  await ask("/r/x", { authorization: `Bearer ${plant("token")}` }, 401);
  await ask("/r/x", { authorization: `Basic ${Buffer.from(`acme:${plant("password")}`).toString("base64")}` }, 401);
  await ask("/r/x", { "x-api-key": plant("apikey"), "x-api_key": plant("password") }, 401);
  await ask(`/r/x?ticket=${plant("token")}`, {}, 503);
  await ask("/up/x", { "x-api-key": plant("apikey") }, 502);

  const admin = { authorization: `Bearer ${plant("admin")}`, connection: "close" };
  for (const page of [
    "/",
    "/config",
    "/routes",
    "/upstreams",
    "/workers",
    "/status",
    "/metrics",
    "/identity/jwks",
    "/healthz",
    "/readyz",
  ]) {
    const response = await fetch(gateway.adminUrl + page, { headers: admin });
    expect(response.status, page).toBe(200);
    expectNoSecret(page, await response.text());
  }
  const shown = await (await fetch(`${gateway.adminUrl}/config`, { headers: admin })).text();
  expect(shown).toContain("x-internal-token");

  // A reload that is refused because of the secrets themselves.
  fs.writeFileSync(path.join(gateway.directory, "internal.pem"), `${plant("token")}\n`);
  fs.writeFileSync(path.join(gateway.directory, "signing.secret"), plant("signing").slice(0, 20));
  const refused = await fetch(`${gateway.adminUrl}/reload`, { method: "POST", headers: admin });
  const reasons = await refused.text();
  expect(reasons).toContain("expected an Ed25519 private key in PEM");
  expectNoSecret("the refused reload", reasons);
  expect(reasons).not.toContain("hunter2");

  const command = [path.join(import.meta.dirname, "../../../src/main.ts"), "validate", "-c", gateway.configFile];
  const validated = spawnSync(process.execPath, command, { encoding: "utf8", env: { ...process.env, ADMIN_TOKEN: plant("admin") } });
  expect(validated.status).toBe(1);
  expect(validated.stdout + validated.stderr).toContain("expected an Ed25519 private key in PEM");
  expect(validated.stdout + validated.stderr).not.toContain("hunter2");

  const listing = commandLines();
  expect(listing).toContain(gateway.configFile);
  expectNoSecret("the process listing", listing);

  await until("everything is logged", () => gateway.lines().filter((line) => line["path"] !== undefined).length >= 8);
  expectNoSecret("the logs", gateway.output);
  for (const name of fs.readdirSync(gateway.runDirectory).filter((each) => each.endsWith(".json")))
    expectNoSecret(name, fs.readFileSync(path.join(gateway.runDirectory, name), "utf8"));
});

/** Of every process, as `ps -eo args` has them; that one is not on every machine. */
function commandLines(): string {
  const pids = fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(commandLineOf).join("\n");
}

function commandLineOf(pid: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // it has ended meanwhile
  }
}

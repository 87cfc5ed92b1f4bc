// Nobody gets another's answer: callers by several authenticators, one consumer with other roles, what a service decides, templates; over random requests with
// reloads, invalidations, evictions and workers that die. `npm run acceptance:cache` does it with a million and every kind of request.
import { createHash } from "node:crypto";
import http from "node:http";
import { expect, test } from "vitest";
import { type Answering, CountingOrigin } from "../../support/counting-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { seededRandom } from "../../support/upstreams.ts";

const REQUESTS = Number(process.env["CACHE_REQUESTS"] ?? 4000);
const AT_ONCE = 32;
const TIMEOUT_MS = Math.max(120_000, REQUESTS * 10);
const PATHS = 60;
const PADDING = "p".repeat(12_000);
const KEYS = { acme: "key-of-acme-0123456789abcdef", bolt: "key-of-bolt-0123456789abcdef" } as const;
const hashOf = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

/** What the services are: one that decides about sessions (`user/role`), and one that says to whom it answers. */
function answer({ request, response }: Answering): void {
  const { url = "", headers } = request;
  const [user = "", role = ""] = String(headers["x-session"] ?? "").split("/");
  if (url === "/judge" || url === "/decide") {
    if (role === "") response.writeHead(401).end();
    else response.writeHead(200, { "x-user": user, "x-roles": role, "x-tenant": `${user}.${role}` }).end();
    return;
  }
  const told = ["x-consumer", "x-roles-of", "x-by", "x-tenant", "x-person"].map((name) => headers[name] ?? null);
  const body = JSON.stringify([url, ...told, PADDING]);
  const control = ["max-age=60", "max-age=60", "max-age=60", "max-age=0", "private"][body.length % 5] ?? "max-age=60";
  response.writeHead(200, { "cache-control": control, etag: `"${createHash("sha256").update(body).digest("hex")}"` }).end(body);
}

const config = (port: number): string => `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
cache: { memory: 8MiB, maxObject: 64KiB }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
auth:
  keys: { apiKey: { in: header, name: x-api-key } }
  bearer-keys: { apiKey: { from: [{ header: authorization, scheme: Bearer }] } }
  judge: { forwardAuth: { url: "http://127.0.0.1:${port}/judge", name: x-session, identity: { consumer: x-user, roles: x-roles } } }
consumers:
  - { id: acme, keys: ["${hashOf(KEYS.acme)}"] }
  - { id: bolt, keys: ["${hashOf(KEYS.bolt)}"] }
identity: { headers: { consumer: x-consumer, roles: x-roles-of, authenticator: x-by }, protect: [x-tenant] }
defaults: { auth: none }
routes:
  - name: own
    match: { path: /own/** }
    auth: { any: [keys, bearer-keys, judge] }
    headers: { request: { set: { x-person: "{consumer.id}!{header.x-who}" } } }
    cache: {}
    to: o
  - { name: maybe, match: { path: /maybe/** }, auth: { optional: keys }, cache: {}, to: o }
  - name: decided
    match: { path: /decided/** }
    forwardAuth: { url: "http://127.0.0.1:${port}/decide", requestHeaders: [x-session], responseHeaders: [x-tenant] }
    cache: {}
    to: o
`;

interface Caller {
  readonly headers: Readonly<Record<string, string>>;
  /** Consumer, roles, authenticator, tenant, person, as the service is told. */
  readonly told: readonly (string | null)[];
}

const callers: Readonly<Record<string, readonly Caller[]>> = {
  own: ["ann", "bob"].flatMap((who): readonly Caller[] => [
    ...(["acme", "bolt"] as const).flatMap((name): readonly Caller[] => [
      { headers: { "x-api-key": KEYS[name], "x-who": who }, told: [name, null, "keys", null, `${name}!${who}`] },
      { headers: { authorization: `Bearer ${KEYS[name]}`, "x-who": who }, told: [name, null, "bearer-keys", null, `${name}!${who}`] },
    ]),
    ...["admin", "user"].map(
      (role): Caller => ({ headers: { "x-session": `acme2/${role}`, "x-who": who }, told: ["acme2", role, "judge", null, `acme2!${who}`] }),
    ),
  ]),
  maybe: [
    { headers: { "x-api-key": KEYS.acme }, told: ["acme", null, "keys", null, null] },
    { headers: { "x-api-key": KEYS.bolt }, told: ["bolt", null, "keys", null, null] },
    { headers: {}, told: [null, null, null, null, null] },
  ],
  decided: ["a/x", "a/y", "b/x"].map(
    (session): Caller => ({ headers: { "x-session": session }, told: [null, null, null, session.replace("/", "."), null] }),
  ),
};

interface Got {
  readonly status: number;
  readonly how: string;
  readonly body: string;
}

function ask(url: URL, options: http.RequestOptions): Promise<Got | null> {
  return new Promise((resolve) => {
    const request = http.request(url, options, (response) => {
      let body = "";
      response.setEncoding("latin1").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, how: String(response.headers["cache-status"]), body }));
      response.on("error", () => resolve(null));
    });
    request.on("error", () => resolve(null)); // of a worker that died
    request.end();
  });
}

test("over random requests, reloads, invalidations, evictions and workers that die", { timeout: TIMEOUT_MS }, async () => {
  await using origin = await CountingOrigin.start(answer);
  await using gateway = await Gateway.start({ config: config(origin.port) });
  const random = seededRandom(5);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE * 2 });
  let asked = 0;
  let hits = 0;
  const lost: string[] = [];
  const client = async (): Promise<void> => {
    while (asked < REQUESTS) {
      const number = asked++;
      if (number % 1000 === 500) await gateway.admin("POST", "/reload");
      if (number === Math.floor(REQUESTS / 2)) await gateway.admin("POST", "/debug/crash?worker=0");
      const route = pick(Object.keys(callers));
      const caller = pick(callers[route] ?? []);
      const path = `/${route}/${Math.floor(random() ** 2 * PATHS)}`;
      const method = random() < 0.01 ? "POST" : "GET";
      const isReload = random() < 0.05;
      const headers = { ...caller.headers, ...(isReload ? { "cache-control": "no-cache" } : {}) };
      const got = await ask(new URL(path, pick(gateway.urls)), { method, headers, agent });
      if (got === null || got.status !== 200)
        lost.push(
          `${number} ${method} ${path} ${got === null ? "cut" : `${got.status} ${JSON.stringify(caller.headers)} ${got.body.slice(0, 300)}`}`,
        );
      else {
        expect(JSON.parse(got.body)).toEqual([path, ...caller.told, PADDING]);
        if (got.how.startsWith("sluice; hit")) hits++;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  agent.destroy();
  expect(hits).toBeGreaterThan(REQUESTS / 20);
  expect(lost.slice(AT_ONCE * 4)).toEqual([]); // those of the worker that died
});

// A split that callers stay with: on both engines, in several workers, for WebSockets, and while weights change.
import { createHash } from "node:crypto";
import fs from "node:fs";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { Service } from "../../support/service.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

const CALLERS = 60;
let stable: Service;
let canary: Service;
let sockets: WebSocketOrigin[];
let gateway: Gateway;

const KEYS = ["initech", "globex", "acme"].map((id) => [id, `key-of-${id}`] as const);

const hashOf = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

const config = (stableWeight: number): string => `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers:
${KEYS.map(([id, key]) => `  - { id: ${id}, keys: [ "${hashOf(key)}" ] }\n`).join("")}
upstreams:
  stable: { targets: [ { url: "http://127.0.0.1:${stable.port}" } ] }
  canary: { targets: [ { url: "http://127.0.0.1:${canary.port}" } ] }
  ws-a: { targets: [ { url: "http://127.0.0.1:${sockets[0]?.port}" } ] }
  ws-b: { targets: [ { url: "http://127.0.0.1:${sockets[1]?.port}" } ] }
defaults: { auth: none }
routes:
${[
  ["header", "{ header: x-user }", ""],
  ["cookie", "{ cookie: sid }", ""],
  ["consumer", "consumer", ", auth: keys"],
]
  .map(
    ([name, by, more]) =>
      `  - { name: ${name}, match: { path: "/${name}/**" }, weighted: [ { upstream: stable, weight: ${stableWeight} }, { upstream: canary, weight: ${100 - stableWeight} } ], stickyBy: ${by}${more} }\n`,
  )
  .join("")}
  - { name: ws, match: { path: "/ws/**" }, weighted: [ { upstream: ws-a }, { upstream: ws-b } ], stickyBy: { header: x-user } }
`;

beforeAll(async () => {
  [stable, canary] = (await Service.startAll(["stable", "canary"])) as [Service, Service];
  sockets = [await WebSocketOrigin.start(), await WebSocketOrigin.start()];
  gateway = await Gateway.start({ config: config(50) });
});
afterAll(async () => {
  for (const each of [gateway, stable, canary, ...sockets]) await each[Symbol.asyncDispose]();
});

const portOf = (engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

/** Who answers; each request on a connection of its own, so that any worker may have it. */
async function answerer(engine: Engine, target: string, field: string): Promise<string> {
  await using client = await RawClient.connect(portOf(engine));
  client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n${field}\r\nConnection: close\r\n\r\n`);
  return (await client.response()).body.toString();
}

const FIELDS: readonly (readonly [route: string, field: (i: number) => string])[] = [
  ["header", (i) => `X-User: user-${i}`],
  ["cookie", (i) => `Cookie: a=b; sid=user-${i}`],
  ["consumer", (i) => `X-Api-Key: ${KEYS[i % KEYS.length]?.[1]}`],
];

describe.each(ENGINES)("%s", (engine) => {
  it.each(FIELDS)("each caller stays with what it was given, in every worker: by %s", async (route, field) => {
    onTestFailed(() => console.error(gateway.report()));
    const places = new Map<string, Set<string>>();
    for (let round = 0; round < 4; round++)
      for (let i = 0; i < 12; i++) {
        const one = places.get(field(i)) ?? new Set();
        places.set(field(i), one.add(await answerer(engine, `/${route}/${round}`, field(i))));
      }
    for (const [, found] of places) expect(found.size).toBe(1);
    if (route !== "consumer") expect(new Set([...places.values()].flatMap((found) => [...found]))).toEqual(new Set(["stable", "canary"]));
  });

  it("requests without the value are split by chance", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const found = new Set<string>();
    for (let i = 0; i < 200 && found.size < 2; i++) found.add(await answerer(engine, "/header/none", "X-Other: 1"));
    expect(found).toEqual(new Set(["stable", "canary"]));
  });

  it("a WebSocket goes where its caller's requests go", async () => {
    onTestFailed(() => console.error(gateway.report()));
    for (const user of ["one", "two", "three"]) {
      const ports = new Set<number>();
      for (let i = 0; i < 3; i++) {
        const target = `/ws/${engine}-${user}-${i}`;
        await using client = new WebSocketClient(`ws://127.0.0.1:${portOf(engine)}${target}`, { headers: { "x-user": user } });
        await expect.poll(() => sockets.some((each) => each.served.some(({ request }) => request.url === target))).toBe(true);
        expect(client.refusal).toBeNull();
        for (const each of sockets) if (each.served.some(({ request }) => request.url === target)) ports.add(each.port);
      }
      expect(ports.size).toBe(1);
    }
  });
});

it("when weights change, callers move to the upstream that has won share, and none the other way", async () => {
  onTestFailed(() => console.error(gateway.report()));
  const all = async (): Promise<string[]> => {
    const found: string[] = [];
    for (let i = 0; i < CALLERS; i++) found.push(await answerer("uws", "/header/x", `X-User: user-${i}`));
    return found;
  };
  const before = await all();
  const reloads = gateway.lines("reloaded").length;
  fs.writeFileSync(gateway.configFile, config(20));
  await gateway.said("reloaded", reloads + 1);
  const after = await all();
  const moves = new Set(before.flatMap((place, i) => (place === after[i] ? [] : [`${place} > ${after[i]}`])));
  expect([...moves]).toEqual(["stable > canary"]);
});

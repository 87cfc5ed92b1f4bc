// The order of policies as clients see it, in every combination: what needs no caller comes before what asks for one. The order itself stands in
// docs/configuration.md; here is a model of it that is as simple as its list.
import { hash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES, type Engine } from "../../support/both-engines.ts";
import { field, type RawClient } from "../../support/raw-client.ts";

/** What a route may have, in the order in which it answers, and what it answers then. */
const ORDER = {
  ip: "403 ip_denied",
  https: "308 https://shop.example",
  cors: "204",
  early: "429 quota_exceeded",
  addresses: "403 access_denied: the route may not be used from this address",
  auth: "401 credentials_missing",
  consumers: "403 access_denied: the route is for other callers",
  late: "429 quota_exceeded",
  moved: "308 /elsewhere",
} as const;
type Part = keyof typeof ORDER;
const PARTS = Object.keys(ORDER) as readonly Part[]; // of the object right above

const KEYS: Readonly<Record<Part, string>> = {
  ip: "ip: { deny: [203.0.113.66] }",
  https: "https: true",
  cors: "cors: { origins: [https://app.example.com] }",
  early: "{ per: { header: x-bucket }, quota: 1/day }",
  addresses: "ip: [203.0.113.0/28]",
  auth: "auth: keys",
  consumers: "consumers: [spent-uws, spent-net, fresh-uws, fresh-net]",
  late: "{ per: consumer, quota: 1/day }",
  moved: "to: /elsewhere",
};

/** Parts that share a key of the route. */
const wrapped = (key: string, open: string, parts: readonly string[], close: string): string[] =>
  parts.length === 0 ? [] : [`${key}: ${open} ${parts.join(", ")} ${close}`];

function routeWith(parts: readonly Part[]): string {
  const having = (...some: readonly Part[]): string[] => parts.filter((part) => some.includes(part)).map((part) => KEYS[part]);
  const keys = [
    ...having("ip", "cors", "auth"),
    ...wrapped("redirect", "{", having("https", "moved"), "}"),
    ...wrapped("rateLimit", "[", having("early", "late"), "]"),
    ...wrapped("authorize", "{", having("addresses", "consumers"), "}"),
    ...(parts.includes("moved") ? [] : ["to: u"]),
  ];
  return `  - { name: ${nameOf(parts)}, match: { path: /${nameOf(parts)} }, ${keys.join(", ")} }`;
}
const nameOf = (parts: readonly Part[]): string => ["r", ...parts].join("-");

/** Every subset; who is told apart by caller must ask for one. */
const COMBINATIONS = Array.from({ length: 2 ** PARTS.length }, (_, bits) => PARTS.filter((_, i) => (bits & (1 << i)) !== 0)).filter(
  (parts) => parts.includes("auth") || !(parts.includes("consumers") || parts.includes("late")),
);

const keyOf = (consumer: string): string => `${consumer}-key-0123456789`;
const CONSUMERS = ENGINES.flatMap((engine) => ["spent", "fresh", "other"].map((name) => `${name}-${engine}`));

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `trustedProxies: [ 127.0.0.1 ]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
auth:
  keys: { apiKey: { name: x-api-key } }
  link: { apiKey: { in: query, name: key } }
consumers:
${CONSUMERS.map((id) => `  - { id: ${id}, keys: ["sha256:${hash("sha256", keyOf(id))}"] }`).join("\n")}
defaults: { auth: none }
routes:
${COMBINATIONS.map(routeWith).join("\n")}
  - { name: linked, match: { path: /linked }, auth: link, redirect: { https: true }, to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Routes that are tried side by side: tests wait for answers by looking every few milliseconds. */
const LANES = 16;

let buckets = 0;

/** A request that all parts in `against` would answer, and no others. */
function request(path: string, engine: Engine, against: ReadonlySet<Part>): string {
  const consumer = against.has("consumers") ? "other" : against.has("late") ? "spent" : "fresh";
  const lines = [
    `X-Forwarded-For: ${against.has("ip") ? "203.0.113.66" : against.has("addresses") ? "192.0.2.1" : "203.0.113.7"}`,
    `X-Forwarded-Proto: ${against.has("https") ? "http" : "https"}`,
    `X-Bucket: ${against.has("early") ? `spent-${engine}` : `fresh-${++buckets}`}`,
    ...(against.has("auth") ? [] : [`X-API-Key: ${keyOf(`${consumer}-${engine}`)}`]),
    ...(against.has("cors") ? ["Origin: https://app.example.com", "Access-Control-Request-Method: GET"] : []),
  ];
  return `${against.has("cors") ? "OPTIONS" : "GET"} ${path} HTTP/1.1\r\nHost: shop.example\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** Status, and where to or why. */
async function answer(client: RawClient, bytes: string): Promise<string> {
  client.send(bytes);
  const response = await client.response();
  const location = field(response, "location");
  if (location !== undefined) return `${response.status} ${location}`;
  if (field(response, "content-type") !== "application/problem+json") return String(response.status);
  const { code, detail } = JSON.parse(response.body.toString()) as { readonly code: string; readonly detail: string }; // every problem has both
  return code === "access_denied" ? `${response.status} ${code}: ${detail}` : `${response.status} ${code}`;
}

/** Of each route in turn: what stands in the way of a request is taken out of it one by one. @returns answers that are not the expected ones */
async function judge(engine: Engine, combinations: readonly (readonly Part[])[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  await using client = await rig.connect(engine);
  for (const parts of combinations) {
    const path = `/${nameOf(parts)}`;
    // Spends the limits.
    await answer(client, request(path, engine, new Set(["late"])).replace(/X-Bucket: .*/, `X-Bucket: spent-${engine}`));
    const against = new Set(parts);
    for (;;) {
      const first = PARTS.find((part) => against.has(part));
      const expected = first === undefined ? "200" : first === "https" ? `${ORDER.https}${path}` : ORDER[first];
      const got = await answer(client, request(path, engine, against));
      if (got !== expected) wrong.push(`${path}, against it ${[...against].join(" ")}: ${got} instead of ${expected}`);
      if (first === undefined || first === "moved") break;
      against.delete(first);
    }
  }
  return wrong;
}

describe.each(ENGINES)("%s", (engine) => {
  it("the first part of the order that has something against a request answers it, whatever else the route has", async () => {
    rig.report();
    const lanes = Array.from({ length: LANES }, (_, lane) => COMBINATIONS.filter((_, i) => i % LANES === lane));
    const wrong = await Promise.all(lanes.map((combinations) => judge(engine, combinations)));
    expect(wrong.flat()).toEqual([]);
  });

  it("a credential in the query does not reach the Location, though nobody was asked for it", async () => {
    rig.report();
    await using client = await rig.connect(engine);
    const got = await answer(client, "GET /linked?q=1&key=s3cret&z=2 HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    expect(got).toBe("308 https://shop.example/linked?q=1&z=2");
  });
});

// Routes by type of client and by version, and deprecated ones, as clients of both engines meet them: which route answers, what a refusal says, what a
// response varies by, and who is counted.
import { hash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { parsePrometheus } from "../../support/prometheus-parser.ts";
import { field, RawClient, type RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { untilAsync } from "../../support/until.ts";

const ROUTES = (port: number): string => `upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
clients:
  app: { headers: { x-client: { prefix: "acme/" } } }
  tv: { userAgent: "*SmartTV*" }
versioning: { from: [path, header, accept, query], default: "1", accept: { vendor: acme } }
defaults: { headers: { response: { set: { x-route: "{route}", x-id: "{**}" } } } }
routes:
  - { name: orders-1, match: { path: /orders/**, version: "1" }, to: u }
  - { name: orders-2, match: { path: /orders/**, version: ["2", "2.1"] }, cors: { origins: [https://app.example.com] }, to: u }
  - { name: new-2, match: { path: /new/**, version: "2" }, to: u }
  - { name: site, match: { path: /** }, to: u }
  - { name: page, match: { path: /page/** }, to: u }
  - { name: page-app, match: { path: /page/**, client: app }, to: u }
  - { name: page-tv, match: { path: /page/**, client: tv }, to: u }
  - { name: page-mobile, match: { path: /page/**, client: mobile }, to: u }
`;

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(ROUTES);
});
afterAll(() => rig[Symbol.asyncDispose]());

async function ask(engine: Engine, target: string, headers: readonly string[] = [], method = "GET"): Promise<RawResponse> {
  await using client = await rig.connect(engine);
  const lines = [`${method} ${target} HTTP/1.1`, "Host: a.example", "Connection: close", ...headers];
  client.send(`${lines.join("\r\n")}\r\n\r\n`);
  return await client.response();
}

/** `route, vary`, or `status code: detail`. */
async function outcome(engine: Engine, target: string, ...headers: string[]): Promise<string> {
  const response = await ask(engine, target, headers);
  if (response.status === 200) return `${field(response, "x-route")}, ${field(response, "vary") ?? "-"}`;
  const problem = JSON.parse(response.body.toString()) as { code: string; detail: string; status: number };
  expect(problem.status).toBe(response.status);
  return `${response.status} ${problem.code}: ${problem.detail}`;
}

const VARIES = "api-version, accept";
const SERVED = "there is 1, 2, 2.1";

describe.each(ENGINES)("on the engine %s", (engine) => {
  it.each<[string, string[], string]>([
    ["/v1/orders/7", [], `orders-1, ${VARIES}`],
    ["/v2/orders/7", [], `orders-2, origin, ${VARIES}`],
    ["/v2.1/orders", [], `orders-2, origin, ${VARIES}`],
    ["/orders/7", [], `orders-1, ${VARIES}`],
    ["/orders/7", ["Accept: */*"], `orders-1, ${VARIES}`],
    ["/orders/7", ["Api-Version: 2"], `orders-2, origin, ${VARIES}`],
    ["/orders/7?api-version=2", [], `orders-2, origin, ${VARIES}`],
    ["/orders/7", ["Accept: application/vnd.acme.v2+json"], `orders-2, origin, ${VARIES}`],
    ["/orders/7", ['Accept: application/json;version="9"', "Accept: application/json;Version=2;q=0.3"], `orders-2, origin, ${VARIES}`],
    ["/v2/orders/7", ["Api-Version: 2", "Accept: text/html"], `orders-2, origin, ${VARIES}`],
    ["/new/7", [], `site, ${VARIES}`],
    ["/v1/new", [], `404 route_not_found: version "1" is not served here; there is 2`],
    ["/v9/orders/7", [], `404 route_not_found: version "9" is not served here; ${SERVED}`],
    ["/orders/7", ["Api-Version: 9"], `400 version_unknown: version "9" is not served here; ${SERVED}`],
    ["/orders/7?api-version=9", [], `400 version_unknown: version "9" is not served here; ${SERVED}`],
    ["/orders/7", ["Accept: application/vnd.acme.v9+json"], `406 version_not_acceptable: no accepted version is served here; ${SERVED}`],
    ["/v1/orders/7", ["Api-Version: 2"], '400 version_ambiguous: the path names version "1", the header "2"'],
    ["/v1/orders/7", ["Accept: a/b;version=2"], '400 version_ambiguous: the path names version "1", which accept does not take'],
    ["/orders/7", ["Api-Version: 2", "Api-Version: 1"], "400 version_ambiguous: the header api-version is there twice"],
    ["/orders/7", ["Api-Version: 2", "Api_Version: 1"], "400 version_ambiguous: the header api-version is there twice"],
    ["/orders/7?api-version=1&api-version=2", [], "400 version_ambiguous: the query parameter api-version is there twice"],
    ["/about?api-version=9", ["Api-Version: 8"], "site, -"],
  ])("%s with %j is answered by %s", async (target, headers, expected) => {
    rig.report();
    expect(await outcome(engine, target, ...headers)).toBe(expected);
  });

  it("a refusal leaves the connection open, is not to be stored, and says what it varied by", async () => {
    rig.report();
    await using client = await rig.connect(engine);
    client.send("GET /orders HTTP/1.1\r\nHost: a.example\r\nApi-Version: 9\r\n\r\n");
    const refused = await client.response();
    expect([refused.status, field(refused, "cache-control"), field(refused, "vary")]).toEqual([400, "no-store", VARIES]);
    client.send("GET /orders HTTP/1.1\r\nHost: a.example\r\nApi-Version: 2\r\n\r\n");
    expect(field(await client.response(), "x-route")).toBe("orders-2");
  });

  it("the path goes upstream as it came, and its parameters are those behind the version", async () => {
    rig.report();
    const before = rig.upstream.requests.length;
    const response = await ask(engine, "/v2/orders/7/items");
    expect(field(response, "x-id")).toBe("7/items");
    expect(await rig.targetsSince(before, engine)).toEqual(["/v2/orders/7/items"]);
  });

  it.each<[string[], string]>([
    [[], "page, x-client, user-agent, sec-ch-ua-mobile"],
    [["X-Client: acme/3"], "page-app, x-client, user-agent, sec-ch-ua-mobile"],
    [["X-Client: acme/3", "X_Client: other"], "page, x-client, user-agent, sec-ch-ua-mobile"],
    [["User-Agent: Mozilla/5.0 (SMARTTV)"], "page-tv, x-client, user-agent, sec-ch-ua-mobile"],
    [["User-Agent: Mozilla/5.0 (iPhone) Mobile"], "page-mobile, x-client, user-agent, sec-ch-ua-mobile"],
  ])("a page for %j is that of %s", async (headers, expected) => {
    rig.report();
    expect(await outcome(engine, "/page/1", ...headers)).toBe(expected);
  });
});

it("names of Vary go into the service's own", async () => {
  rig.report();
  rig.upstream.answer("/page/varied", "HTTP/1.1 200 OK\r\nVary: X-Other, User-Agent\r\nContent-Length: 2\r\n\r\nok");
  for (const engine of ENGINES) expect(await outcome(engine, "/page/varied")).toBe("page, X-Other, User-Agent, x-client, sec-ch-ua-mobile");
});

it("a preflight, which can name no version by header, is answered by a route of its path, and the request is not", async () => {
  await using upstream = await RawUpstream.start();
  await using gateway = await Gateway.start({
    config: `${bothListeners}upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] } }
versioning: { from: [header] }
routes: [ { name: two, match: { path: /a, version: "2" }, cors: { origins: [https://app.example.com] }, to: u } ]
`,
  });
  for (const url of gateway.urls) {
    const headers = { origin: "https://app.example.com" };
    const asked = { "access-control-request-method": "PUT", "access-control-request-headers": "api-version" };
    const preflight = await fetch(`${url}/a`, { method: "OPTIONS", headers: { ...headers, ...asked } });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([204, "https://app.example.com"]);
    const request = await fetch(`${url}/a`, { method: "PUT", headers });
    expect(await request.json()).toMatchObject({
      code: "version_missing",
      detail: "name one by the header api-version; there is 2",
    });
  }
  expect(upstream.requests).toEqual([]);
});

describe("a deprecated route", () => {
  const keyOf = (consumer: string): string => `${consumer}-key-0123456789`;
  const CONFIG = (port: number): string => `${bothListeners.replace("admin: false", "admin: { address: 127.0.0.1:0 }")}
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
auth: { keys: { apiKey: { name: x-api-key } } }
consumers:
  - { id: acme, keys: ["sha256:${hash("sha256", keyOf("acme"))}"] }
  - { id: globex, keys: ["sha256:${hash("sha256", keyOf("globex"))}"] }
routes:
  - name: old
    match: { path: /old/** }
    auth: keys
    deprecation: { since: 2026-03-01, sunset: 2026-12-31T12:00:00Z, link: "https://developer.example.com/new" }
    to: u
  - { name: new, match: { path: /new/** }, auth: keys, to: u }
`;
  const NOTICE = ["@1772323200", "Thu, 31 Dec 2026 12:00:00 GMT", '<https://developer.example.com/new>; rel="deprecation"'];
  const noticeOf = (response: RawResponse) => ["deprecation", "sunset", "link"].map((name) => valuesOf(response, name).join(" | "));

  it("says so in each response, beside what the service says, and its callers are counted", async () => {
    await using upstream = await RawUpstream.start();
    upstream.answer("/old/own", "HTTP/1.1 200 OK\r\nDeprecation: @1700000000\r\nLink: </x>; rel=next\r\nContent-Length: 0\r\n\r\n");
    await using both = await Gateway.start({ config: CONFIG(upstream.port) });
    const get = async (engine: Engine, path: string, consumer: string): Promise<RawResponse> => {
      await using client = await RawClient.connect(Number(new URL(both.urls[ENGINES.indexOf(engine)] ?? "").port));
      const key = consumer === "" ? "" : `X-Api-Key: ${keyOf(consumer)}\r\n`;
      client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${key}Connection: close\r\n\r\n`);
      return await client.response();
    };
    for (const engine of ENGINES) {
      expect(noticeOf(await get(engine, "/old/a", "acme"))).toEqual(NOTICE);
      expect(noticeOf(await get(engine, "/old/own", "acme"))).toEqual(["@1700000000", NOTICE[1], `</x>; rel=next | ${NOTICE[2]}`]);
      const refused = await get(engine, "/old/a", "");
      expect([refused.status, ...noticeOf(refused)]).toEqual([401, ...NOTICE]);
      expect(noticeOf(await get(engine, "/new/a", "globex"))).toEqual(["", "", ""]);
    }
    await get("uws", "/old/a", "globex");
    const counted = async (): Promise<string> => {
      const family = parsePrometheus(String((await both.admin("GET", "/metrics")).body)).get("sluice_deprecated_requests_total");
      return (family?.samples ?? []).map(({ labels, value }) => `${labels["route"]} ${labels["consumer"] ?? "-"} ${value}`).join(", ");
    };
    await untilAsync("the calls are counted", async () => expect(await counted()).toBe("old acme 4, old - 2, old globex 1"));
  });
});

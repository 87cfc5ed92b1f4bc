// Routes with several paths, with parameters beside literal text and with constraints, on both engines: which one a request takes and what services get.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { field } from "../../support/raw-client.ts";

const config = (port: number): string => `upstreams: { u: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
routes:
  - name: several
    match: { paths: ["/users/{id}", "/teams/{team}/users/{id}", "/u/{id:[0-9]+}/**"] }
    rewrite: { path: "/several/{id}" }
    rateLimit: [{ per: route, rate: 3/h, burst: 3 }]
    to: u
  - { name: rest, match: { path: "/**" }, to: u }
  - { name: json, match: { path: "/documents/{file}.json" }, rewrite: { path: "/json/{file}" }, to: u }
  - { name: grid, match: { path: "/data/grid-{what}" }, rewrite: { path: "/grid/{what}" }, to: u }
  - { name: free, match: { path: "/orders/{name}" }, rewrite: { path: "/free/{name}" }, to: u }
  - { name: number, match: { path: "/orders/{id:[1-9][0-9]*}" }, rewrite: { path: "/number/{id}" }, to: u }
`;

let both: BothEngines;
beforeAll(async () => {
  both = await BothEngines.start(config);
});
afterAll(() => both[Symbol.asyncDispose]());

describe.each(ENGINES)("on the engine %s", (engine) => {
  it.each<[string, string]>([
    ["/orders/17", "/number/17"],
    ["/orders/017", "/free/017"],
    ["/orders/1%37", "/number/17"],
    ["/orders/17a", "/free/17a"],
    ["/orders/17/x", "/orders/17/x"],
    ["/documents/a.json", "/json/a"],
    ["/documents/a%20b.json", "/json/a%20b"],
    ["/documents/.json", "/documents/.json"],
    ["/data/grid-a", "/grid/a"],
    ["/data/grid-a%2Cb", "/grid/a%2Cb"],
    ["/data/grid-", "/data/grid-"],
    ["/u/x/y", "/u/x/y"],
  ])("%s goes out as %s", async (target, sent) => {
    both.report();
    const from = both.upstream.requests.length;
    await using client = await both.connect(engine);
    client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    expect((await client.response()).status).toBe(200);
    expect(await both.targetsSince(from, engine)).toEqual([sent]);
  });
});

it("the paths of a route share its limit, and its parameter is found wherever it stands", async () => {
  both.report();
  const from = both.upstream.requests.length;
  await using client = await both.connect("uws");
  const statuses: number[] = [];
  for (const target of ["/users/1", "/teams/a/users/2", "/u/3/x/y", "/users/4"]) {
    client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
    const response = await client.response();
    statuses.push(response.status);
    if (response.status === 429) expect(field(response, "retry-after")).toBeDefined();
  }
  expect(statuses).toEqual([200, 200, 200, 429]);
  expect(await both.targetsSince(from, "uws")).toEqual(["/several/1", "/several/2", "/several/3"]);
});

// Error pages on the wire, on both engines: what clients get, that connections to services and clients go on, and that a change of a file is a change of the page.
import fs from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, bothListeners, ENGINES } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { valuesOf } from "../../support/raw-message.ts";

const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const PAGE = "<!doctype html><style>body { margin: 0 }</style><title>{title}</title><p>{status} {code} <b>{requestId}</b></p>";

let rig: BothEngines;

beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `errorPages:
  400-599: { file: error.html }
  401: { redirect: "https://login.example.com/" }
  intercept: [401, 500-502]
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ], pool: { connections: 1 } }
  dead: { targets: [ { url: "http://127.0.0.1:1" } ] }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: shop, match: { path: "/shop/**" }, to: u }
  - { name: small, match: { path: "/small/**" }, limits: { bodyBytes: 10 }, compress: { minBytes: 1B }, to: u }
  - { name: dead, match: { path: "/dead" }, to: dead }
  - { name: api, match: { path: "/api/**" }, errorPages: null, to: u }
`,
    { "error.html": PAGE },
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

describe.each(ENGINES)("%s", (engine) => {
  const request = (method: string, target: string, fields = ""): string =>
    `${method} ${target} HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: id-1\r\n${fields}\r\n`;
  const ask = async (target: string, fields = `Accept: ${BROWSER}\r\n`, method = "GET") => {
    rig.report();
    await using client = await rig.connect(engine);
    client.send(request(method, target, fields));
    return await client.response(method === "HEAD");
  };
  const page = (status: number, title: string, code: string): string =>
    PAGE.replace("{title}", title).replace("{status}", String(status)).replace("{code}", code).replace("{requestId}", "id-1");

  it("a browser gets the page, an API client the problem document, of the same error", async () => {
    const html = await ask("/nowhere");
    expect([html.status, html.body.toString("utf8")]).toEqual([404, page(404, "No route matches this request", "route_not_found")]);
    expect([valuesOf(html, "content-type"), valuesOf(html, "vary")]).toEqual([["text/html; charset=utf-8"], ["accept"]]);
    const json = await ask("/nowhere", "Accept: application/json\r\n");
    expect([json.status, valuesOf(json, "content-type"), valuesOf(json, "vary")]).toEqual([404, ["application/problem+json"], ["accept"]]);
    expect(JSON.parse(json.body.toString("utf8"))).toMatchObject({ code: "route_not_found", requestId: "id-1" });
  });

  it("failures of the service and requests that break off have pages, too", async () => {
    expect((await ask("/dead")).body.toString("utf8")).toBe(page(502, "The upstream refused the connection", "connect_failed"));
    const large = await ask("/small/x", `Accept: ${BROWSER}\r\nContent-Length: 11\r\n`, "POST");
    expect([large.status, valuesOf(large, "connection")]).toEqual([413, ["close"]]);
    expect(large.body.toString("utf8")).toContain("413 body_too_large");
  });

  it("HEAD gets the length of the page and none of it", async () => {
    const head = await ask("/nowhere", `Accept: ${BROWSER}\r\n`, "HEAD");
    const length = Buffer.byteLength(page(404, "No route matches this request", "route_not_found"));
    expect([head.status, valuesOf(head, "content-length"), head.body.length]).toEqual([404, [String(length)], 0]);
  });

  it("a page is compressed as other responses of the route", async () => {
    const compressed = await ask("/small/x", `Accept: ${BROWSER}\r\nAccept-Encoding: gzip\r\nContent-Length: 11\r\n`, "POST");
    expect(valuesOf(compressed, "content-encoding")).toEqual(["gzip"]);
    expect(valuesOf(compressed, "vary").join(", ").split(", ").sort()).toEqual(["accept", "accept-encoding"]);
  });

  it("a service's 500 is replaced, and both connections serve the next requests", async () => {
    rig.report();
    const target = `/shop/500-${++runs}`;
    const secret = "Error: at /srv/app.js:1";
    rig.upstream.answer(
      target,
      `HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nX-Powered-By: x\r\nSet-Cookie: a=1\r\nContent-Length: ${secret.length}\r\n\r\n${secret}`,
    );
    const before = rig.upstream.connections.length;
    await using client = await rig.connect(engine);
    for (let i = 0; i < 3; i++) {
      client.send(request("GET", target, `Accept: ${BROWSER}\r\n`));
      const response = await client.response();
      expect([response.status, response.body.toString("utf8")]).toEqual([500, page(500, "Internal Server Error", "upstream_status")]);
      expect([valuesOf(response, "set-cookie"), valuesOf(response, "x-powered-by"), valuesOf(response, "connection")]).toEqual([
        ["a=1"],
        [],
        [],
      ]);
    }
    client.send(request("GET", "/shop/fine"));
    expect((await client.response()).body.toString()).toBe("ok");
    // Two for the engines' shared worker at most: the pool has one connection, and its rest was read.
    expect(rig.upstream.connections.length - before).toBeLessThanOrEqual(1);
  });

  it("a body that does not end is given up, and its connection with it", async () => {
    rig.report();
    const target = `/shop/endless-${++runs}`;
    rig.upstream.answer(target, `HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
    const response = await ask(target);
    expect([response.status, response.body.toString("utf8")]).toEqual([502, page(502, "Bad Gateway", "upstream_status")]);
    expect((await ask("/shop/fine")).status).toBe(200);
  });

  it("a 401 is a redirect for people, and a 401 with its challenge for programs", async () => {
    rig.report();
    const target = `/shop/401-${++runs}`;
    rig.upstream.answer(target, "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 4\r\n\r\nlog!");
    const people = await ask(target);
    expect([people.status, valuesOf(people, "location"), people.body.length]).toEqual([303, ["https://login.example.com/"], 0]);
    const programs = await ask(target, "Accept: application/json\r\n");
    expect([programs.status, valuesOf(programs, "www-authenticate"), valuesOf(programs, "location")]).toEqual([401, ["Bearer"], []]);
    expect(programs.body.toString()).not.toContain("log!");
  });

  it("what is not intercepted, and routes without pages, are as the service has it", async () => {
    rig.report();
    const target = `/shop/503-${++runs}`;
    const other = `/api/500-${runs}`;
    for (const [each, status] of [
      [target, 503],
      [other, 500],
    ] as const)
      rig.upstream.answer(each, `HTTP/1.1 ${status} Own\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nown`);
    for (const each of [target, other]) expect((await ask(each)).body.toString()).toBe("own");
  });
});

it("a page that is written anew is sent from the next reload on, and one that is lost keeps the configuration that was", async () => {
  const config = `${bothListeners.replace("admin: false", 'admin: { address: "127.0.0.1:0" }')}errorPages: { 404: { file: 404.html } }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:1" } ] } }
routes: [ { name: r, match: { path: /r }, to: u } ]
`;
  await using gateway = await Gateway.start({ config, files: { "404.html": "one" } });
  const file = path.join(gateway.directory, "404.html");
  const pages = () =>
    Promise.all(
      gateway.urls.map(async (url) => (await fetch(`${url}/x`, { headers: { accept: "text/html", connection: "close" } })).text()),
    );
  expect(await pages()).toEqual(["one", "one"]);
  fs.writeFileSync(file, "two");
  await expect.poll(pages, { timeout: 10_000 }).toEqual(["two", "two"]);
  fs.rmSync(file);
  const { status, body } = await gateway.admin("POST", "/reload");
  expect(status).toBe(422);
  expect(JSON.stringify(body)).toContain("404.html: there is no such file");
  expect(await pages()).toEqual(["two", "two"]);
});

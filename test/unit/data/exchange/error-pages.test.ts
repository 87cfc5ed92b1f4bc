// What a client gets for an error where pages are configured: which page, in which form, with which headers; and what is left of a response that is intercepted.
import { describe, expect, it } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { type PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";

const BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: http://a }], retry: { attempts: 1, on: [503], backoff: { base: 1ms, max: 1ms } } }
errorPages:
  404: { body: "<p>{status} {code} {title} {requestId}</p>", contentType: text/html; charset=utf-8 }
  401: { redirect: "https://login.example.com/?c={code}&r={requestId}" }
  500-599:
    - { body: "<h1>{status}</h1>", contentType: text/html }
    - { body: "plain", contentType: text/plain }
    - { json: { error: "{code}", status: "{status}" } }
  upstream_status: { body: "<h2>{title}</h2>", contentType: text/html }
routes:
  - { name: r, match: { path: /r }, to: a }
  - { name: own, match: { path: /own }, to: a, errorPages: { intercept: [404, 502-503] }, cors: { origins: ["https://app.example.com"] } }
  - { name: none, match: { path: /none }, to: a, errorPages: null }
  - { name: hides, match: { path: /hides }, to: a, errorPages: { upstream_status: null, 404: null, intercept: 400-599 }, compress: { minBytes: 1B, types: [application/problem+json] } }
`;

const start = () => PlayedWorker.start(CONFIG);

/** One route to `a`, and these pages at the top level. */
const withPages = (pages: string, route = "") =>
  PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }] } }
errorPages: ${pages}
routes: [{ name: r, match: { path: /r }, to: a${route} }]
`);
const STATUS_AND_CODE = '{ body: "<p>{status} {code}</p>", contentType: text/html }';
const fields = (x: PlayedClient): Readonly<Record<string, string>> => {
  const list: HeaderList = x.head?.headers ?? [];
  return Object.fromEntries(list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1] ?? ""]] : [])));
};
const accept = (value: string): { readonly headers: HeaderList } => ({ headers: ["accept", value] });

describe("a request that no route has", () => {
  it("gets the page of the top level, with its values filled in", async () => {
    const x = (await start()).ask("/nowhere", { headers: ["accept", BROWSER, "x-request-id", "a+b=1"] });
    expect([x.head?.status, x.body, x.head?.length]).toEqual([404, "<p>404 route_not_found No route matches this request a+b=1</p>", 62]);
    expect(fields(x)).toMatchObject({
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      vary: "accept",
      "x-request-id": "a+b=1",
    });
    expect([x.code, x.status]).toEqual(["route_not_found", 404]);
  });

  it.each<[what: string, headers: HeaderList]>([
    ["that says nothing", []],
    ["that takes everything", ["accept", "*/*"]],
    ["that wants JSON", ["accept", "application/json"]],
    ["that likes JSON better", ["accept", "text/html;q=0.5, application/json"]],
    ["that wants what there is not", ["accept", "image/png"]],
    ["that refuses HTML", ["accept", "text/html;q=0, */*"]],
  ])("of a client %s gets the problem document, and Vary says why", async (_, headers) => {
    const x = (await start()).ask("/nowhere", { headers });
    expect(fields(x)).toMatchObject({ "content-type": "application/problem+json", vary: "accept" });
    expect(JSON.parse(x.body)).toMatchObject({ code: "route_not_found", status: 404 });
  });

  it("that is refused before it is routed has them, too", async () => {
    const worker = await withPages(`{ 400: ${STATUS_AND_CODE} }`);
    const x = worker.ask("/a%00b", accept(BROWSER));
    await expect.poll(() => x.body).toBe("<p>400 bad_path</p>"); // a closing answer waits a turn
  });
});

describe("forms", () => {
  const failed = async (headers: HeaderList): Promise<PlayedClient> => {
    const worker = await start();
    const x = worker.ask("/r", { headers });
    worker.last.fail({ code: "connect_failed", unsent: true });
    return x;
  };

  it.each<[string, string]>([
    [BROWSER, "<h1>502</h1>"],
    ["text/plain", "plain"],
    ["text/*", "<h1>502</h1>"],
    ["text/plain, text/html;q=0.9", "plain"],
    ["application/json", '{"error":"connect_failed","status":502}'],
    ["*/*", '{"error":"connect_failed","status":502}'],
    ["image/png", '{"error":"connect_failed","status":502}'],
  ])("for Accept: %s", async (wanted, body) => {
    expect((await failed(["accept", wanted])).body).toBe(body);
  });

  it("a page in JSON takes the place of the problem document, unless that is asked for by name", async () => {
    expect((await failed([])).body).toBe('{"error":"connect_failed","status":502}');
    expect(JSON.parse((await failed(["accept", "application/problem+json"])).body)).toMatchObject({ code: "connect_failed" });
  });

  it("HEAD gets the head of GET and no body", async () => {
    const x = (await start()).ask("/nowhere", { method: "HEAD", ...accept(BROWSER) });
    expect([x.head?.status, x.head?.length, x.body]).toEqual([404, expect.any(Number), ""]);
    expect(x.head?.length).toBeGreaterThan(50);
  });

  it("a redirect is for those who want HTML", async () => {
    const worker = await withPages('{ 404: { redirect: "https://a.example/?c={code}&r={requestId}" } }');
    const x = worker.ask("/nowhere", { headers: ["accept", BROWSER, "x-request-id", "a/b"] });
    expect([x.head?.status, x.body, fields(x)["location"], x.code]).toEqual([
      303,
      "",
      "https://a.example/?c=route_not_found&r=a%2Fb",
      "route_not_found",
    ]);
    expect(fields(x)).not.toHaveProperty("content-type");
    expect(worker.ask("/nowhere", accept("*/*")).head?.status).toBe(404);
  });

  it("a redirect may carry what was asked for, without credentials", async () => {
    const worker = await PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
auth: { keys: { apiKey: { in: query, name: key } } }
consumers: [{ id: c, keys: ["sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"] }]
upstreams: { a: { targets: [{ url: http://a }] } }
errorPages: { 401: { redirect: "/login?rd={url}" } }
routes: [{ name: r, match: { path: /r/** }, auth: keys, to: a }]
`);
    const x = worker.ask("/r/x", accept(BROWSER), "b=2&key=secret");
    expect(x.head?.status).toBe(303);
    expect(decodeURIComponent(fields(x)["location"] ?? "")).toBe("/login?rd=http://api.example.com/r/x?b=2");
  });

  it.each<[string, HeaderList]>([
    ["WebSockets", ["upgrade", "websocket", "connection", "upgrade"]],
    ["gRPC", ["content-type", "application/grpc+proto"]],
  ])("clients of %s get no page", async (_, headers) => {
    const x = (await start()).ask("/nowhere", { headers: [...headers, "accept", BROWSER] });
    expect(fields(x)).toMatchObject({ "content-type": "application/problem+json" });
    expect(fields(x)).not.toHaveProperty("vary");
  });

  it("a route that takes them away has none", async () => {
    const worker = await start();
    const x = worker.ask("/none", accept(BROWSER));
    worker.last.fail({ code: "connect_failed", unsent: true });
    expect(fields(x)["content-type"]).toBe("application/problem+json");
    expect(fields(x)).not.toHaveProperty("vary");
  });

  it("what a policy refuses has the page of the route, with the headers that belong to the refusal", async () => {
    const worker = await withPages(`{ 429: ${STATUS_AND_CODE} }`, ", rateLimit: [{ per: ip, rate: 1/hour, burst: 1 }]");
    worker.ask("/r", accept(BROWSER));
    const x = worker.ask("/r", accept(BROWSER));
    expect([x.head?.status, x.body]).toEqual([429, "<p>429 rate_limited</p>"]);
    expect(Number(fields(x)["retry-after"])).toBeGreaterThan(0);
  });

  it("a 503 of the gateway's own says when to come again, as the document does", async () => {
    const worker = await withPages(`{ no_healthy_target: ${STATUS_AND_CODE} }`);
    worker.runtime.upstreams[0]?.setEndpoints([]);
    const x = worker.ask("/r", accept(BROWSER));
    expect([x.head?.status, x.body, fields(x)["retry-after"]]).toEqual([503, "<p>503 no_healthy_target</p>", "1"]);
  });
});

describe("intercepted", () => {
  const LEAKY: HeaderList = [
    "content-type", "text/plain",
    "content-encoding", "gzip",
    "etag", '"1"',
    "x-powered-by", "Leaky/1.0",
    "cache-control", "public, max-age=60",
    "retry-after", "7",
    "www-authenticate", "Bearer",
    "set-cookie", "a=1",
    "set-cookie", "b=2",
    "vary", "origin",
    "access-control-allow-origin", "https://evil.example",
    "x-ratelimit-remaining", "0",
  ]; // biome-ignore format: pairs

  it("a response is replaced by the page of its code; the service's body and what describes it are gone", async () => {
    const worker = await start();
    const x = worker.ask("/own", { headers: ["accept", BROWSER, "origin", "https://app.example.com"] });
    worker.last.head(404, LEAKY.slice(), 100).data("stack trace");
    expect([x.head?.status, x.body]).toEqual([404, "<h2>Not Found</h2>"]);
    expect(worker.last.discarded).toBe(true);
    expect(fields(x)).toMatchObject({
      "content-type": "text/html",
      "cache-control": "no-store",
      "retry-after": "7",
      "www-authenticate": "Bearer",
      "x-ratelimit-remaining": "0",
      "access-control-allow-origin": "https://app.example.com",
    });
    expect(fields(x)["vary"]?.split(", ").sort()).toEqual(["accept", "origin"]);
    expect(x.head?.headers.filter((_, i, all) => all[i - 1] === "set-cookie")).toEqual(["a=1", "b=2"]);
    for (const gone of ["etag", "content-encoding", "x-powered-by"]) expect(fields(x)).not.toHaveProperty(gone);
    expect([x.code, x.errorDetail, x.status]).toEqual(["upstream_status", "status 404", 404]);
  });

  it("for who wants no page it is a problem document with the service's status, which says nothing of the service", async () => {
    const worker = await start();
    const x = worker.ask("/own", accept("application/json"));
    worker.last.head(404, LEAKY.slice()).data("stack trace").end();
    expect(JSON.parse(x.body)).toMatchObject({
      status: 404,
      title: "Not Found",
      code: "upstream_status",
      detail: "The service answered with an error",
    });
    expect(x.body).not.toContain("stack");
  });

  it("comes after all retries", async () => {
    const worker = await start();
    const x = worker.ask("/own", accept(BROWSER));
    worker.last.head(503);
    await expect.poll(() => worker.calls.length).toBe(2);
    worker.last.head(503, ["retry-after", "9"]).data("busy").end();
    expect([x.head?.status, x.body, x.attempts, fields(x)["retry-after"]]).toEqual([503, "<h2>Service Unavailable</h2>", 2, "9"]);
  });

  it("a 503 without Retry-After gets none that the service did not send", async () => {
    const worker = await start();
    const x = worker.ask("/hides", accept(BROWSER));
    worker.last.head(500, []).data("x").end();
    expect([x.head?.status, x.body]).toEqual([500, "<h1>500</h1>"]);
    expect(fields(x)).not.toHaveProperty("retry-after");
  });

  it("other statuses, and other routes', go on as they came", async () => {
    const worker = await start();
    const own = worker.ask("/own", accept(BROWSER));
    worker.last.head(500, ["content-type", "text/plain"], 5).data("mine!").end();
    const other = worker.ask("/r", accept(BROWSER));
    worker.last.head(404, ["content-type", "text/plain"], 5).data("mine!").end();
    expect([own.head?.status, own.body, own.code, other.head?.status, other.body, other.code]).toEqual([
      500,
      "mine!",
      "",
      404,
      "mine!",
      "",
    ]);
  });

  it("a response without a page is hidden all the same, and passes the route's filters", async () => {
    const worker = await start();
    const x = worker.ask("/hides", { headers: ["accept", BROWSER, "accept-encoding", "gzip"] });
    worker.last.head(404, ["content-type", "text/plain"]).data("stack trace").end();
    await expect.poll(() => x.ended).toBe(true);
    expect(fields(x)).toMatchObject({ "content-type": "application/problem+json", "content-encoding": "gzip", vary: "accept-encoding" });
    expect(x.head?.status).toBe(404);
  });

  it("holds for responses that came from the cache, for each client by its own Accept; the service is asked once", async () => {
    const worker = await withPages(
      "{ 404: { body: gone, contentType: text/html }, intercept: 404 }",
      ", cache: { statuses: { 404: 10s } }",
    );
    const first = worker.ask("/r", accept(BROWSER));
    worker.last.head(404, ["content-type", "text/plain"], 5).data("stack").end();
    await expect.poll(() => first.ended).toBe(true);
    const second = worker.ask("/r", accept(BROWSER));
    const third = worker.ask("/r", accept("application/json"));
    await expect.poll(() => second.ended && third.ended).toBe(true);
    expect([first.body, second.body, JSON.parse(third.body).code, worker.calls.length]).toEqual(["gone", "gone", "upstream_status", 1]);
  });

  it("of HEAD is the head of the page", async () => {
    const worker = await start();
    const x = worker.ask("/own", { method: "HEAD", ...accept(BROWSER) });
    worker.last.head(404, ["content-type", "text/plain"], 100).end();
    expect([x.head?.status, x.head?.length, x.body, fields(x)["content-type"]]).toEqual([404, 18, "", "text/html"]);
  });

  it("a client that goes away while it is answered ends the exchange once", async () => {
    const worker = await start();
    const x = worker.ask("/own", { method: "POST", chunked: true, ...accept(BROWSER) });
    x.send("first part");
    worker.last.head(404).data("x");
    x.leave();
    expect([x.finished, worker.services.inFlight, worker.runtime.inFlight]).toEqual([true, 0, 0]);
    expect(worker.faults).toEqual([]);
  });
});

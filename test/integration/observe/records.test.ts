// What operators see of traffic: every field of the access log for every way to end, and metrics that agree with what was sent.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway, type LogLine } from "../../support/gateway.ts";
import { type Family, parsePrometheus } from "../../support/prometheus-parser.ts";
import { RawClient } from "../../support/raw-client.ts";
import { OK, RawUpstream } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

const KEYS =
  "time requestId client consumer method scheme host path query protocol route upstream target attempts status code detail bytesIn bytesOut totalMs connectMs firstByteMs userAgent plan";
const UUID_LIKE = /^[0-9a-f]{12}-[0-9a-z]+$/;

let upstream: RawUpstream;
let gateway: Gateway;
/** What the services listen on. */
let url: string;
const NOBODY = "http://127.0.0.1:1";

beforeAll(async () => {
  upstream = await RawUpstream.start();
  url = `http://127.0.0.1:${upstream.port}`;
  const calm = "health: { passive: false }, retry: { backoff: { base: 0, max: 0 }, budget: 100%";
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
log: { query: true }
auth: { key: { apiKey: { in: query, name: key } } }
trustedProxies: [ 127.0.0.1 ]
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net } ]
upstreams:
  u: { targets: [ { url: "${url}" } ], ${calm} }, timeouts: { response: 300ms } }
  half: { targets: [ { url: "${NOBODY}" }, { url: "${url}" } ], balance: round-robin, ${calm} } }
  shut: { targets: [ { url: "${url}" } ], breaker: { scope: upstream } }
  leaning: { targets: [ { url: "${url}" } ], breaker: { scope: upstream, fallback: { upstream: u } } }
  gone: { targets: [ { url: "${NOBODY}" } ], ${calm}, attempts: 2 } }
defaults: { auth: none }
routes:
  - { name: all, match: { path: "/a/**" }, to: u }
  - { name: half, match: { path: "/half/**" }, to: half }
  - { name: gone, match: { path: "/gone/**" }, to: gone }
  - { name: fixed, match: { path: "/fixed/**" }, respond: { body: fixed } }
  - { name: silent, match: { path: "/silent/**" }, accessLog: false, to: u }
  - { name: only-get, match: { path: "/only-get/**", methods: [GET] }, to: u }
  - { name: only-beta, match: { path: "/only-beta/**", headers: { x-stage: beta } }, to: u }
  - { name: guarded, match: { path: "/guarded/**" }, auth: key, to: u }
  - { name: weighted, match: { path: "/weighted/**" }, weighted: [ { upstream: u, weight: 0 }, { upstream: shut } ] }
  - { name: stood-in, match: { path: "/stood-in/**" }, to: leaning }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

let runs = 0;
const fresh = (prefix: string): string => `${prefix}/log-${++runs}`;

/** The record of a path. */
async function record(path: string): Promise<LogLine> {
  const find = (): LogLine | undefined => gateway.lines().find((line) => line["path"] === path);
  await until(`the log has ${path}`, () => find() !== undefined);
  return find() ?? {};
}

async function families(): Promise<Map<string, Family>> {
  return parsePrometheus(String((await gateway.admin("GET", "/metrics")).body));
}

/** Sum of the samples with these labels. */
function sum(all: ReadonlyMap<string, Family>, name: string, labels: Readonly<Record<string, string>>, sample = name): number {
  const samples = all.get(name)?.samples ?? [];
  const fit = samples.filter((each) => each.name === sample && Object.entries(labels).every(([key, value]) => each.labels[key] === value));
  return fit.reduce((total, { value }) => total + value, 0);
}

describe.each(ENGINES)("%s", (engine: Engine) => {
  const connect = (): Promise<RawClient> => RawClient.connect(Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port));
  const bytes = (method: string, path: string, fields = "", body = ""): string =>
    `${method} ${path} HTTP/1.1\r\nHost: Shop.Test:81\r\nUser-Agent: tester "1"\r\n${fields}${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`;

  async function ask(method: string, path: string, fields = "", body = ""): Promise<number> {
    await using client = await connect();
    client.send(bytes(method, path, fields, body));
    return (await client.response(method === "HEAD")).status;
  }

  it("success: every field, in its order", async () => {
    const path = fresh("/a");
    const before = Date.now();
    expect(
      await ask("POST", `${path}?secret=1`, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: id-7\r\n", "hello"),
    ).toBe(200);
    const line = await record(path);
    expect(Object.keys(line).join(" ")).toBe(KEYS);
    expect(line).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      requestId: "id-7",
      client: "192.0.2.7",
      consumer: null,
      method: "POST",
      scheme: "https",
      host: "shop.test",
      path,
      query: "secret=1",
      protocol: "http/1.1",
      route: "all",
      upstream: "u",
      target: url,
      attempts: 1,
      status: 200,
      code: null,
      detail: "",
      bytesIn: 5,
      bytesOut: 2,
      totalMs: expect.any(Number),
      connectMs: expect.any(Number),
      firstByteMs: expect.any(Number),
      userAgent: 'tester "1"',
      plan: 1,
    });
    // Arrival, to the clock's step.
    expect(Date.parse(String(line["time"]))).toBeGreaterThanOrEqual(before - 5);
    expect(Number(line["connectMs"])).toBeLessThanOrEqual(Number(line["firstByteMs"]));
    expect(Number(line["firstByteMs"])).toBeLessThanOrEqual(Number(line["totalMs"]));
  });

  it("an answer of the gateway's own, and no route at all", async () => {
    const fixed = fresh("/fixed");
    expect(await ask("GET", fixed)).toBe(200);
    const none = { upstream: null, target: null, attempts: 0, connectMs: null, firstByteMs: null, detail: "" };
    expect(await record(fixed)).toMatchObject({
      route: "fixed",
      status: 200,
      code: null,
      bytesOut: 5,
      requestId: expect.stringMatching(UUID_LIKE),
      ...none,
    });
    const unknown = fresh("/unknown");
    expect(await ask("GET", unknown)).toBe(404);
    expect(await record(unknown)).toMatchObject({ route: null, status: 404, code: "route_not_found", ...none });
    const method = fresh("/only-get");
    expect(await ask("PUT", method)).toBe(405);
    expect(await record(method)).toMatchObject({ method: "PUT", status: 405, code: "method_not_allowed", route: "only-get" });
    const condition = fresh("/only-beta");
    expect(await ask("GET", condition)).toBe(404);
    expect(await record(condition)).toMatchObject({ status: 404, code: "route_not_found", route: "only-beta", ...none });
  });

  it("an upstream whose breaker is open, and the one that stands in", async () => {
    for (const name of ["shut", "leaning"]) expect((await gateway.admin("POST", `/breakers/${name}/open`)).status).toBe(200);
    const refused = fresh("/weighted");
    expect(await ask("GET", refused)).toBe(503);
    expect(await record(refused)).toMatchObject({ route: "weighted", upstream: "shut", target: null, attempts: 0, code: "breaker_open" });
    const stoodIn = fresh("/stood-in");
    expect(await ask("GET", stoodIn)).toBe(200);
    expect(await record(stoodIn)).toMatchObject({ route: "stood-in", upstream: "u", target: url, attempts: 1, code: null });
  });

  it("the query without credentials, wherever they are sent", async () => {
    for (const [prefix, status] of [
      ["/guarded", 401],
      ["/a", 200],
      ["/unknown", 404],
      ["//refused", 400],
    ] as const) {
      const path = fresh(prefix);
      expect(await ask("GET", `${path}?a=1&key=s3cret&%6bey=s3cret&b=2`)).toBe(status);
      expect(await record(path)).toMatchObject({ status, query: "a=1&b=2" });
    }
  });

  it("a target as it was sent when the request is not admitted: bounded, in printable characters", async () => {
    const sent = `/${engine}//%2e%2e/%2F`;
    expect(await ask("GET", `${sent}?x=1`)).toBe(400);
    expect(await record(sent)).toMatchObject({ method: "GET", route: null, code: "bad_path", query: "x=1" });
    const long = `/${engine}//${"a".repeat(3000)}`;
    expect(await ask("GET", long)).toBe(400);
    expect(await record(long.slice(0, 1024))).toMatchObject({ code: "bad_path" });
  });

  it("a request that is refused before it is routed", async () => {
    const before = gateway.lines().filter((line) => line["code"] === "bad_request").length;
    expect(await ask("GET", "/x/%41", "Content-Length: 1\r\nContent-Length: 2\r\n")).toBe(400);
    const lines = (): LogLine[] => gateway.lines().filter((line) => line["code"] === "bad_request");
    await until("the log has it", () => lines().length > before);
    expect(lines().at(-1)).toMatchObject({
      route: null,
      upstream: null,
      path: "/x/%41",
      status: 400,
      detail: expect.stringMatching(/./),
      client: "127.0.0.1",
    });
  });

  it("a failure of the service, with the reason that no client is told", async () => {
    const path = fresh("/gone");
    expect(await ask("GET", path)).toBe(502);
    expect(await record(path)).toMatchObject({
      ...{ route: "gone", target: NOBODY, attempts: 3, status: 502, code: "connect_failed", connectMs: null, firstByteMs: null },
      detail: expect.stringContaining("ECONNREFUSED"),
    });
    const late = fresh("/a");
    upstream.on(late, () => {});
    expect(await ask("GET", late)).toBe(504);
    expect(await record(late)).toMatchObject({
      status: 504,
      code: "response_timeout",
      attempts: 1,
      connectMs: expect.any(Number),
      firstByteMs: null,
    });
    const sick = fresh("/a");
    upstream.answer(sick, "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nsick");
    expect(await ask("GET", sick)).toBe(503);
    expect(await record(sick)).toMatchObject({ status: 503, code: null, bytesOut: 4, attempts: 1 });
  });

  it("a retry that helped", async () => {
    for (let i = 0; i < 4; i++) {
      const path = fresh("/half");
      expect(await ask("GET", path)).toBe(200);
      const line = await record(path);
      expect(line).toMatchObject({ status: 200, code: null, target: url });
      expect([1, 2]).toContain(line["attempts"]);
    }
    expect(gateway.lines().some((line) => line["route"] === "half" && line["attempts"] === 2)).toBe(true);
  });

  it("a client that goes away: before the answer, and in its middle", async () => {
    const before = fresh("/a");
    upstream.on(before, () => {});
    const first = await connect();
    first.send(bytes("GET", before));
    await upstream.received(before);
    first.cut();
    expect(await record(before)).toMatchObject({ status: 0, code: "client_aborted", attempts: 1, target: url, bytesOut: 0 });
    const middle = fresh("/a");
    upstream.answer(middle, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    const second = await connect();
    second.send(bytes("GET", middle));
    await second.receives("half");
    second.destroy();
    expect(await record(middle)).toMatchObject({ status: 200, code: "client_aborted", bytesOut: 4 });
    const upload = fresh("/a");
    const third = await connect();
    third.send(`POST ${upload} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200000\r\n\r\n${"x".repeat(1000)}`);
    await until("some of it has arrived upstream", () => upstream.connections.some(({ closed, bytes: got }) => !closed && got >= 1000));
    third.destroy();
    expect(await record(upload)).toMatchObject({ status: 0, code: "client_aborted", bytesIn: 1000 });
  });

  it("a service that breaks off in the middle", async () => {
    const path = fresh("/a");
    upstream.answer(path, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true);
    await using client = await connect();
    client.send(bytes("GET", path));
    await client.closes();
    expect(await record(path)).toMatchObject({ status: 200, code: "upstream_aborted", bytesOut: 4, detail: expect.stringMatching(/./) });
  });

  it("bodies: HEAD and 304 have none, chunks are counted without their framing", async () => {
    const head = fresh("/a");
    expect(await ask("HEAD", head)).toBe(200);
    expect(await record(head)).toMatchObject({ method: "HEAD", bytesOut: 0 });
    const chunked = fresh("/a");
    upstream.answer(chunked, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    await using client = await connect();
    client.send(bytes("POST", chunked, "Transfer-Encoding: chunked\r\n").concat("5\r\nhello\r\n0\r\n\r\n"));
    expect((await client.response()).body.toString()).toBe("abcdefg");
    expect(await record(chunked)).toMatchObject({ bytesIn: 5, bytesOut: 7 });
  });

  it("a route without access log has none, and is counted all the same", async () => {
    const before = sum(await families(), "sluice_requests_total", { route: "silent" });
    const path = fresh("/silent");
    expect(await ask("GET", path)).toBe(200);
    const mark = fresh("/a");
    await ask("GET", mark);
    await record(mark);
    expect(gateway.output).not.toContain(path);
    expect(sum(await families(), "sluice_requests_total", { route: "silent" })).toBe(before + 1);
  });

  it("what a client sends cannot break a line, nor forge one", async () => {
    const path = fresh("/a");
    const agent = 'x","status":599,"forged":"\t\xe9\x9f\xbfz';
    await using client = await connect();
    client.send(`GET ${path}/%22%7b%7d HTTP/1.1\r\nHost: a.test\r\nUser-Agent: ${agent}\r\n\r\n`);
    await client.response();
    const line = await record(`${path}/%22%7B%7D`);
    expect([line["status"], line["forged"], line["userAgent"]]).toEqual([200, undefined, agent]);
  });

  it("/metrics agrees with what was sent", async () => {
    const before = await families();
    const plans: readonly (readonly [path: string, times: number, answer: string, status: number])[] = [
      ["/a/ok", 7, OK, 200],
      ["/a/moved", 3, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", 302],
      ["/a/missing", 4, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404],
      ["/a/broken", 2, "HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nbroken", 500],
    ];
    for (const [path, times, answer, status] of plans) {
      upstream.answer(path, answer);
      for (let i = 0; i < times; i++) expect(await ask("GET", path)).toBe(status);
    }
    for (let i = 0; i < 4; i++) expect(await ask("GET", fresh("/half"))).toBe(200);
    expect(await ask("GET", fresh("/gone"))).toBe(502);
    for (let i = 0; i < 5; i++) expect(await ask("GET", fresh("/nowhere"))).toBe(404);
    const leaving = fresh("/a");
    upstream.on(leaving, () => {});
    const client = await connect();
    client.send(bytes("GET", leaving));
    await upstream.received(leaving);
    client.cut();
    await record(leaving);
    const after = await families();
    const grown = (name: string, labels: Readonly<Record<string, string>>, sample = name): number =>
      sum(after, name, labels, sample) - sum(before, name, labels, sample);
    const byClass = (route: string): number[] =>
      ["2xx", "3xx", "4xx", "5xx", "aborted"].map((status) => grown("sluice_requests_total", { route, status }));
    expect({ all: byClass("all"), half: byClass("half"), gone: byClass("gone"), none: byClass("_none") }).toEqual({
      all: [7, 3, 4, 2, 1],
      half: [4, 0, 0, 0, 0],
      gone: [0, 0, 0, 1, 0],
      none: [0, 0, 5, 0, 0],
    });
    expect(grown("sluice_request_duration_seconds", { route: "all" }, "sluice_request_duration_seconds_count")).toBe(17);
    expect(grown("sluice_response_body_bytes_total", { route: "all" })).toBe(7 * 2 + 2 * 6);
    const own = { upstream: "u", target: url };
    expect(grown("sluice_upstream_attempts_total", own)).toBe(17);
    expect(grown("sluice_upstream_server_errors_total", own)).toBe(2);
    expect(grown("sluice_upstream_retries_total", own)).toBe(0);
    expect(grown("sluice_upstream_first_byte_seconds", own, "sluice_upstream_first_byte_seconds_count")).toBe(16);
    // Round-robin over two, one of them dead: half of the requests are tried again, at the other.
    const dead = { upstream: "half", target: NOBODY };
    expect(grown("sluice_upstream_retries_total", dead)).toBe(grown("sluice_upstream_attempts_total", dead));
    expect(grown("sluice_upstream_failures_total", { ...dead, code: "connect_failed" })).toBe(
      grown("sluice_upstream_attempts_total", dead),
    );
    expect(grown("sluice_upstream_attempts_total", { upstream: "half", target: url })).toBe(4);
    const gone = { upstream: "gone", target: NOBODY };
    expect([grown("sluice_upstream_attempts_total", gone), grown("sluice_upstream_retries_total", gone)]).toEqual([3, 2]);
    expect(grown("sluice_errors_total", { code: "route_not_found" })).toBe(5);
    expect(grown("sluice_errors_total", { code: "connect_failed" })).toBe(1);
    expect(grown("sluice_errors_total", { code: "client_aborted" })).toBe(1);
    await expect.poll(async () => sum(await families(), "sluice_worker_in_flight", {})).toBe(0);
    expect(sum(after, "sluice_target_in_flight", {})).toBe(0);
  });
});

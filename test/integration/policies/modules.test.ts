// biome-ignore-all lint/suspicious/noTemplateCurlyInString: texts of modules
// Policies of the user's own as clients and services see them, on both engines: what they may do, and that nothing passes because one has failed.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { moduleWith } from "../../support/module-folder.ts";
import type { RawResponse } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { until, untilAsync } from "../../support/until.ts";

const POLICY_TIMEOUT_MS = 600;

/** Each does what its name says with every request; what they count is told by the route `told`. */
const MODULES: Readonly<Record<string, string>> = {
  "shared.js": "export const told = { finished: {}, hanging: 0, aborted: 0, seen: [] };",
  throws: 'return { onRequest() { throw new Error("no luck"); } };',
  rejects: 'return { async onRequest() { await null; throw new Error("no luck"); } };',
  "gives-text": 'return { onRequest: () => "yes" };',
  "gives-true": "return { onRequest: async () => true };",
  "odd-status": "return { onRequest: () => ({ status: 99 }) };",
  "splits-header": 'return { onRequest(x) { x.setUpstreamHeader("x-a", "b\\r\\nx-forged: 1"); } };',
  "sets-length": 'return { onRequest(x) { x.setUpstreamHeader("content-length", "0"); } };',
  "forges-caller": 'return { onRequest(x) { x.setUpstreamHeader("X_Consumer-ID", "admin"); } };',
  "leaves-path": 'return { onRequest(x) { x.upstreamPath = "/a/%2e%2e/admin"; } };',
  "sends-elsewhere": 'return { onRequest(x) { x.sendTo("gone"); } };',
  hangs:
    "return { onRequest(x) { told.hanging++; x.signal.addEventListener('abort', () => { told.aborted++; }); return new Promise(() => {}); } };",
  "throws-upstream": 'return { onUpstreamRequest() { throw new Error("no luck"); } };',
  "throws-response": 'return { onResponse() { throw new Error("no luck"); } };',
  "replaces-response":
    'return { onResponse: (x) => (x.fromUpstream ? { status: 418, headers: { "x-was": String(x.status) }, body: "tea" } : undefined) };',
  "answers-failure": "return { onUpstreamFailure: (x) => ({ status: 200, json: { instead: x.code } }) };",
  "throws-failure": 'return { onUpstreamFailure() { throw new Error("no luck"); } };',
  finishes:
    "return { onFinish(x) { told.finished[x.requestId] = [...(told.finished[x.requestId] ?? []), `${x.status} ${x.errorCode} ${x.attempts}`]; } };",
  "finish-throws": 'return { onFinish() { throw new Error("no luck"); } };',
  answers:
    'return { onRequest: (x) => x.queryParameter("how") === "stream" ? { status: 200, body: Readable.from(["a", "b", "c"]) } : { status: 201, headers: { "set-cookie": ["a=1", "b=2"] }, json: { path: x.parameter("**"), plan: x.headerOnce("x-plan") ?? null, cookie: x.cookie("c") ?? null } } };',
  changes:
    'return { onRequest(x) { x.upstreamPath = "/changed?by=policy"; x.setUpstreamHeader("x-set", "1"); x.addResponseHeader("x-added", "1"); }, onUpstreamRequest(x) { x.removeUpstreamHeader("x-secret"); x.setUpstreamHeader("x-seen", x.upstreamHeader("x-set") + x.upstreamMethod + x.upstreamPath); }, onResponse(x) { x.removeResponseHeader("server"); x.setResponseHeader("x-upstream", x.upstream); } };',
  "upper-case": "return { responseBody: { maxBytes: 100, change: (body, x) => body.toString().toUpperCase() + x.status } };",
  "throws-body": 'return { responseBody: { maxBytes: 100, change() { throw new Error("no luck"); } } };',
  tells: "return { onRequest: () => ({ status: 200, json: told }) };",
};

const EARLY: Readonly<Record<string, string>> = {
  edge: "return { onRequest(x) { told.seen.push(`edge ${x.requestId}`); } };",
  identify:
    'return { onRequest(x) { told.seen.push(`identify ${x.requestId} ${x.caller?.consumer}`); if (x.caller?.scopes.includes("no")) return { problem: "access_denied", detail: "not you" }; } };',
};

const files: Record<string, string> = { "shared.js": MODULES["shared.js"] ?? "" };
const HEAD = 'import { Readable } from "node:stream";\nimport { told } from "./shared.js";\n';
for (const [name, create] of Object.entries(MODULES))
  if (name !== "shared.js") files[`${name}.ts`] = `${HEAD}Readable;\n${moduleWith(create, `name: "${name}", phase: "origin"`)}`;
for (const [phase, create] of Object.entries(EARLY))
  files[`${phase}.ts`] = `${HEAD}${moduleWith(create, `name: "${phase}", phase: "${phase}"`)}`;

let rig: BothEngines;
beforeAll(async () => {
  const routes = Object.keys(MODULES)
    .filter((name) => name !== "shared.js")
    .map((name) => `  - { name: ${name}, match: { path: "/${name}/**" }, auth: none, policies: [{ module: ./${name}.ts }], to: u }\n`);
  rig = await BothEngines.start(
    (port) => `limits: { policyTimeout: ${POLICY_TIMEOUT_MS}ms }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers: [{ id: acme, scopes: [a], keys: ["sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"] }, { id: bad, scopes: ["no"], keys: ["sha256:0b14d501a594442a01c6859541bcb3e8164d183d32937b851835442f69d5c94e"] }]
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false } }
  gone: { targets: [ { url: "http://127.0.0.1:1" } ], health: { passive: false }, retry: { attempts: 0 } }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, auth: none, to: u }
  - { name: guarded, match: { path: "/guarded/**" }, auth: keys, policies: [{ module: ./identify.ts }, { module: ./edge.ts }, { module: ./finishes.ts }], to: u }
  - { name: denied, match: { path: "/denied/**" }, auth: none, ip: { deny: [127.0.0.1] }, policies: [{ module: ./finishes.ts }], to: u }
  - { name: twice, match: { path: "/twice/**" }, auth: none, policies: [{ module: ./finishes.ts }, { module: ./finish-throws.ts }, { module: ./finishes.ts }], to: u }
  - { name: failing, match: { path: "/failing/**" }, auth: none, policies: [{ module: ./answers-failure.ts }], to: gone }
  - { name: failing-twice, match: { path: "/failing-twice/**" }, auth: none, policies: [{ module: ./throws-failure.ts }], to: gone }
  - { name: packed, match: { path: "/packed/**" }, auth: none, policies: [{ module: ./upper-case.ts }], compress: { minBytes: 1, encodings: [gzip] }, to: u }
${routes.join("")}`,
    files,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;
const fresh = (route: string): string => `/${route}/mod-${++runs}`;
const code = (response: RawResponse): unknown => JSON.parse(response.body.toString()).code;

describe.each(ENGINES)("%s", (engine) => {
  async function ask(target: string, fields = "", method = "GET"): Promise<RawResponse> {
    rig.report();
    await using client = await rig.connect(engine);
    client.send(`${method} ${target} HTTP/1.1\r\nHost: shop.example\r\n${fields}\r\n`);
    return await client.response(method === "HEAD"); // the client is closed when this returns
  }
  const told = async (): Promise<{ finished: Record<string, string[]>; hanging: number; aborted: number; seen: string[] }> =>
    JSON.parse((await ask(fresh("tells"))).body.toString());

  it.each([
    "throws",
    "rejects",
    "gives-text",
    "gives-true",
    "odd-status",
    "splits-header",
    "sets-length",
    "forges-caller",
    "leaves-path",
    "sends-elsewhere",
    "throws-upstream",
  ])("%s: 500 policy_failed, and nothing goes upstream", async (name) => {
    const before = rig.upstream.requests.length;
    const response = await ask(fresh(name));
    expect([response.status, code(response)]).toEqual([500, "policy_failed"]);
    expect(response.body.toString()).not.toContain("no luck");
    expect(await rig.targetsSince(before, engine)).toEqual([]);
    expect(rig.gateway.output).toMatch(new RegExp(`policy ${name} \\(\\./${name}\\.ts\\) failed in on(Upstream)?Request`));
  });

  it("a policy that fails does so for each request alone: the connection and the next ones go on", async () => {
    await using client = await rig.connect(engine);
    const target = fresh("finishes");
    client.send(`GET ${fresh("throws")} HTTP/1.1\r\nHost: a\r\n\r\nGET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect((await client.response()).status).toBe(500);
    expect((await client.response()).status).toBe(200);
  });

  it("a promise that is never kept: 504 policy_timeout, its signal fires, and nothing goes upstream", async () => {
    const { aborted } = await told();
    const before = rig.upstream.requests.length;
    const response = await ask(fresh("hangs"));
    expect([response.status, code(response)]).toEqual([504, "policy_timeout"]);
    expect((await told()).aborted).toBe(aborted + 1);
    expect(await rig.targetsSince(before, engine)).toEqual([]);
  });

  it("the signal fires when the client goes, and nothing goes upstream", async () => {
    const { aborted, hanging } = await told();
    const before = rig.upstream.requests.length;
    const client = await rig.connect(engine);
    const target = fresh("hangs");
    client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await untilAsync("the policy has the request", async () => expect((await told()).hanging).toBe(hanging + 1));
    client.socket.resetAndDestroy();
    await untilAsync("the signal has fired", async () => expect((await told()).aborted).toBe(aborted + 1));
    const logged = (): unknown => rig.gateway.lines().find(({ path }) => path === target)?.["code"];
    await until("the request is logged", () => logged() !== undefined);
    expect(logged()).toBe("client_aborted"); // and so it was not its time that was over
    expect(await rig.targetsSince(before, engine)).toEqual([]);
  });

  it("onResponse that throws: 500, and nothing of the upstream's answer goes out", async () => {
    const target = fresh("throws-response");
    rig.upstream.answer(target, "HTTP/1.1 200 OK\r\nX-Private: 1\r\nContent-Length: 6\r\n\r\nsecret");
    const response = await ask(target);
    expect([response.status, code(response)]).toEqual([500, "policy_failed"]);
    expect(valuesOf(response, "x-private")).toEqual([]);
  });

  it("onResponse may answer instead", async () => {
    const response = await ask(fresh("replaces-response"));
    expect([response.status, valuesOf(response, "x-was"), response.body.toString()]).toEqual([418, ["200"], "tea"]);
  });

  it("onUpstreamFailure may answer instead of the error, and one that throws is 500", async () => {
    const response = await ask(fresh("failing"));
    expect([response.status, response.body.toString()]).toEqual([200, '{"instead":"connect_failed"}']);
    const second = await ask(fresh("failing-twice"));
    expect([second.status, code(second)]).toEqual([500, "policy_failed"]);
  });

  it("onFinish comes once for each policy: also when another policy has answered, one before it has thrown, or the caller was refused", async () => {
    const id = (name: string): string => `${engine}-${name}-${++runs}`;
    const [denied, twice, refused] = [id("denied"), id("twice"), id("refused")];
    expect((await ask(fresh("denied"), `X-Request-Id: ${denied}\r\n`)).status).toBe(403);
    expect((await ask(fresh("twice"), `X-Request-Id: ${twice}\r\n`)).status).toBe(200);
    expect((await ask(fresh("guarded"), `X-Request-Id: ${refused}\r\n`)).status).toBe(401);
    const { finished } = await told();
    expect([finished[denied], finished[twice], finished[refused]]).toEqual([
      ["403 ip_denied 0"],
      ["200 null 1", "200 null 1"],
      ["401 credentials_missing 0"],
    ]);
  });

  it("each runs in its phase, whatever the order in the file: edge before anybody is asked who calls, identify when that is known", async () => {
    const [stranger, acme, bad] = ["s", "a", "b"].map((name) => `${engine}-${name}-${++runs}`);
    expect((await ask(fresh("guarded"), `X-Request-Id: ${stranger}\r\n`)).status).toBe(401);
    expect((await ask(fresh("guarded"), `X-Request-Id: ${acme}\r\nX-Api-Key: password\r\n`)).status).toBe(200);
    const refused = await ask(fresh("guarded"), `X-Request-Id: ${bad}\r\nX-Api-Key: password1\r\n`);
    expect([refused.status, code(refused), JSON.parse(refused.body.toString()).detail]).toEqual([403, "access_denied", "not you"]);
    const { seen } = await told();
    const of = (id: string | undefined): string[] => seen.filter((each) => each.includes(` ${id}`));
    expect([of(stranger), of(acme), of(bad)]).toEqual([
      [`edge ${stranger}`],
      [`edge ${acme}`, `identify ${acme} acme`],
      [`edge ${bad}`, `identify ${bad} bad`],
    ]);
  });

  it("an answer of its own: status, headers, JSON or a stream; values that are there twice decide nothing", async () => {
    const target = fresh("answers");
    const response = await ask(target, "X-Plan: gold\r\nCookie: c=1\r\n");
    const path = target.slice("/answers/".length);
    expect([response.status, valuesOf(response, "set-cookie"), JSON.parse(response.body.toString())]).toEqual([
      201,
      ["a=1", "b=2"],
      { path, plan: "gold", cookie: "1" },
    ]);
    const twice = await ask(target, "X-Plan: gold\r\nX-Plan: free\r\nCookie: c=1; c=2\r\n");
    expect(JSON.parse(twice.body.toString())).toEqual({ path, plan: null, cookie: null });
    expect((await ask(`${target}?how=stream`)).body.toString()).toBe("abc");
  });

  it("changes what goes upstream and what comes back", async () => {
    rig.upstream.answer("/changed", "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\n\r\nok");
    const before = rig.upstream.to("/changed").length;
    const response = await ask(fresh("changes"), "X-Secret: 1\r\nX-Set: client\r\n");
    const sent = await rig.upstream.received("/changed", before + 1);
    expect([sent.target, valuesOf(sent, "x-set"), valuesOf(sent, "x-secret"), valuesOf(sent, "x-seen")]).toEqual([
      "/changed?by=policy",
      ["1"],
      [],
      ["1GET/changed?by=policy"],
    ]);
    expect(["x-added", "x-upstream", "server"].map((name) => valuesOf(response, name))).toEqual([["1"], ["u"], []]);
  });

  it("what it sets goes up with each attempt, and its onUpstreamRequest is called for each", async () => {
    const before = rig.upstream.to("/changed").length;
    rig.upstream.on("/changed", (connection) => {
      if (rig.upstream.to("/changed").length === before + 1) connection.reset();
      else connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    expect((await ask(fresh("changes"))).status).toBe(200);
    const sent = rig.upstream.to("/changed").slice(before);
    expect(sent.map((each) => [valuesOf(each, "x-set"), valuesOf(each, "x-seen")])).toEqual(
      Array(2).fill([["1"], ["1GET/changed?by=policy"]]),
    );
  });

  it("the handshake of a WebSocket passes as other requests do", async () => {
    const upgrade =
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const before = rig.upstream.requests.length;
    for (const name of ["throws", "throws-upstream"]) {
      const refused = await ask(fresh(name), upgrade);
      expect([name, refused.status, code(refused)]).toEqual([name, 500, "policy_failed"]);
    }
    expect(await rig.targetsSince(before, engine)).toEqual([]);
    const changed = rig.upstream.to("/changed").length;
    rig.upstream.answer("/changed", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    await ask(fresh("changes"), upgrade);
    const sent = await rig.upstream.received("/changed", changed + 1);
    expect([valuesOf(sent, "upgrade"), valuesOf(sent, "x-set")]).toEqual([["websocket"], ["1"]]);
  });

  describe("responseBody", () => {
    const chunked = (head: string): string =>
      `HTTP/1.1 200 OK\r\n${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n`;

    it("is given the body whole, however it comes, and what it makes of it has a length and none of the old body's marks", async () => {
      const target = fresh("upper-case");
      rig.upstream.answer(target, chunked('ETag: "1"\r\nContent-Digest: sha-256=:x:\r\n'));
      const response = await ask(target, "Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n");
      expect(response.body.toString()).toBe("ABCDEFG200");
      expect(["content-length", "etag", "content-digest"].map((name) => valuesOf(response, name))).toEqual([["10"], [], []]);
      const sent = await rig.upstream.received(target);
      expect(["accept-encoding", "range"].map((name) => valuesOf(sent, name))).toEqual([["identity"], []]);
    });

    it("leaves HEAD without a body, and says no length that GET would not have", async () => {
      const target = fresh("upper-case");
      rig.upstream.answer(target, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
      const response = await ask(target, "", "HEAD");
      expect([response.status, valuesOf(response, "content-length")]).toEqual([200, []]);
    });

    it("is compressed behind it", async () => {
      const target = fresh("packed");
      rig.upstream.answer(target, chunked("Content-Type: text/plain\r\n"));
      const response = await ask(target, "Accept-Encoding: gzip\r\n");
      expect(valuesOf(response, "content-encoding")).toEqual(["gzip"]);
      const { gunzipSync } = await import("node:zlib");
      expect(gunzipSync(response.body).toString()).toBe("ABCDEFG200");
    });

    it.each([
      ["throws", "throws-body", chunked("")],
      ["is longer than it may be, and says so", "upper-case", `HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n${"x".repeat(101)}`],
      [
        "is longer than it may be",
        "upper-case",
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n${"x".repeat(101)}\r\n0\r\n\r\n`,
      ],
      ["comes in a coding", "upper-case", chunked("Content-Encoding: br\r\n")],
      ["is a part", "upper-case", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab"],
    ])("that %s: 500, and nothing of it goes out", async (_, route, bytes) => {
      const target = fresh(route);
      rig.upstream.answer(target, bytes);
      const response = await ask(target);
      expect([response.status, code(response)]).toEqual([500, "policy_failed"]);
    });

    it("that breaks off: the client gets an error, and nothing of it", async () => {
      const target = fresh("upper-case");
      rig.upstream.answer(target, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc", true);
      const response = await ask(target, "", "POST");
      expect([response.status, code(response)]).toEqual([502, "upstream_aborted"]);
    });

    it("lets events pass as they come", async () => {
      const target = fresh("upper-case");
      rig.upstream.answer(
        target,
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n",
      );
      await using client = await rig.connect(engine);
      client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
      await until("the first event has come", () => client.pending.toString().includes("data: a"));
    });
  });
});

// Legs of an aggregated answer: when they run, what they are asked for, what they give, and that none is left behind.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { type AskedRequest, json, type Script, ScriptedService } from "../../support/scripted-service.ts";
import { until, untilAsync } from "../../support/until.ts";

let one: ScriptedService;
let two: ScriptedService;
let gateway: Gateway;

const USER = { id: 7, name: "Ada", segment: "a&b/c", odd: "..", line: "a\r\nx-evil: 1", secret: "s" };

const config = (): string => `${bothListeners.replace("admin: false", 'admin: { address: "127.0.0.1:0" }')}
auth: { key: { apiKey: { in: header, name: x-api-key } } }
consumers: [{ id: acme, keys: [ "sha256:be2974546978e3739e6d6da85c4be9f334ce32df2b9fd4b6ff1b55c0d57e9d44" ] }]
defaults: { auth: none }
upstreams:
  one: { targets: [{ url: "${one.url}" }], retry: { attempts: 0 } }
  two: { targets: [{ url: "${two.url}" }], retry: { attempts: 0 } }
  retrying: { targets: [{ url: "${two.url}" }], retry: { attempts: 2, "on": [503], budget: 100%, backoff: { base: 1ms, max: 1ms } }, health: { passive: false } }
  guarded:
    targets: [{ url: "${two.url}" }]
    retry: { attempts: 0 }
    health: { passive: false }
    breaker: { minimumRequests: 1, errorRate: 50%, openFor: 60s, fallback: { respond: { json: { standIn: true } } } }
  cut: { targets: [{ url: "${two.url}" }], retry: { attempts: 0 }, health: { passive: false }, breaker: { minimumRequests: 1, errorRate: 50%, openFor: 60s } }
routes:
  - name: guarded
    match: { path: "/guarded/{engine}" }
    aggregate: { a: { to: guarded, path: /fails }, b: { to: one, path: /b } }
  - name: cut
    match: { path: /cut }
    aggregate: { a: { to: cut, path: /fails }, b: { to: one, path: /b } }
  - name: parallel
    match: { path: /parallel }
    aggregate: { a: { to: one, path: /a }, b: { to: one, path: /b }, c: { to: two, path: /c } }
  - name: compressed
    match: { path: /compressed }
    compress: { minBytes: 10 }
    headers: { response: { set: { x-made: by-us } } }
    aggregate: { a: { to: one, path: /a }, b: { to: two, path: /b, required: false } }
  - name: chain
    match: { path: "/chain/{id}" }
    aggregate:
      orders: { to: two, path: "/orders?user={legs.user.json.id}", query: { page: "{query.page}", none: "{query.none}" }, headers: { x-segment: "{legs.user.json.segment}", x-tag: "{legs.user.header.x-tag}" } }
      user: { to: one, path: "/users/{id}", pick: [id, name], rename: { name: fullName } }
  - name: values
    match: { path: "/values/{what}" }
    aggregate:
      user: { to: one, path: /users/7 }
      path: { to: two, path: "/odd/{legs.user.json.odd}", required: false }
      slash: { to: two, path: "/odd/{legs.user.json.segment}", required: false }
      header: { to: two, path: /ok, headers: { x-line: "{legs.user.json.line}" }, required: false }
      none: { to: two, path: "/ok?x={legs.user.json.none}", required: false }
      after: { to: two, path: "/ok?x={legs.path.json.id}", required: false }
  - name: choices
    match: { path: "/choices/{id}" }
    aggregate:
      user: { to: one, path: "/users/{id}", required: false }
      orders:
        to: two
        method: POST
        path: "/orders/{legs.user.json.name ?? header.x-segment ?? 'all'}"
        query: { name: "{legs.user.json.name ?? 'nobody'}" }
        headers: { x-tag: "{legs.user.header.x-tag ?? legs.more.json.tag ?? 'none'}" }
        body: { json: { user: "{legs.user.json.id ?? id}", more: "{legs.more.json ?? 'none'}" } }
      more: { to: one, path: /more, required: false }
      both: { to: two, path: "/both/{legs.user.json.id ?? '0'}/{legs.more.json.id}", required: false }
  - name: short
    match: { path: /short }
    aggregate: { a: { to: one, path: /fails }, b: { to: two, path: /hangs, required: false } }
  - name: hang
    match: { path: /hang }
    aggregate: { a: { to: one, path: /hangs }, b: { to: two, path: /hangs, required: false } }
  - name: secured
    match: { path: /secured }
    auth: key
    headers: { request: { set: { x-by-route: "yes" } } }
    aggregate: { a: { to: one, path: /a, headers: { accept: application/vnd.a+json, x-by-leg: "1", x-api-key: of-the-leg } }, b: { to: two, path: /b } }
  - name: bodies
    match: { path: /bodies, methods: [POST] }
    aggregate:
      maxRequestBytes: 1KiB
      legs:
        a: { to: one, path: /a, method: POST, body: client }
        b: { to: two, path: /b, method: PUT, body: client }
        c: { to: two, path: /c, method: POST, body: { json: { user: "{legs.a.json.id}", text: "id {legs.a.json.id} \\"q\\"", all: "{legs.a.json}", n: 1 } } }
        d: { to: one, path: /d }
  - name: cookies
    match: { path: /cookies }
    aggregate: { a: { to: one, path: /cookies, responseHeaders: [set-cookie, x-total] }, b: { to: two, path: /cookies, responseHeaders: [set-cookie] } }
  - name: list
    match: { path: "/list/{n}" }
    aggregate:
      ids: { to: one, path: "/ids/{n}" }
      items: { to: two, path: "/item/{item.id}", forEach: "{legs.ids.json.items}", concurrency: 2, maxItems: 5, pick: [id] }
  - name: gaps
    match: { path: "/gaps/{n}" }
    aggregate:
      legs:
        ids: { to: one, path: "/ids/{n}" }
        items: { to: two, path: "/item/{item.id}", forEach: legs.ids.json.items, onItemFailure: gap, required: false }
      incomplete: { member: missing }
  - name: flat
    match: { path: /flat }
    aggregate:
      merge: flat
      wins: [b, c]
      legs:
        a: { to: one, path: /flat-a }
        b: { to: two, path: /flat-b, flatten: [address] }
        c: { to: two, path: /flat-b, merge: nest, select: address.city }
  - name: stream
    match: { path: /stream }
    aggregate:
      stream: true
      legs: { slow: { to: two, path: /slow, required: false }, fast: { to: one, path: /a }, last: { to: two, path: /fails, required: false } }
  - name: retries
    match: { path: "/retries/{n}" }
    aggregate: { a: { to: retrying, path: "/flaky/{n}" }, b: { to: retrying, path: "/flaky2/{n}", retry: { attempts: 0 }, required: false } }
  - name: relays
    match: { path: "/relays/{what}" }
    aggregate: { a: { to: one, path: "/{what}", relay: [400-499], relayBody: true, responseHeaders: [x-total] } }
`;

const hangs: Script = () => {};
const okay: Script = json({ ok: true });

beforeAll(async () => {
  one = await ScriptedService.start();
  two = await ScriptedService.start();
  gateway = await Gateway.start({ config: config() });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
});
beforeEach(() => {
  for (const service of [one, two]) {
    service.requests.length = service.cut = service.underWayMax = 0;
    service.scripts.clear();
    for (const [path, script] of Object.entries({
      "/a": okay,
      "/b": okay,
      "/c": okay,
      "/d": okay,
      "/ok": okay,
      "/hangs": hangs,
      "/fails": json({}, 500),
    }))
      service.scripts.set(path, script);
    service.scripts.set("/users/7", json(USER, 200, { "x-tag": "t1" }));
    service.scripts.set("/orders", (response, { url }) => json({ url })(response, {} as AskedRequest));
  }
});

const base = (engine: Engine): string => gateway.urls[ENGINES.indexOf(engine)] ?? "";
const ask = (engine: Engine, target: string, init: RequestInit = {}): Promise<Response> => fetch(base(engine) + target, init);
const quiet = (): boolean => one.underWay === 0 && two.underWay === 0;

describe.each(ENGINES)("on %s", (engine) => {
  test("legs that need nothing run at once: none is answered before all have come", async () => {
    const waiting: (() => void)[] = [];
    const script: Script = (response, request) => {
      waiting.push(() => json({ url: request.url })(response, request));
      if (waiting.length === 3) for (const answer of waiting) answer();
    };
    for (const path of ["/a", "/b", "/c"]) {
      one.scripts.set(path, script);
      two.scripts.set(path, script);
    }
    const response = await ask(engine, "/parallel");
    expect(await response.text()).toBe('{"a":{"url":"/a"},"b":{"url":"/b"},"c":{"url":"/c"}}');
  });

  test("what the route does to responses holds for the document, too", async () => {
    const response = await ask(engine, "/compressed", { headers: { "accept-encoding": "gzip" } });
    expect(["content-encoding", "x-made", "vary"].map((name) => response.headers.get(name))).toEqual(["gzip", "by-us", "accept-encoding"]);
    expect(await response.json()).toEqual({ a: { ok: true }, b: { ok: true } });
  });

  test("a leg that needs another waits for it, and is asked with its values, encoded for their places", async () => {
    let usersFirst = false;
    one.scripts.set("/users/7", (response, request) => {
      usersFirst = two.asked("/orders").length === 0;
      json(USER, 200, { "x-tag": "t1" })(response, request);
    });
    const response = await ask(engine, "/chain/7?page=2%262");
    expect(await response.json()).toEqual({ orders: { url: "/orders?user=7&page=2%262" }, user: { id: 7, fullName: "Ada" } });
    expect(usersFirst).toBe(true);
    expect(two.asked("/orders")[0]?.headers).toMatchObject({ "x-segment": "a&b/c", "x-tag": "t1" });
  });

  test("numbers that no double holds stay what they are: in the answer, and in what is asked with them", async () => {
    one.scripts.set("/users/7", (response) => void response.end('{"id":12345678901234567890,"segment":"s"}'));
    one.scripts.set("*", json({}));
    const text = await (await ask(engine, "/chain/7")).text();
    // There is no x-tag, so orders cannot be asked.
    expect(JSON.parse(text)).toMatchObject({ code: "leg_invalid" });
    one.scripts.set(
      "/users/7",
      (response) => void response.writeHead(200, { "x-tag": "t" }).end('{"id":12345678901234567890,"segment":"s"}'),
    );
    expect(await (await ask(engine, "/chain/7")).text()).toBe(
      '{"orders":{"url":"/orders?user=12345678901234567890"},"user":{"id":12345678901234567890}}',
    );
  });

  test("a value that could leave its place, or is not there, fails the leg that wants it, and nobody is asked", async () => {
    const response = await ask(engine, "/values/x");
    expect(Object.keys((await response.json()) as object)).toEqual(["user"]);
    expect(response.headers.get("x-aggregate-incomplete")).toBe("path, slash, header, none, after");
    expect(two.requests).toEqual([]);
  });

  test("what stands in for a leg's values is taken where it has none, also because it has failed", async () => {
    two.scripts.set("*", (response, { url, headers, body }) => json({ url, tag: headers["x-tag"], body })(response, {} as AskedRequest));
    one.scripts.set("/more", json({ id: 5, tag: "t5" }));
    const orders = async (id: string, headers: Record<string, string> = {}) => {
      const response = await ask(engine, `/choices/${id}`, { headers });
      const { orders, both } = (await response.json()) as Record<string, unknown>;
      return { orders, both: (both as { url?: string } | undefined)?.url, incomplete: response.headers.get("x-aggregate-incomplete") };
    };
    expect(await orders("7")).toEqual({
      orders: { url: "/orders/Ada?name=Ada", tag: "t1", body: '{"user":7,"more":{"id":5,"tag":"t5"}}' },
      both: "/both/7/5",
      incomplete: null,
    });
    // There is no such user, so that leg fails; the leg that asks with its values is required, and does not.
    expect(await orders("8", { "x-segment": "s&t" })).toEqual({
      orders: { url: "/orders/s%26t?name=nobody", tag: "t5", body: '{"user":"8","more":{"id":5,"tag":"t5"}}' },
      both: "/both/0/5",
      incomplete: "user",
    });
    one.scripts.set("/more", json({}, 500));
    expect(await orders("8")).toEqual({
      orders: { url: "/orders/all?name=nobody", tag: "none", body: '{"user":"8","more":"none"}' },
      both: undefined,
      incomplete: "user, more, both",
    });
  });

  test("when a required leg fails, the others are cancelled and the answer does not wait for them", async () => {
    one.scripts.set("/fails", (response, request) => {
      const answer = (): void => (two.underWay > 0 ? json({}, 500)(response, request) : void setImmediate(answer));
      answer(); // not before the other leg is under way
    });
    const response = await ask(engine, "/short");
    expect([response.status, await response.json()]).toEqual([502, expect.objectContaining({ code: "leg_status" })]);
    await until("the other call is cut", () => quiet() && two.cut === 1);
  });

  test("a client that goes away cancels every leg, counts as its own doing, and against no target", async () => {
    const before = gateway.lines().filter((line) => line["route"] === "hang").length;
    for (let i = 0; i < 8; i++) {
      const client = await RawClient.connect(Number(new URL(base(engine)).port));
      client.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
      await until("both services are asked", () => one.underWay === 1 && two.underWay === 1);
      client.destroy();
      await until("both calls are cut", quiet);
    }
    expect([one.cut, two.cut]).toEqual([8, 8]);
    await until("the log has all lines", () => gateway.lines().filter((line) => line["route"] === "hang").length === before + 8);
    for (const line of gateway
      .lines()
      .filter((each) => each["route"] === "hang")
      .slice(before))
      expect(line).toMatchObject({ status: 0, code: "client_aborted", legs: 2, failedLegs: [], attempts: 2 });
    // Were they failures, the targets would be ejected by now.
    expect((await ask(engine, "/parallel")).status).toBe(200);
  });

  test("every leg has what a proxied request has: identity, forwarding, the route's headers, its own Host; and asks for plain JSON", async () => {
    const response = await ask(engine, "/secured", {
      headers: {
        "x-api-key": "key-1",
        "x-consumer-id": "mallory",
        "x-by-leg": "client",
        "x-other": "1",
        "x-forwarded-for": "1.2.3.4",
        "if-none-match": '"x"',
        range: "bytes=0-1",
        accept: "text/html",
        "content-type": "text/plain",
      },
    });
    expect(response.status).toBe(200);
    const [a, b] = [one.asked("/a")[0]?.headers ?? {}, two.asked("/b")[0]?.headers ?? {}];
    for (const headers of [a, b]) {
      expect(headers).toMatchObject({
        "x-consumer-id": "acme",
        "x-other": "1",
        "accept-encoding": "identity",
        "x-by-route": "yes",
        "x-forwarded-for": "127.0.0.1",
      });
      for (const name of ["if-none-match", "range", "content-type"]) expect(headers).not.toHaveProperty(name);
      expect(headers["x-request-id"]).toBe(response.headers.get("x-request-id"));
    }
    expect([a["host"], b["host"]]).toEqual([new URL(one.url).host, new URL(two.url).host]);
    expect([a["accept"], b["accept"]]).toEqual(["application/vnd.a+json", "application/json"]);
    expect([a["x-by-leg"], b["x-by-leg"]]).toEqual(["1", "client"]);
    // A leg's own credential reaches its service; the client's reaches none.
    expect([a["x-api-key"], b["x-api-key"]]).toEqual(["of-the-leg", undefined]);
    expect((await ask(engine, "/secured")).status).toBe(401);
    expect(one.asked("/a")).toHaveLength(1);
  });

  test("the client's body goes to each leg that is to have it, whole, and to no other", async () => {
    one.scripts.set("/a", json({ id: 5, list: [1] }));
    for (const body of ["text €", new Blob(["text €"]).stream()]) {
      for (const service of [one, two]) service.requests.length = 0;
      const response = await ask(engine, "/bodies", {
        method: "POST",
        body,
        headers: { "content-type": "text/x" },
        duplex: "half",
      } as RequestInit);
      expect(response.status).toBe(200);
      const seen = [one.asked("/a"), two.asked("/b"), two.asked("/c"), one.asked("/d")].map(([request]) => [
        request?.method,
        request?.body,
        request?.headers["content-type"],
      ]);
      expect(seen).toEqual([
        ["POST", "text €", "text/x"],
        ["PUT", "text €", "text/x"],
        ["POST", '{"user":5,"text":"id 5 \\"q\\"","all":{"id":5,"list":[1]},"n":1}', "application/json"],
        ["GET", "", undefined],
      ]);
    }
    const tooLarge = await ask(engine, "/bodies", { method: "POST", body: "x".repeat(1025) });
    expect([tooLarge.status, await tooLarge.json()]).toEqual([
      413,
      expect.objectContaining({ code: "body_too_large", detail: "the limit is 1024 bytes" }),
    ]);
  });

  test("a body that no leg is to have disturbs nobody", async () => {
    expect((await ask(engine, "/parallel", { method: "POST", body: "x".repeat(10_000) })).status).toBe(200);
    expect([...one.requests, ...two.requests].map(({ method, body }) => [method, body])).toEqual([
      ["GET", ""],
      ["GET", ""],
      ["GET", ""],
    ]);
  });

  test("named headers of legs come line by line, and cookies are never joined", async () => {
    one.scripts.set("/cookies", json({}, 200, { "set-cookie": ["a=1; Path=/", "b=2"], "x-total": "9", "x-other": "1" }));
    two.scripts.set("/cookies", json({}, 200, { "set-cookie": ["c=3"], "x-total": "1" }));
    const response = await ask(engine, "/cookies");
    expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2", "c=3"]);
    expect([response.headers.get("x-total"), response.headers.get("x-other")]).toEqual(["9", null]);
  });

  describe("with a list", () => {
    const ids = (n: number) => json({ items: Array.from({ length: n }, (_, i) => ({ id: i })) });

    test("each item is asked for, in order of the items whatever comes first, with a bound at once", async () => {
      one.scripts.set("/ids/5", ids(5));
      const held: (() => void)[] = [];
      two.scripts.set("*", (response, request) => {
        const id = Number(request.url.split("/")[2]);
        held.push(() => json({ id, x: 1 })(response, request));
        // The later one first.
        if (held.length === 2 || id === 4) while (held.length > 0) held.pop()?.();
      });
      expect(await (await ask(engine, "/list/5")).json()).toMatchObject({ items: [0, 1, 2, 3, 4].map((id) => ({ id })) });
      expect([two.requests.length, two.underWayMax]).toEqual([5, 2]);
    });

    test("no item gives an empty list, and more than may be asked for fails the leg before it asks", async () => {
      one.scripts.set("/ids/0", ids(0));
      one.scripts.set("/ids/6", ids(6));
      one.scripts.set("/ids/none", json({ items: "text" }));
      expect(await (await ask(engine, "/list/0")).json()).toMatchObject({ items: [] });
      expect(await (await ask(engine, "/list/6")).json()).toMatchObject({ code: "leg_too_large" });
      expect(await (await ask(engine, "/list/none")).json()).toMatchObject({ code: "leg_invalid" });
      expect(two.requests).toEqual([]);
    });

    test("a failed item fails the leg and cancels the rest, or leaves a gap that is named", async () => {
      one.scripts.set("/ids/4", ids(4));
      two.scripts.set("*", (response, request) => json({ id: request.url }, request.url.endsWith("1") ? 500 : 200)(response, request));
      expect(await (await ask(engine, "/list/4")).json()).toMatchObject({ code: "leg_status" });
      const response = await ask(engine, "/gaps/4");
      expect(await response.json()).toMatchObject({
        items: [{ id: "/item/0" }, null, { id: "/item/2" }, { id: "/item/3" }],
        missing: [{ leg: "items", code: "leg_status" }],
      });
      expect(response.headers.get("x-aggregate-incomplete")).toBe("items");
      await until("nothing is under way", quiet);
    });
  });

  test("flat legs share one object, and equal members are those of the leg that wins, whatever comes first", async () => {
    for (const slow of [one, two]) {
      for (const service of [one, two]) {
        const late =
          (value: unknown): Script =>
          (response, request) => {
            const other = service === one ? two : one;
            const answer = (): void =>
              service === slow && other.underWay > 0 && other.requests.length === 0
                ? void setImmediate(answer)
                : json(value)(response, request);
            answer();
          };
        service.scripts.set("/flat-a", late({ id: "a", x: 1 }));
        service.scripts.set("/flat-b", late({ id: "b", address: { city: "Bern", x: 2 } }));
      }
      expect(await (await ask(engine, "/flat")).text()).toBe('{"id":"b","city":"Bern","x":2,"c":"Bern"}');
    }
  });

  test("an upstream's retries hold for a leg, unless it has its own number", async () => {
    const flaky = (): Script => {
      let left = 2;
      return (response, request) => json({ left }, left-- > 0 ? 503 : 200)(response, request);
    };
    two.scripts.set("/flaky/1", flaky());
    two.scripts.set("/flaky2/1", flaky());
    expect(await (await ask(engine, "/retries/1")).json()).toEqual({ a: { left: 0 } });
    expect([two.asked("/flaky/1").length, two.asked("/flaky2/1").length]).toEqual([3, 1]);
  });

  test("a service's own refusal comes through where the leg relays it, with its body and what the status needs", async () => {
    one.scripts.set("/bad", json({ why: "field x" }, 422, { "x-total": "1", "x-other": "1" }));
    one.scripts.set(
      "/who",
      (response) => void response.writeHead(401, { "www-authenticate": "Bearer", "content-type": "text/plain" }).end("who?"),
    );
    const bad = await ask(engine, "/relays/bad");
    expect([bad.status, await bad.json(), bad.headers.get("x-total"), bad.headers.get("x-other")]).toEqual([
      422,
      { why: "field x" },
      "1",
      null,
    ]);
    const who = await ask(engine, "/relays/who");
    expect([who.status, await who.text(), who.headers.get("www-authenticate"), who.headers.get("content-type")]).toEqual([
      401,
      "who?",
      "Bearer",
      "text/plain",
    ]);
  });
});

test("an open breaker's fixed answer stands in for the leg's, and without one the answer is 503 with Retry-After", async () => {
  expect((await ask("uws", "/guarded/x")).status).toBe(502);
  await untilAsync("the breaker is open", async () => {
    expect(await (await ask("uws", "/guarded/x")).json()).toEqual({ a: { standIn: true }, b: { ok: true } });
  });
  expect((await ask("uws", "/cut")).status).toBe(502);
  await untilAsync("the other one is, too", async () => {
    const response = await ask("uws", "/cut");
    expect([response.status, await response.json()]).toEqual([503, expect.objectContaining({ code: "breaker_open" })]);
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(30);
    expect(response.headers.get("x-aggregate-incomplete")).toBe("a");
  });
});

describe.each(ENGINES)("a streamed answer on %s", (engine) => {
  test("begins when the required legs have ended, goes on in the declared order, and names what failed in a member and a trailer", async () => {
    let release = (): void => {};
    two.scripts.set("/slow", (response, request) => {
      release = () => json({ slow: true })(response, request);
    });
    const client = await RawClient.connect(Number(new URL(base(engine)).port));
    client.send("GET /stream HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n");
    await until("the head is out", () => client.pending.includes("\r\n\r\n"));
    expect(client.pending.toString()).not.toContain("slow");
    release();
    const { status, fields, body, trailers } = await client.response();
    expect([status, body.toString()]).toEqual([
      200,
      '{"slow":{"slow":true},"fast":{"ok":true},"incomplete":[{"leg":"last","code":"leg_status"}]}',
    ]);
    const names = fields.map(([name]) => name.toLowerCase());
    expect(names).not.toContain("content-length");
    expect(fields[names.indexOf("cache-control")]?.[1]).toBe("no-store");
    expect(trailers).toEqual(engine === "net" ? [["x-aggregate-incomplete", "last"]] : []);
    client.destroy();
  });

  test("whose client goes away leaves nothing under way", async () => {
    two.scripts.set("/slow", hangs);
    const client = await RawClient.connect(Number(new URL(base(engine)).port));
    client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    await until("the head is out", () => client.pending.includes("\r\n\r\n"));
    client.destroy();
    await until("the call is cut", () => quiet() && two.cut === 1);
  });
});

test("counters tell what became of each leg, and nothing stays in flight", async () => {
  await until("nothing is under way", quiet);
  let page = "";
  await untilAsync("gauges are back at zero", async () => {
    page = String((await gateway.admin("GET", "/metrics")).body);
    const gauges = [...page.matchAll(/^sluice_(?:target|worker)_in_flight\{[^}]*\} (\d+)$/gm)].map(([, count]) => count);
    expect(new Set(gauges)).toEqual(new Set(["0"]));
  });
  expect(page).toMatch(/sluice_leg_outcomes_total\{route="hang",leg="a",outcome="cancelled"\} 16\n/);
  expect(page).toMatch(/sluice_leg_outcomes_total\{route="short",leg="a",outcome="failed"\} 2\n/);
  expect(page).toMatch(/sluice_leg_outcomes_total\{route="values",leg="after",outcome="skipped"\} 2\n/);
  expect(page).toMatch(/sluice_leg_outcomes_total\{route="parallel",leg="c",outcome="ok"\} \d+\n/);
});

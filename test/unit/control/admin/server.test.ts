import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type IncomingHttpHeaders, type RequestOptions, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Script } from "node:vm";
import { afterEach, describe, expect, test, vi } from "vitest";
import { OperatorError } from "../../../../src/base/errors.ts";
import type { AdminDeps } from "../../../../src/control/admin/deps.ts";
import { ADMIN_PROBLEMS, type AdminProblemCode } from "../../../../src/control/admin/problem.ts";
import { type Admin, createAdmin } from "../../../../src/control/admin/server.ts";
import { STATUS_SCRIPT } from "../../../../src/control/admin/status-script.ts";
import type { ReloadResult } from "../../../../src/control/plan/reload.ts";
import type { BreakerStatus, FleetState } from "../../../../src/observe/instance-state.ts";
import type { Plan } from "../../../../src/plan/plan.ts";
import { cacheControl, fleetState, instanceState, instanceTotals } from "../../../support/instance.ts";
import { parsePrometheus } from "../../../support/prometheus-parser.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: the tests name what they expect
  readonly json: () => any;
}

const open: Admin[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((admin) => admin.close()));
});

const PLAN = {
  version: 3,
  upstreams: [{ name: "users" }],
  errorPages: [
    {
      pages: [
        { on: "rate_limited", variants: [] },
        { on: { min: 500, max: 599 }, variants: [] },
      ],
      intercept: [{ min: 502, max: 502 }],
    },
  ],
  routes: [
    {
      name: "users-read",
      match: {
        hosts: ["api.example.com"],
        paths: ["/users/{id}"],
        listeners: [],
        scheme: null,
        methods: ["GET"],
        headers: [],
        query: [],
        client: null,
        versions: [],
      },
      settings: { accessLog: true, errorPages: 0 },
      handler: { name: "proxy", config: { to: [{ upstream: 0, weight: 1 }], mirror: { upstream: 0, fraction: 0.01 }, webSocket: true } },
      policies: [{ name: "cors", config: {} }],
      filters: [],
    },
  ],
} as unknown as Plan; // the views read nothing else

function create(changes: Partial<AdminDeps> = {}): Admin {
  const deps: AdminDeps = {
    token: () => null,
    state: () => instanceState(),
    totals: instanceTotals(),
    plan: () => PLAN,
    config: () => ({ admin: { token: "***" } }),
    reload: async () => ({ ok: true, version: 4, changes: ["route users-read changed"], warnings: [] }),
    drain: () => {},
    breakers: () => [],
    cache: cacheControl(),
    warmUp: { state: () => null, order: () => null },
    purge: async () => ({ removed: null, fleet: null }),
    forceBreaker: async () => false,
    ...changes,
  };
  const admin = createAdmin(deps);
  open.push(admin);
  return admin;
}

const CONCERN = { summary: "a worker keeps dying", detail: "worker 1 fails again and again" };

async function start(changes: Partial<AdminDeps> = {}) {
  const { port } = await create(changes).listen("127.0.0.1:0");
  return (method: string, path: string, headers: Record<string, string> = {}): Promise<Answer> =>
    call({ host: "127.0.0.1", port, method, path, headers });
}

function call(options: RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request({ agent: false, ...options }, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body, json: () => JSON.parse(body) }),
        reject,
      );
    })
      .on("error", reject)
      .end();
  });
}

function expectProblem(answer: Answer, code: AdminProblemCode): void {
  expect(answer.headers["content-type"]).toBe("application/problem+json");
  expect([answer.status, answer.json()]).toMatchObject([ADMIN_PROBLEMS[code].status, { code, status: ADMIN_PROBLEMS[code].status }]);
}

describe("who may call", () => {
  const TOKEN = "s3cret-token";
  test.each<[string, string, string, Record<string, string>, AdminProblemCode | null]>([
    ["GET", "/config", "without a token", {}, "token_required"],
    ["GET", "/config", "with another", { authorization: "Bearer s3cret-tokem" }, "token_required"],
    ["GET", "/config", "with a prefix of it", { authorization: "Bearer s3cret" }, "token_required"],
    ["GET", "/config", "with an empty one", { authorization: "Bearer " }, "token_required"],
    ["GET", "/config", "by another scheme", { authorization: `Basic ${TOKEN}` }, "token_required"],
    ["GET", "/config", "with it", { authorization: `Bearer ${TOKEN}` }, null],
    ["GET", "/config", "with it, scheme in lower case, under any name", { authorization: `bearer ${TOKEN}`, host: "gw.example.com" }, null],
    ["GET", "/metrics", "without a token", {}, "token_required"],
    ["GET", "/status", "without a token", {}, "token_required"],
    ["GET", "/nothing", "without a token", {}, "token_required"],
    ["POST", "/reload", "without a token", {}, "token_required"],
    ["POST", "/reload", "with it", { authorization: `Bearer ${TOKEN}` }, null],
    [
      "POST",
      "/reload",
      "with it, from a page of another site",
      { authorization: `Bearer ${TOKEN}`, origin: "http://evil.test" },
      "cross_site",
    ],
    ["GET", "/healthz", "without a token (probes have none)", {}, null],
    ["GET", "/readyz", "without a token (probes have none)", {}, null],
    ["GET", "/", "without a token (the page holds no data)", {}, null],
  ])("with a token set: %s %s %s", async (method, path, _how, headers, refusal) => {
    const answer = await (await start({ token: () => TOKEN }))(method, path, headers);
    if (refusal === null) expect(answer.status).toBe(200);
    else expectProblem(answer, refusal);
    if (refusal === "token_required") expect(answer.headers["www-authenticate"]).toMatch(/^Bearer/);
  });

  test.each<[string, string, Record<string, string>, AdminProblemCode | null]>([
    ["GET", "/config", { host: "127.0.0.1:9901" }, null],
    ["GET", "/config", { host: "LOCALHOST" }, null],
    ["GET", "/config", { host: "[::1]:9901" }, null],
    ["GET", "/config", { host: "127.8.9.10" }, null],
    ["GET", "/config", { host: "evil.test" }, "host_refused"],
    ["GET", "/config", { host: "127.0.0.1.evil.test" }, "host_refused"],
    ["GET", "/config", { host: "localhost.evil.test:80" }, "host_refused"],
    ["GET", "/config", { host: "localhost:80@evil.test" }, "host_refused"],
    ["GET", "/config", { host: "[::2]" }, "host_refused"],
    ["GET", "/config", { host: "::1" }, "host_refused"],
    ["GET", "/healthz", { host: "evil.test" }, "host_refused"],
    ["GET", "/", { host: "evil.test" }, "host_refused"],
    ["POST", "/reload", { host: "localhost:1", origin: "http://localhost:1" }, null],
    ["POST", "/reload", { host: "localhost:1", origin: "http://localhost:2" }, "cross_site"],
    ["POST", "/reload", { host: "localhost:1", origin: "null" }, "cross_site"],
    ["POST", "/reload", { host: "localhost:1", "sec-fetch-site": "cross-site" }, "cross_site"],
    ["POST", "/reload", { host: "localhost:1", "sec-fetch-site": "same-site" }, "cross_site"],
    ["POST", "/reload", { host: "localhost:1", "sec-fetch-site": "same-origin" }, null],
  ])("without a token: %s %s %j", async (method, path, headers, refusal) => {
    const answer = await (await start())(method, path, headers);
    if (refusal === null) expect(answer.status).toBe(200);
    else expectProblem(answer, refusal);
  });

  test("the token may change while it runs, and an empty one is none", async () => {
    let token = "";
    const ask = await start({ token: () => token });
    expect((await ask("GET", "/config")).status).toBe(200);
    token = "new";
    expectProblem(await ask("GET", "/config"), "token_required");
  });
});

describe("what is answered", () => {
  test("readiness follows the phase", async () => {
    let state = instanceState({ phase: "starting" });
    const ask = await start({ state: () => state });
    expect([(await ask("GET", "/readyz")).status, (await ask("GET", "/healthz")).status]).toEqual([503, 200]);
    state = instanceState({ concerns: [CONCERN] });
    const ready = await ask("GET", "/readyz");
    expect([ready.status, ready.json()]).toEqual([200, { status: "ready", planVersion: 3, concerns: [CONCERN.detail] }]);
    state = instanceState({ phase: "draining" });
    const draining = await ask("GET", "/readyz");
    expect([draining.status, draining.json().status]).toEqual([503, "draining"]);
  });

  test("readiness tells names, addresses and causes to operators only, and probes without a token that something is wrong", async () => {
    const ask = await start({ token: () => "s3cret", state: () => instanceState({ concerns: [CONCERN, CONCERN] }) });
    const concerns = async (headers: Record<string, string>): Promise<unknown> => (await ask("GET", "/readyz", headers)).json().concerns;
    expect(await concerns({})).toEqual([CONCERN.summary]);
    expect(await concerns({ authorization: "Bearer guessed" })).toEqual([CONCERN.summary]);
    expect(await concerns({ authorization: "Bearer s3cret" })).toEqual([CONCERN.detail]);
  });

  test("readiness tells named ways out to operators only", async () => {
    const insecure = ["any-issuer (auth.corp)"];
    const ask = await start({ token: () => "s3cret", state: () => instanceState({ insecure }) });
    expect((await ask("GET", "/readyz")).json()).toEqual({ status: "ready", planVersion: 3, concerns: [] });
    expect((await ask("GET", "/readyz", { authorization: "Bearer s3cret" })).json()).toEqual({
      status: "ready",
      planVersion: 3,
      concerns: [],
      insecure,
    });
  });

  test("the status page is told of named ways out", async () => {
    const ask = await start({ state: () => instanceState({ insecure: ["old-tls (upstreams.printer)"] }) });
    expect((await ask("GET", "/status")).json().instance.insecure).toEqual(["old-tls (upstreams.printer)"]);
    const source = /^function attention\(.*?^\}$/ms.exec(STATUS_SCRIPT)?.[0] ?? "";
    const attention = new Function(`${source}; return attention;`)() as (now: unknown, traffic: unknown) => unknown; // of the page's own script
    const now = { instance: { concerns: ["redis is away"], insecure: ["old-tls (upstreams.printer)"], phase: "serving" }, workers: [] };
    expect(attention(now, { routes: [], upstreams: [] })).toEqual([
      ["warn", "redis is away"],
      ["warn", "open by configuration: old-tls (upstreams.printer)"],
    ]);
  });

  test("metrics", async () => {
    const answer = await (await start())("GET", "/metrics");
    expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(parsePrometheus(answer.body).get("sluice_plan_version")?.samples[0]?.value).toBe(3);
  });

  test.each([
    ["/breakers/users/open", ["users", null, "open"]],
    ["/breakers/users/http%3A%2F%2F10.0.0.1%3A9001/close", ["users", "http://10.0.0.1:9001", "close"]],
    ["/breakers/users/auto?x=1", ["users", null, "auto"]],
  ])("POST %s forces a breaker", async (path, expected) => {
    const orders: unknown[] = [];
    const ask = await start({
      forceBreaker: async (...order) => {
        orders.push(order);
        return true;
      },
    });
    expect((await ask("POST", path)).status).toBe(200);
    expect(orders).toEqual([expected]);
    expectProblem(await ask("POST", path, { origin: "http://evil.test" }), "cross_site");
    expectProblem(await ask("GET", path), "method_not_allowed");
    for (const odd of [
      "/breakers/users/ajar",
      "/breakers/open",
      "/breakers/a/b/c/open",
      "/breakers/%zz/open",
      "/breakers//open",
      "/breakers/",
    ])
      expectProblem(await ask("POST", odd), "not_found");
    expect(orders).toHaveLength(1);
  });

  test("a breaker, and what other instances say of it", async () => {
    const status = { state: "closed", phase: 0 } as BreakerStatus; // passed through
    const target = "http://10.0.0.1:9001";
    const breakers = () => [
      { upstream: "users", target: null, status },
      { upstream: "users", target, status },
    ];
    const own = { upstream: "users", status };
    const known = { knowledge: "fresh", ageMs: 120, reporting: 7 };
    let fleet: FleetState | null = fleetState();
    const ask = await start({ breakers, forceBreaker: async () => true, state: () => instanceState({ fleet }) });
    const open = { ...known, states: { open: 2, "half-open": 1 }, instances: fleet.breakers.breakers[0]?.instances };
    expect((await ask("GET", "/breakers")).json()).toEqual([
      { ...own, target: null, others: { ...known, states: {}, instances: [] } },
      { ...own, target, others: open },
    ]);
    expect((await ask("POST", `/breakers/users/${encodeURIComponent(target)}/open`)).json()).toEqual({ ...own, target, others: open });
    expect((await ask("GET", "/fleet")).json()).toEqual(fleet);
    fleet = fleetState({ breakers: { ...fleet.breakers, knowledge: "unknown", instances: null, breakers: [] } });
    expect((await ask("GET", "/breakers")).json()[1].others).toEqual({
      ...known,
      knowledge: "unknown",
      reporting: null,
      states: null,
      instances: null,
    });
    fleet = null;
    expect((await ask("GET", "/breakers")).json()[1]).toEqual({ ...own, target, others: null });
    expect((await ask("GET", "/fleet")).json()).toBeNull();
  });

  test("config, routes, upstreams, workers, status", async () => {
    const totals = instanceTotals();
    totals.cells[0]?.attempt(0, 0, 5, 200);
    totals.cells[0]?.request(totals.routeNames.slot("users-read"), 200, 0, 5, 0, 0);
    const ask = await start({ totals });
    expect((await ask("GET", "/config")).json()).toEqual({ admin: { token: "***" } });
    expect((await ask("GET", "/routes")).json()).toMatchObject([
      {
        name: "users-read",
        to: [{ upstream: "users", weight: 1 }],
        mirror: { upstream: "users" },
        policies: ["cors"],
        errorPages: { on: ["rate_limited", "500-599"], intercept: "502" },
      },
    ]);
    expect((await ask("GET", "/upstreams")).json()[0].targets).toMatchObject([
      { key: "http://10.0.0.1:9001", healthy: true, attempts: 1, failures: {} },
      { key: "http://10.0.0.2:9001", healthy: false, reason: "ejected" },
    ]);
    expect((await ask("GET", "/workers")).json()).toMatchObject([
      { index: 0, state: "serving", inFlight: 0 },
      { index: 1, restarts: 2 },
    ]);
    expect((await ask("GET", "/status")).json()).toMatchObject({
      instance: { phase: "serving" },
      routes: [{ name: "users-read", match: "GET api.example.com/users/{id}", byClass: [0, 0, 1, 0, 0, 0] }],
    });
  });

  test.each<[string, ReloadResult, unknown]>([
    ["done", { ok: true, version: 9, changes: ["a"], warnings: ["b"] }, [200, { version: 9, changes: ["a"], warnings: ["b"] }]],
    [
      "refused",
      {
        ok: false,
        problems: [{ message: "unknown key", at: { file: "f.yaml", line: 3, column: 5 }, path: "routes[0].tp" }, "worker 0: no"],
      },
      [422, { code: "reload_refused", problems: [{ message: "unknown key", at: { line: 3 } }, { message: "worker 0: no" }] }],
    ],
  ])("reload %s", async (_name, result, expected) => {
    const answer = await (await start({ reload: async () => result }))("POST", "/reload");
    expect([answer.status, answer.json()]).toMatchObject(expected as object);
  });

  test("drain is answered first, then begun", async () => {
    const drain = vi.fn();
    const ask = await start({ drain });
    expect((await ask("POST", "/drain")).status).toBe(202);
    await vi.waitFor(() => expect(drain).toHaveBeenCalledOnce());
  });

  test.each([
    ["GET", "/reload", "POST"],
    ["POST", "/metrics", "GET, HEAD"],
    ["DELETE", "/config", "GET, HEAD"],
  ])("%s %s is not allowed", async (method, path, allow) => {
    const answer = await (await start())(method, path);
    expectProblem(answer, "method_not_allowed");
    expect(answer.headers.allow).toBe(allow);
  });

  test.each(["/nothing", "/constructor", "/metrics/", "//metrics", "/debug/crash"])("GET %s is nothing", async (path) => {
    expectProblem(await (await start())("GET", path), "not_found");
  });

  test("debug actions exist only when the primary offers them", async () => {
    const offered = await start({ debug: (action, query) => (action === "crash" ? Promise.resolve(query.get("worker")) : null) });
    expect((await offered("POST", "/debug/crash?worker=1")).json()).toEqual({ result: "1" });
    expectProblem(await offered("POST", "/debug/other"), "not_found");
    expectProblem(await offered("GET", "/debug/crash"), "not_found");
    expectProblem(await (await start())("POST", "/debug/crash"), "not_found");
  });

  test("HEAD is GET without a body", async () => {
    const ask = await start();
    const [head, get] = [await ask("HEAD", "/routes"), await ask("GET", "/routes")];
    expect([head.status, head.body, head.headers["content-length"]]).toEqual([200, "", get.headers["content-length"]]);
  });

  test("a bug in the primary is a 500 without details", async () => {
    const answer = await (
      await start({
        config: () => {
          throw new Error("inner detail");
        },
      })
    )("GET", "/config");
    expectProblem(answer, "failed");
    expect(answer.body).not.toContain("inner detail");
  });

  test("the page runs only its own script and style, loads nothing, and cannot be framed", async () => {
    const page = await (await start())("GET", "/");
    const policy = page.headers["content-security-policy"] ?? "";
    expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; connect-src 'self';/);
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.body).not.toMatch(/(?:src|href)="(?:https?:)?\/\/|innerHTML|style="/);
    const script = /<script>([\s\S]*)<\/script>/.exec(page.body)?.[1] ?? "";
    expect(() => new Script(script)).not.toThrow(); // compiles; it runs in browsers only
  });
});

describe("listening", () => {
  test("an address in use is an operator's error that names it", async () => {
    const { port } = await create().listen("127.0.0.1:0");
    const error = await create()
      .listen(`127.0.0.1:${port}`)
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OperatorError);
    expect(String(error)).toContain(`127.0.0.1:${port}`);
  });

  test.each(["localhost", "127.0.0.1:99999", "1:2:3", "[::1", ":x"])("%s is no address", async (address) => {
    await expect(create().listen(address)).rejects.toThrow(OperatorError);
  });

  test("close frees the address, and an idle keep-alive connection does not hold it", async () => {
    const admin = create();
    const { port } = await admin.listen("127.0.0.1:0");
    await call({ host: "127.0.0.1", port, path: "/healthz", headers: { connection: "keep-alive" } });
    await admin.close();
    expect((await create().listen(`127.0.0.1:${port}`)).port).toBe(port);
  });

  describe("on a Unix socket", () => {
    test("only for its owner, without token or Host rules, still without pages of other sites", async () => {
      const directory = await mkdtemp(join(tmpdir(), "sluice-admin-"));
      const socketPath = join(directory, "control.sock");
      const admin = create({ token: () => "secret" });
      await admin.listenUnix(socketPath);
      expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
      expect((await call({ socketPath, path: "/config", headers: { host: "anything" } })).status).toBe(200);
      expectProblem(await call({ socketPath, path: "/reload", method: "POST", headers: { origin: "http://evil.test" } }), "cross_site");
      await expect(create().listenUnix(socketPath)).rejects.toThrow(OperatorError);
      await admin.close();
      await expect(stat(socketPath)).rejects.toThrow(/ENOENT/);
      await rm(directory, { recursive: true });
    });

    test("what is no socket is left alone", async () => {
      const directory = await mkdtemp(join(tmpdir(), "sluice-admin-"));
      const file = join(directory, "important");
      await writeFile(file, "do not lose me");
      await expect(create().listenUnix(file)).rejects.toThrow(OperatorError);
      expect(await readFile(file, "utf8")).toBe("do not lose me");
      await rm(directory, { recursive: true });
    });

    test("one left behind by a dead process is replaced", async () => {
      const directory = await mkdtemp(join(tmpdir(), "sluice-admin-"));
      const socketPath = join(directory, "control.sock");
      spawnSync(process.execPath, [
        "-e",
        `require("node:net").createServer().listen(${JSON.stringify(socketPath)}, () => process.kill(process.pid, "SIGKILL"))`,
      ]);
      expect((await stat(socketPath)).isSocket()).toBe(true);
      await create().listenUnix(socketPath);
      expect((await call({ socketPath, path: "/healthz" })).status).toBe(200);
      await Promise.all(open.splice(0).map((admin) => admin.close()));
      await rm(directory, { recursive: true });
    });
  });
});

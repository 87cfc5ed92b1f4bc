// Circuit breakers as clients, services and operators see them: two workers that must act as one, real failures.
import net from "node:net";
import { describe, expect, it, onTestFailed } from "vitest";
import { WebSocket } from "ws";
import type { BreakerStatus } from "../../../src/observe/instance-state.ts";
import { GatedOrigin } from "../../support/gated-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

const QUIET = "health: { passive: false }, retry: { attempts: 0 }";

const config = (urls: readonly string[], breaker: string, more: { settings?: string; upstreams?: string } = {}): string => `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
upstreams:
  main: { targets: [ ${urls.map((url) => `{ url: "${url}" }`).join(", ")} ], breaker: { minimumRequests: 10, ${breaker} }, ${more.settings ?? QUIET} }
${more.upstreams ?? ""}
routes: [ { name: all, match: {}, to: main } ]
`;

async function start(text: string, files: Record<string, string> = {}): Promise<Gateway> {
  const gateway = await Gateway.start({ config: text, files });
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

/** New connections each time, so that both workers get some. */
const traffic = (gateway: Gateway, connections = 8): SteadyClient =>
  new SteadyClient({ url: `${gateway.url}/x`, connections, keepAlive: false });

const answers = (client: SteadyClient): number => client.ok + client.failures.length;
const refusals = (client: SteadyClient): number => client.failures.filter((what) => what.includes("breaker_open")).length;

/** Waits until so many more answers came. */
async function more(client: SteadyClient, count = 60): Promise<void> {
  const before = answers(client);
  await until("traffic goes on", () => answers(client) >= before + count, 20_000);
}

interface Breaker {
  readonly upstream: string;
  readonly target: string | null;
  readonly status: BreakerStatus;
}

async function breakers(gateway: Gateway): Promise<readonly Breaker[]> {
  const { body } = await gateway.admin("GET", "/breakers");
  return Array.isArray(body) ? body : []; // the admin listener's documented form
}

async function statusOf(gateway: Gateway, target: string | null): Promise<BreakerStatus> {
  const found = (await breakers(gateway)).find((each) => each.upstream === "main" && each.target === target);
  if (found === undefined) throw new Error(`no breaker of ${target}`);
  return found.status;
}

const ask = async (gateway: Gateway, init: RequestInit = {}) => {
  const response = await fetch(`${gateway.url}/x`, { ...init, headers: { connection: "close", ...init.headers } });
  const text = await response.text();
  return { status: response.status, retryAfter: response.headers.get("retry-after"), text, code: /"code":"(\w+)"/.exec(text)?.[1] };
};

const force = (gateway: Gateway, order: string, target?: string) =>
  gateway.admin("POST", `/breakers/main/${target === undefined ? "" : `${encodeURIComponent(target)}/`}${order}`);

describe.each(["upstream", "target"])("scope %s", (scope) => {
  it("opens for all workers at once: who comes is refused with Retry-After, and the service is left alone", async () => {
    await using origin = await GatedOrigin.start();
    await using gateway = await start(config([origin.url], `scope: ${scope}, openFor: 30s`));
    const client = traffic(gateway);
    await more(client);
    expect(client.failures).toEqual([]);
    origin.status = 500;
    expect(await gateway.said("breaker opened")).toMatchObject({ upstream: "main", openings: 1, openForMs: expect.any(Number) });
    await more(client);
    const asked = origin.requests;
    const refused = refusals(client);
    await more(client, 200);
    await client.stop();
    expect(origin.requests).toBe(asked);
    expect(refusals(client)).toBeGreaterThanOrEqual(refused + 200);
    for (let i = 0; i < 6; i++) {
      const { status, code, retryAfter } = await ask(gateway);
      expect([status, code]).toEqual([503, "breaker_open"]);
      expect(Number(retryAfter)).toBeGreaterThan(1);
      expect(Number(retryAfter)).toBeLessThanOrEqual(30);
    }
    // Said once, by one: not by each worker.
    expect(gateway.lines("breaker opened")).toHaveLength(1);
    const { body } = await gateway.admin("GET", "/metrics");
    const labels = scope === "upstream" ? `upstream="main"` : `upstream="main",target="${origin.url}"`;
    expect(body).toContain(`sluice_breaker_state{${labels}} 1\n`);
    expect(body).toContain(`sluice_breaker_transitions_total{${labels},to="open"} 1\n`);
    expect(body).toContain(`sluice_breaker_rejected_total{upstream="main"} ${refusals(client) + 6}\n`);
  });

  it("half-open: exactly so many requests reach the service, then it recovers and closes", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 500;
    await using gateway = await start(config([origin.url], `scope: ${scope}, openFor: 300ms, halfOpenRequests: 3, recovery: 500ms`));
    const client = traffic(gateway, 12);
    await gateway.said("breaker opened");
    const asked = origin.requests;
    origin.status = 0;
    await until("three trials wait at the service", () => origin.waiting === 3, 10_000);
    await more(client, 200);
    expect([origin.waiting, (await statusOf(gateway, scope === "upstream" ? null : origin.url)).round]).toEqual([
      3,
      { trials: 3, taken: 3, succeeded: 0 },
    ]);
    expect(origin.requests).toBeLessThanOrEqual(asked + 3 + 12);
    const before = origin.requests;
    origin.release(200, 2);
    await more(client, 100);
    expect([origin.requests, gateway.lines("breaker is recovering")]).toEqual([before, []]);
    origin.status = 200;
    origin.release(200);
    await gateway.said("breaker is recovering");
    await gateway.said("breaker closed");
    const failures = client.failures.length;
    await more(client, 100);
    await client.stop();
    expect(client.failures).toHaveLength(failures);
    expect(
      ["breaker opened", "breaker is half-open", "breaker is recovering", "breaker closed"].map((what) => gateway.lines(what).length),
    ).toEqual([1, 1, 1, 1]);
  });
});

it("opens again when a trial fails, longer each time, up to the cap; trials that went well do not save it", async () => {
  await using origin = await GatedOrigin.start();
  origin.status = 500;
  await using gateway = await start(config([origin.url], "openFor: 400ms, maxOpenFor: 1s, halfOpenRequests: 2"));
  const client = traffic(gateway);
  await gateway.said("breaker opened");
  for (const times of [2, 3, 4]) {
    origin.status = 0;
    await until("two trials wait", () => origin.waiting === 2, 10_000);
    origin.release(200, 1);
    origin.release(500);
    await gateway.said("breaker opened", times);
  }
  await client.stop();
  const lines = gateway.lines("breaker opened");
  expect(lines.map((line) => line["openings"])).toEqual([1, 2, 3, 4]);
  const durations = lines.map((line) => Number(line["openForMs"]));
  // What is left of each when it is said: doubled, at most a quarter shorter by chance, and capped.
  const bounds = [
    [0, 400],
    [0, 800],
    [0, 1000],
    [0, 1000],
  ];
  for (const [i, [, most]] of bounds.entries()) expect(durations[i]).toBeLessThanOrEqual(most ?? 0);
  expect(durations[1]).toBeGreaterThan(400);
});

describe("while it is open", () => {
  it("a fixed answer is given instead, from a file too", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 500;
    const fallback = `fallback: { respond: { status: 200, file: sorry.html, headers: { x-sorry: "yes" } } }`;
    await using gateway = await start(config([origin.url], `openFor: 30s, ${fallback}`), { "sorry.html": "<p>later</p>" });
    const client = traffic(gateway);
    await gateway.said("breaker opened");
    await more(client);
    const response = await fetch(gateway.url, { headers: { connection: "close" } });
    expect([response.status, response.headers.get("content-type"), response.headers.get("x-sorry"), await response.text()]).toEqual([
      200,
      "text/html; charset=utf-8",
      "yes",
      "<p>later</p>",
    ]);
    await client.stop();
    expect(refusals(client)).toBe(0);
    await until("the log names the reason", () =>
      gateway.lines().some((line) => line["code"] === "breaker_open" || line["error"] === "breaker_open"),
    );
    expect(String((await gateway.admin("GET", "/metrics")).body)).toMatch(/sluice_breaker_fallbacks_total\{upstream="main"\} [1-9]/);
  });

  it("another upstream is asked instead, with the body; its own breaker counts, its own fallback does not", async () => {
    await using origin = await GatedOrigin.start();
    await using other = await GatedOrigin.start();
    origin.status = 500;
    const second = `  other: { targets: [ { url: "${other.url}" } ], ${QUIET}, breaker: { minimumRequests: 10, openFor: 30s, fallback: { respond: { body: no } } } }`;
    await using gateway = await start(config([origin.url], "openFor: 30s, fallback: { upstream: other }", { upstreams: second }));
    const client = traffic(gateway);
    await gateway.said("breaker opened");
    await more(client);
    const asked = other.requests;
    for (let i = 0; i < 4; i++)
      expect(await ask(gateway, { method: "POST", body: "x".repeat(1000) })).toMatchObject({ status: 200, text: "gated" });
    expect(other.requests).toBeGreaterThanOrEqual(asked + 4);
    other.status = 503;
    await gateway.said("breaker opened", 2);
    await more(client);
    await client.stop();
    expect(await ask(gateway)).toMatchObject({ status: 503, code: "breaker_open" });
  });

  it("a WebSocket is refused too, and failed handshakes count", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 502;
    await using gateway = await start(config([origin.url], "openFor: 30s"));
    const open = (): Promise<number> =>
      new Promise((resolve) => {
        const socket = new WebSocket(gateway.url.replace("http", "ws"));
        socket.on("unexpected-response", (_request, response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        socket.on("open", () => resolve(101));
        socket.on("error", () => resolve(0));
      });
    const statuses: number[] = [];
    for (let i = 0; i < 14; i++) statuses.push(await open());
    expect(statuses).toEqual([...Array(10).fill(502), ...Array(4).fill(503)]);
    expect(origin.requests).toBe(10);
  });

  it("nothing is read of a body that nobody will take", async () => {
    await using origin = await GatedOrigin.start();
    await using gateway = await start(config([origin.url], "scope: upstream, openFor: 30s"));
    await force(gateway, "open");
    const socket = net.connect(gateway.port, "127.0.0.1");
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.write("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegin");
    await until("the answer comes before the body", () => text.includes("breaker_open"));
    socket.destroy();
  });
});

describe("what counts", () => {
  it("clients that go away do not, and a trial of theirs is given to another", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 0;
    await using gateway = await start(config([origin.url], "openFor: 200ms, halfOpenRequests: 1, recovery: 0"));
    const abandon = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const socket = net.connect(gateway.port, "127.0.0.1", () => socket.write("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"));
        const before = origin.requests;
        await until("the request is with the service", () => origin.requests > before);
        socket.destroy();
        await until("the gateway gave it up", () => origin.waiting === 0);
      }
    };
    await abandon(15);
    expect(await statusOf(gateway, origin.url)).toMatchObject({ state: "closed", window: { total: 0, failed: 0, slow: 0 } });
    origin.status = 500;
    for (let i = 0; i < 10; i++) await ask(gateway);
    await gateway.said("breaker is half-open");
    origin.status = 0;
    await abandon(3);
    expect(await statusOf(gateway, origin.url)).toMatchObject({ state: "half-open", round: { trials: 1, taken: 0, succeeded: 0 } });
    origin.status = 200;
    expect(await ask(gateway)).toMatchObject({ status: 200 });
    await gateway.said("breaker closed");
  });

  it("only what is configured does, and slow calls when they are", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 503;
    await using gateway = await start(config([origin.url], "failures: [500, timeout], slowCall: 100ms, slowCallRate: 50%, openFor: 30s"));
    for (let i = 0; i < 20; i++) expect(await ask(gateway)).toMatchObject({ status: 503, code: undefined });
    origin.status = 0;
    for (let i = 0; i < 20; i++) {
      const answer = ask(gateway);
      await until("it is there, or refused", () => origin.waiting === 1 || gateway.lines("breaker opened").length > 0);
      await new Promise((resolve) => setTimeout(resolve, 120)); // what makes it slow, not a wait for anything
      origin.release(200);
      await answer;
    }
    const { failed, slow, total } = await gateway.said("breaker opened");
    expect(failed).toBe(0);
    expect(Number(slow) / Number(total)).toBeGreaterThanOrEqual(0.5); // 20 of 40, and fewer where the machine made others slow as well
    expect(Number(total)).toBeGreaterThan(20);
  });

  it("a client's slow upload is not a slow call", async () => {
    await using origin = await GatedOrigin.start();
    await using gateway = await start(config([origin.url], "slowCall: 100ms, slowCallRate: 50%"));
    for (let i = 0; i < 12; i++) {
      const socket = net.connect(gateway.port, "127.0.0.1");
      let text = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => {
        text += chunk;
      });
      const before = origin.requests;
      socket.write("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegin");
      await until("the request is with the service", () => origin.requests > before);
      await new Promise((resolve) => setTimeout(resolve, 150)); // what makes it slow, not a wait for anything
      socket.write("x".repeat(100_000 - 5));
      await until("the answer came", () => text.includes("gated"));
      socket.destroy();
    }
    const { state, window } = await statusOf(gateway, origin.url);
    expect({ state, window }).toMatchObject({ state: "closed", window: { total: 12, failed: 0 } });
    expect(window.slow).toBeLessThan(6); // all 12 if uploads counted; some where the machine is slow
  });

  it("answers that break off do", async () => {
    await using origin = await RawUpstream.start();
    origin.answer("/x", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this", true);
    await using gateway = await start(config([`http://127.0.0.1:${origin.port}`], "openFor: 30s"));
    for (let i = 0; i < 10; i++) await ask(gateway).catch(() => {});
    expect(await gateway.said("breaker opened")).toMatchObject({ failed: 9, total: 10 }); // the tenth is judged when its head comes
  });

  it("each attempt counts for its target: one that is ill goes, the rest serve on, and nobody notices", async () => {
    await using ill = await GatedOrigin.start();
    await using well = await GatedOrigin.start();
    const retry = "health: { passive: false }, retry: { attempts: 2, on: [500], budget: 100% }";
    const text = config([ill.url, well.url], "openFor: 300ms, halfOpenRequests: 2, recovery: 300ms", {
      settings: `${retry}, balance: round-robin`,
    });
    await using gateway = await start(text);
    ill.status = 500;
    const client = traffic(gateway);
    expect(await gateway.said("breaker opened")).toMatchObject({ target: ill.url });
    const asked = ill.requests;
    await until("it is tried again and again", () => gateway.lines("breaker opened").length >= 3, 10_000);
    expect(ill.requests).toBeLessThanOrEqual(asked + 2 * 2 + 8);
    expect((await statusOf(gateway, well.url)).state).toBe("closed");
    ill.status = 200;
    await gateway.said("breaker closed", 1, 15_000);
    const back = ill.requests;
    await more(client, 100);
    expect(ill.requests).toBeGreaterThan(back + 20);
    await client.stop();
    expect(client.failures).toEqual([]);
  });

  it("breakers may stop every target, whatever maxEjected says, and the answer is then theirs", async () => {
    await using a = await GatedOrigin.start();
    await using b = await GatedOrigin.start();
    a.status = b.status = 500;
    const settings = "health: { passive: { consecutiveFailures: 1000, maxEjected: 50% } }, retry: { attempts: 0 }";
    await using gateway = await start(config([a.url, b.url], "openFor: 30s", { settings }));
    const client = traffic(gateway);
    await gateway.said("breaker opened", 2);
    await more(client);
    await client.stop();
    expect(await ask(gateway)).toMatchObject({ status: 503, code: "breaker_open" });
    const { body } = await gateway.admin("GET", "/upstreams");
    expect(body).toMatchObject([
      {
        targets: [
          { healthy: false, reason: "breaker open" },
          { healthy: false, reason: "breaker open" },
        ],
      },
    ]);
  });
});

describe("an operator", () => {
  it("forces it open and closed, for the upstream and for a target, and gives it back", async () => {
    await using a = await GatedOrigin.start();
    await using b = await GatedOrigin.start();
    await using gateway = await start(config([a.url, b.url], "openFor: 30s"));
    expect(await force(gateway, "open")).toMatchObject({
      status: 200,
      body: { upstream: "main", target: null, status: { state: "forced open" } },
    });
    for (let i = 0; i < 4; i++) expect(await ask(gateway)).toMatchObject({ status: 503, code: "breaker_open", retryAfter: "30" });
    expect(await force(gateway, "auto")).toMatchObject({ body: { status: { state: "closed" } } });
    expect(await force(gateway, "open", a.url)).toMatchObject({ body: { target: a.url, status: { state: "forced open" } } });
    for (let i = 0; i < 12; i++) expect(await ask(gateway)).toMatchObject({ status: 200 });
    expect([a.requests, b.requests]).toEqual([0, 12]);
    await force(gateway, "close", a.url);
    await force(gateway, "close", b.url);
    a.status = b.status = 500;
    for (let i = 0; i < 40; i++) expect(await ask(gateway)).toMatchObject({ status: 500 });
    await force(gateway, "auto", a.url);
    await force(gateway, "auto", b.url);
    for (let i = 0; i < 60; i++) await ask(gateway);
    await gateway.said("breaker opened", 2);
    await force(gateway, "auto", a.url);
    expect((await statusOf(gateway, a.url)).state).toBe("open");
    for (const path of [
      "/breakers/none/open",
      "/breakers/main/none/open",
      "/breakers/main/half",
      "/breakers//open",
      "/breakers/main/%zz/open",
    ])
      expect([path, (await gateway.admin("POST", path)).status]).toEqual([path, 404]);
    expect((await gateway.admin("GET", "/breakers/main/open")).status).toBe(405);
  });
});

describe("what it outlives", () => {
  it("a reload, whatever else changes, and other settings count from then on", async () => {
    await using origin = await GatedOrigin.start();
    await using second = await GatedOrigin.start();
    origin.status = 500;
    await using gateway = await start(config([origin.url], "openFor: 30s"));
    const client = traffic(gateway);
    await gateway.said("breaker opened");
    await more(client);
    const asked = origin.requests;
    expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });
    gateway.writeConfig(
      config([second.url, origin.url], "openFor: 20s, halfOpenRequests: 5, window: 20s", { settings: `${QUIET}, preserveHost: true` }),
    );
    await gateway.said("reloaded", 2);
    await more(client, 100);
    await client.stop();
    expect(second.requests).toBeGreaterThan(50);
    expect(origin.requests).toBe(asked);
    expect((await statusOf(gateway, origin.url)).state).toBe("open");
    // Without a breaker there is none; with one again it begins anew.
    gateway.writeConfig(config([origin.url], "").replace(/breaker: \{.*?\}, /, ""));
    await gateway.said("reloaded", 3);
    expect(await breakers(gateway)).toEqual([]);
    expect((await ask(gateway)).status).toBe(500);
    gateway.writeConfig(config([origin.url], "openFor: 30s"));
    await gateway.said("reloaded", 4);
    expect((await ask(gateway)).status).toBe(500);
    expect((await statusOf(gateway, origin.url)).state).toBe("closed");
  });

  it("a worker that dies with trials in its hands: others take their places", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 500;
    await using gateway = await start(config([origin.url], "openFor: 300ms, halfOpenRequests: 8, trialTimeout: 10m, recovery: 0"));
    const client = traffic(gateway, 12);
    await gateway.said("breaker opened");
    origin.status = 0;
    await until("the trials wait at the service", () => origin.waiting === 8, 10_000);
    const asked = origin.requests;
    expect(await gateway.admin("POST", "/debug/crash?worker=0")).toMatchObject({ status: 200 });
    await gateway.said("a worker was replaced");
    await until("those of the dead worker are asked again", () => origin.requests > asked && origin.waiting === 8, 20_000);
    expect(origin.requests - asked).toBeLessThanOrEqual(8);
    origin.status = 200;
    origin.release(200);
    await gateway.said("breaker closed");
    await client.stop();
  });

  it("trials that nobody decides: after trialTimeout others take their places", async () => {
    await using origin = await GatedOrigin.start();
    origin.status = 500;
    await using gateway = await start(config([origin.url], "openFor: 200ms, halfOpenRequests: 2, trialTimeout: 500ms, recovery: 0"));
    for (let i = 0; i < 10; i++) await ask(gateway);
    await gateway.said("breaker is half-open");
    origin.status = 0;
    const stuck = [ask(gateway), ask(gateway)];
    await until("both trials wait", () => origin.waiting === 2);
    await gateway.said("breaker gives undecided trials to others");
    origin.status = 200;
    expect([(await ask(gateway)).status, (await ask(gateway)).status]).toEqual([200, 200]);
    await gateway.said("breaker closed");
    origin.release(500);
    expect((await Promise.all(stuck)).map(({ status }) => status)).toEqual([500, 500]);
    expect((await statusOf(gateway, origin.url)).state).toBe("closed");
  });
});

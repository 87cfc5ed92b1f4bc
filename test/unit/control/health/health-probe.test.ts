// Owns tests of active health checks against real servers on loopback.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net, { type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type HealthEvent, HealthProbe, PROBES_MAX } from "../../../../src/control/health/health-probe.ts";
import type { ActiveHealthPlan, EndpointPlan, UpstreamProtocol } from "../../../../src/plan/plan.ts";
import type { UpstreamTlsPlan } from "../../../../src/plan/tls-rules.ts";
import { TargetHealth } from "../../../../src/shared/target-health.ts";
import { until } from "../../../support/until.ts";
import { endpoint, upstreamPlan } from "../../../support/upstreams.ts";

let health: TargetHealth;
let probe: HealthProbe;
let events: HealthEvent[];
const servers: Server[] = [];

beforeEach(() => {
  health = new TargetHealth(TargetHealth.allocate(1, 256));
  events = [];
  probe = new HealthProbe({ health, onChange: (event) => events.push(event) });
});

afterEach(() => {
  probe.stop();
  for (const server of servers.splice(0)) server.close();
});

const check = (part: Partial<ActiveHealthPlan> = {}): ActiveHealthPlan => ({
  tcp: false,
  method: "GET",
  path: "/healthz",
  headers: {},
  intervalMs: 10,
  timeoutMs: 2000,
  healthyAfter: 2,
  unhealthyAfter: 3,
  statuses: [{ min: 200, max: 299 }],
  body: null,
  ...part,
});

const plan = (active: ActiveHealthPlan | null, tls: UpstreamTlsPlan | null = null, protocol: UpstreamProtocol = "http1") => ({
  upstreams: [upstreamPlan({ name: "users", health: { active, passive: null }, tls, protocol })],
});
const of = (...list: EndpointPlan[]) => new Map([["users", list]]);

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A TCP server has an address object.
  return (server.address() as AddressInfo).port;
}

/** A server that answers with a status that a test changes, and remembers the requests. */
class Backend {
  status = 200;
  body = "a body that nobody waits for";
  readonly seen: http.IncomingMessage[] = [];
  readonly server = http.createServer((request, response) => {
    this.seen.push(request);
    response.writeHead(this.status).end(this.body);
  });
}

async function backend(): Promise<{ backend: Backend; one: EndpointPlan }> {
  const made = new Backend();
  const port = await listen(made.server);
  return { backend: made, one: endpoint("a", 1, { port, authority: `users.test:${port}` }) };
}

describe("thresholds", () => {
  test("down after unhealthyAfter failures in a row, up after healthyAfter successes, each said once", async () => {
    const { backend: server, one } = await backend();
    server.status = 503;
    probe.update(plan(check()), of(one));
    await until("down", () => health.isDown(1));
    expect(server.seen.length).toBeGreaterThanOrEqual(3);
    server.status = 204;
    const failed = server.seen.length;
    await until("up", () => !health.isDown(1));
    expect(server.seen.length - failed).toBeGreaterThanOrEqual(2);
    expect(health.recoveredAtMs(1)).toBeGreaterThan(0);
    expect(events).toEqual([
      { upstream: "users", target: "a", healthy: false, reason: "status 503, expected 200-299" },
      { upstream: "users", target: "a", healthy: true, reason: "status 204" },
    ]);
  });

  test("failures with successes between them change nothing", async () => {
    let count = 0;
    const server = http.createServer((_request, response) => {
      count += 1;
      response.writeHead(count % 3 === 0 ? 200 : 500).end();
    });
    probe.update(plan(check({ intervalMs: 2 })), of(endpoint("a", 1, { port: await listen(server) })));
    await until("thirty probes", () => count >= 30);
    expect(events).toEqual([]);
    expect(health.isDown(1)).toBe(false);
  });

  test.each([
    { status: 200, min: 200, max: 299, up: true },
    { status: 301, min: 200, max: 299, up: false },
    { status: 301, min: 200, max: 399, up: true },
    { status: 401, min: 401, max: 401, up: true },
  ])("status $status against $min-$max", async ({ status, min, max, up }) => {
    const { backend: server, one } = await backend();
    server.status = status;
    probe.update(plan(check({ statuses: [{ min, max }], unhealthyAfter: 1 })), of(one));
    await until("three probes", () => server.seen.length >= 3);
    expect(health.isDown(1)).toBe(!up);
  });
});

test("asks for the path, of the authority, and says who asks", async () => {
  const { backend: server, one } = await backend();
  probe.update(plan(check({ path: "/ready?deep=1" })), of(one));
  await until("a probe", () => server.seen.length > 0);
  expect(server.seen[0]).toMatchObject({ method: "GET", url: "/ready?deep=1" });
  expect(server.seen[0]?.headers).toMatchObject({ host: one.authority, "user-agent": "sluice-health", connection: "close" });
});

test("sends its own method and headers, Host among them", async () => {
  const { backend: server, one } = await backend();
  const headers = { host: "users.internal", accept: "application/json", "x-probe": "\u00fc" };
  probe.update(plan(check({ method: "HEAD", headers })), of(one));
  await until("a probe", () => server.seen.length > 0);
  expect(server.seen[0]?.method).toBe("HEAD");
  expect(server.seen[0]?.headers).toMatchObject({ ...headers, "user-agent": "sluice-health" });
});

describe("statuses and bodies", () => {
  /** @returns why it is down; null when three probes found it well */
  async function verdict(server: Backend, one: EndpointPlan, part: Partial<ActiveHealthPlan>): Promise<string | null> {
    probe.update(plan(check({ unhealthyAfter: 1, ...part })), of(one));
    await until("it is decided", () => events.length > 0 || server.seen.length >= 3);
    return events[0]?.reason ?? null;
  }

  test("a list of statuses holds each of them, and the message names the whole list", async () => {
    const statuses = [
      { min: 200, max: 299 },
      { min: 302, max: 302 },
    ];
    const { backend: server, one } = await backend();
    server.status = 302;
    expect(await verdict(server, one, { statuses })).toBeNull();
    server.status = 303;
    await until("down", () => health.isDown(1));
    expect([...probe.troubles()]).toEqual([[1, "status 303, expected 200-299, 302"]]);
  });

  test.each<[string, string, ActiveHealthPlan["body"], string | null]>([
    ["a text that is there", '{"status":"UP"}', { contains: '"UP"' }, null],
    ["a text that is not there", '{"status":"DOWN"}', { contains: '"UP"' }, 'status 200 and 17 bytes, expected a body with "\\"UP\\""'],
    ["an expression that matches", '{"status": "UP"}', { regex: '"status":\\s*"UP"' }, null],
    [
      "an expression that does not match",
      '{"status": "OUT"}',
      { regex: '"status":\\s*"UP"' },
      'status 200 and 17 bytes, expected a body with a match of `"status":\\s*"UP"`',
    ],
    ["a text beyond ASCII", "Gesundheit: gr\u00fcn", { contains: "gr\u00fcn" }, null],
    ["an expression for the whole body", "Gesundheit: gr\u00fcn", { regex: "^Ges.*gr\u00fcn$" }, null],
    ["no body", "", { contains: "ok" }, 'status 200 and 0 bytes, expected a body with "ok"'],
    ["a text at the end of what is read", `${"x".repeat(64 * 1024 - 2)}ok`, { contains: "ok" }, null],
    [
      "a text behind what is read",
      `${"x".repeat(64 * 1024 - 1)}ok`,
      { contains: "ok" },
      'status 200 and 65536 bytes, expected a body with "ok" in its first 64 KiB',
    ],
  ])("%s in a body", async (_, text, body, reason) => {
    const { backend: server, one } = await backend();
    server.body = text;
    expect(await verdict(server, one, { body })).toBe(reason);
  });

  test("a body that does not end is decided by the text that it holds", async () => {
    let asked = 0;
    const server = http.createServer((_request, response) => {
      asked += 1;
      response.writeHead(200).write("UP");
    });
    const one = endpoint("a", 1, { port: await listen(server) });
    probe.update(plan(check({ body: { contains: "UP" }, unhealthyAfter: 1 })), of(one));
    await until("three probes", () => asked >= 3);
    expect(events).toEqual([]);
    server.closeAllConnections();
  });

  test("without that text it fails when its time is over, and says where it stood", async () => {
    const server = http.createServer((_request, response) => void response.writeHead(200).write("half"));
    const one = endpoint("a", 1, { port: await listen(server) });
    probe.update(plan(check({ body: { contains: "UP" }, unhealthyAfter: 1, timeoutMs: 200 })), of(one));
    await until("down", () => events.length > 0);
    expect(events[0]?.reason).toBe('timeout after 200ms (status 200, and the body did not end), expected a body with "UP"');
    server.closeAllConnections();
  });

  test("a body that breaks off says so", async () => {
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { "content-length": 100 }).write("half");
      setImmediate(() => response.destroy());
    });
    probe.update(plan(check({ unhealthyAfter: 1, body: { contains: "UP" } })), of(endpoint("a", 1, { port: await listen(server) })));
    await until("down", () => events.length > 0);
    expect(events[0]?.reason).toBe('ECONNRESET, expected a body with "UP"');
  });

  test("the reason of one that stays down is that of its last probe", async () => {
    const { backend: server, one } = await backend();
    server.status = 503;
    probe.update(plan(check({ unhealthyAfter: 1 })), of(one));
    await until("down", () => health.isDown(1));
    server.status = 500;
    await until("the new reason", () => probe.troubles().get(1) === "status 500, expected 200-299");
    server.status = 200;
    await until("up", () => !health.isDown(1));
    expect([...probe.troubles()]).toEqual([]);
  });
});

describe("tcp", () => {
  test("a target that accepts connections is well, whatever it speaks, and is sent nothing", async () => {
    let closed = 0;
    let received = "";
    const server = net.createServer((socket) => {
      socket.on("data", (chunk) => {
        received += chunk;
      });
      socket.on("error", () => undefined).on("close", () => closed++);
    });
    probe.update(plan(check({ tcp: true, unhealthyAfter: 1 })), of(endpoint("a", 1, { port: await listen(server) })));
    await until("three probes, each closed", () => closed >= 3);
    expect([events, received]).toEqual([[], ""]);
  });

  test("one where nobody listens is down", async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    servers.pop();
    probe.update(plan(check({ tcp: true, unhealthyAfter: 1 })), of(endpoint("a", 1, { port })));
    await until("down", () => health.isDown(1));
    expect(events[0]?.reason).toBe("ECONNREFUSED, expected a connection");
  });

  test("one that does not complete the TLS handshake is down", async () => {
    const sockets: net.Socket[] = [];
    const port = await listen(net.createServer((socket) => sockets.push(socket)));
    probe.update(plan(check({ tcp: true, unhealthyAfter: 1, timeoutMs: 30 })), of(endpoint("a", 1, { port, tls: true })));
    await until("down", () => health.isDown(1));
    expect(events[0]?.reason).toBe("timeout after 30ms, expected a connection");
    for (const socket of sockets) socket.destroy();
  });
});

describe("ways to fail", () => {
  const downWith = async (port: number, part: Partial<ActiveHealthPlan>, tls?: boolean): Promise<string> => {
    probe.update(plan(check({ unhealthyAfter: 2, ...part })), of(endpoint("a", 1, { port, tls: tls ?? false })));
    await until("down", () => health.isDown(1));
    return events[0]?.reason ?? "";
  };

  test("nobody listens", async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    servers.pop();
    expect(await downWith(port, {})).toBe("ECONNREFUSED, expected 200-299");
  });

  test("accepts and says nothing", async () => {
    const sockets: net.Socket[] = [];
    const port = await listen(net.createServer((socket) => sockets.push(socket)));
    expect(await downWith(port, { timeoutMs: 30 })).toBe("timeout after 30ms, expected 200-299");
    for (const socket of sockets) socket.destroy();
  });

  test("hangs up", async () => {
    const port = await listen(net.createServer((socket) => socket.destroy()));
    expect(await downWith(port, {})).toBe("ECONNRESET, expected 200-299");
  });

  test("answers something else than HTTP", async () => {
    const port = await listen(net.createServer((socket) => socket.on("error", () => undefined).end("SSH-2.0-OpenSSH\r\n")));
    expect(await downWith(port, {})).toMatch(/^HPE_/);
  });

  test("speaks no TLS", async () => {
    const { one } = await backend();
    expect(await downWith(one.port, {}, true)).toMatch(/SSL|TLS|EPROTO|ECONNRESET/);
  });

  test("a path that cannot be sent is a failure, not a crash", async () => {
    const { one } = await backend();
    expect(await downWith(one.port, { path: "/a b" })).toBe("ERR_UNESCAPED_CHARACTERS, expected 200-299");
  });

  test("an endless body does not matter: the head decides", async () => {
    let closed = 0;
    const server = http.createServer((_request, response) => {
      response.writeHead(200).write("x".repeat(100_000));
      response.on("close", () => {
        closed += 1;
      });
    });
    probe.update(plan(check({ unhealthyAfter: 1, timeoutMs: 5000 })), of(endpoint("a", 1, { port: await listen(server) })));
    await until("several probes, all closed by us", () => closed >= 3);
    expect(events).toEqual([]);
  });
});

describe("update", () => {
  test("keeps the state of unchanged endpoints and what is known when the check changes", async () => {
    const { backend: server, one } = await backend();
    server.status = 500;
    probe.update(plan(check()), of(one));
    await until("down", () => health.isDown(1));
    const changes = health.changes();
    probe.update(plan(check()), of({ ...one, weight: 7 }));
    probe.update(plan(check({ path: "/other" })), of(one));
    await until("the new path asked", () => server.seen.some((request) => request.url === "/other"));
    expect(health.changes()).toBe(changes);
    server.status = 200;
    await until("up", () => !health.isDown(1));
    expect(events.map((event) => event.healthy)).toEqual([false, true]);
  });

  test("who is no longer probed is no longer down, and no longer asked", async () => {
    const { backend: server, one } = await backend();
    server.status = 500;
    probe.update(plan(check()), of(one));
    await until("down", () => health.isDown(1));
    probe.update(plan(null), of(one));
    expect(health.isDown(1)).toBe(false);
    const other = await backend();
    probe.update(plan(check()), of({ ...other.one, key: "b", slot: 2 }));
    const asked = server.seen.length;
    await until("the other asked", () => other.backend.seen.length >= 5);
    // One probe may have been on its way.
    expect(server.seen.length - asked).toBeLessThanOrEqual(1);
  });

  test("a probe under way when its endpoint goes says nothing", async () => {
    const held: http.ServerResponse[] = [];
    let gone = 0;
    const server = http.createServer((request, response) => {
      held.push(response);
      request.on("close", () => {
        gone += 1;
      });
    });
    const one = endpoint("a", 1, { port: await listen(server) });
    probe.update(plan(check({ unhealthyAfter: 1 })), of(one));
    await until("a probe", () => held.length === 1);
    probe.update(plan(check()), of());
    await until("the probe gone", () => gone === 1);
    expect(events).toEqual([]);
    expect(health.isDown(1)).toBe(false);
  });
});

test("no more than PROBES_MAX probes at once, and everybody has a turn", async () => {
  let open = 0;
  let openMax = 0;
  const asked = new Set<string>();
  const held: http.ServerResponse[] = [];
  const server = http.createServer((request, response) => {
    open += 1;
    openMax = Math.max(openMax, open);
    asked.add(request.headers.host ?? "");
    held.push(response);
    response.on("close", () => {
      open -= 1;
    });
  });
  const port = await listen(server);
  const many = Array.from({ length: PROBES_MAX * 2 }, (_, slot) => endpoint(`e${slot}`, slot, { port, authority: `e${slot}` }));
  probe.update(plan(check({ intervalMs: 60_000 })), of(...many));
  await until("all places taken", () => open === PROBES_MAX);
  for (const response of held.splice(0)) response.end();
  await until("everybody asked", () => asked.size === many.length);
  expect(openMax).toBe(PROBES_MAX);
  for (const response of held) response.end();
});

describe("HTTP/2", () => {
  test("a target in cleartext is asked with prior knowledge: method, authority, path, own headers, status and body", async () => {
    const seen: http2.IncomingHttpHeaders[] = [];
    let [status, body] = [200, "all is well"];
    const server = http2.createServer();
    server.on("stream", (stream, headers) => {
      stream.on("error", () => {});
      seen.push(headers);
      stream.respond({ ":status": status });
      stream.end(body);
    });
    const port = await listen(server);
    const one = endpoint("a", 1, { port, authority: `users.test:${port}` });
    probe.update(plan(check({ headers: { "x-probe": "1" }, body: { contains: "well" } }), null, "h2c"), of(one));
    await until("three probes", () => seen.length >= 3);
    expect(events).toEqual([]);
    const asked = { ":method": "GET", ":scheme": "http", ":path": "/healthz", ":authority": `users.test:${port}` };
    expect(seen[0]).toMatchObject({ ...asked, "user-agent": "sluice-health", "x-probe": "1" });
    body = "all is lost";
    await until("down", () => health.isDown(1));
    [status, body] = [200, "all is well again"];
    await until("up", () => !health.isDown(1));
    status = 503;
    await until("down", () => health.isDown(1));
    expect(events.at(-1)?.reason).toBe("status 503, expected 200-299");
  });

  test("a target that speaks HTTP/1.1 only is down", async () => {
    const { backend: server, one } = await backend();
    probe.update(plan(check(), null, "h2c"), of(one));
    await until("down", () => health.isDown(1));
    expect(events[0]?.reason).toMatch(/SETTINGS|too large|closed/);
    expect(server.seen).toEqual([]);
  });

  test("a target that accepts and says nothing runs into the timeout", async () => {
    const port = await listen(net.createServer((socket) => void socket.on("error", () => {})));
    probe.update(plan(check({ timeoutMs: 50, unhealthyAfter: 1 }), null, "h2c"), of(endpoint("a", 1, { port })));
    await until("down", () => health.isDown(1));
    expect(events[0]?.reason).toBe("timeout after 50ms, expected 200-299");
  });
});

describe("TLS", () => {
  let folder: string;
  let ca: string;
  let cert: string;
  let key: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "sluice-probe-"));
    const args =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=users.test -addext subjectAltName=DNS:users.test";
    execFileSync("openssl", [...args.split(" "), "-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")], { stdio: "pipe" });
    cert = readFileSync(join(folder, "cert.pem"), "utf8");
    key = readFileSync(join(folder, "key.pem"), "utf8");
    ca = cert;
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const tls = (part: Partial<UpstreamTlsPlan>): UpstreamTlsPlan => ({
    ca: null,
    cert: null,
    key: null,
    serverName: null,
    verify: true,
    rules: null,
    ...part,
  });

  type Row = { name: string; authority: string; tls: () => UpstreamTlsPlan | null; reason: string | null };
  const rows: readonly Row[] = [
    { name: "trusted", authority: "users.test", tls: () => tls({ ca, cert, key }), reason: null },
    { name: "untrusted", authority: "users.test", tls: () => null, reason: "DEPTH_ZERO_SELF_SIGNED_CERT" },
    { name: "another name", authority: "other.test", tls: () => tls({ ca, cert, key }), reason: "ERR_TLS_CERT_ALTNAME_INVALID" },
    { name: "another name, told", authority: "other.test", tls: () => tls({ ca, cert, key, serverName: "users.test" }), reason: null },
    { name: "unverified", authority: "other.test", tls: () => tls({ cert, key, verify: false }), reason: null },
    { name: "no client certificate", authority: "users.test", tls: () => tls({ ca }), reason: "E" },
    { name: "broken material", authority: "users.test", tls: () => tls({ ca, cert: "no PEM", key }), reason: "ERR_OSSL" },
  ];

  test.each(rows.flatMap((row) => (["http1", "h2"] as const).map((protocol) => ({ ...row, protocol }))))(
    "$protocol, $name: $reason",
    async ({ authority, tls: of_, reason, protocol }) => {
      let served = 0;
      const options = { cert, key, ca, requestCert: true, rejectUnauthorized: true };
      const server =
        protocol === "h2"
          ? http2.createSecureServer(options, (_request, response) => {
              served += 1;
              response.end();
            })
          : https.createServer(options, (_request, response) => {
              served += 1;
              response.end();
            });
      const port = await listen(server);
      probe.update(
        plan(check({ unhealthyAfter: 1 }), of_(), protocol),
        of(endpoint("a", 1, { port, tls: true, authority: `${authority}:${port}` })),
      );
      if (reason === null) {
        await until("three probes", () => served >= 3);
        expect(events).toEqual([]);
        return;
      }
      await until("down", () => health.isDown(1));
      expect(events[0]?.reason).toContain(reason);
      expect(served).toBe(0);
    },
  );

  test.each<[authority: string, reason: string | null]>([
    ["users.test", null],
    ["other.test", "ERR_TLS_CERT_ALTNAME_INVALID, expected a connection"],
  ])("by tcp with the name %s: %s", async (authority, reason) => {
    let closed = 0;
    const server = https.createServer({ cert, key });
    server.on("secureConnection", (socket) => socket.on("error", () => undefined).on("close", () => closed++));
    const port = await listen(server);
    const one = endpoint("a", 1, { port, tls: true, authority: `${authority}:${port}` });
    probe.update(plan(check({ tcp: true, unhealthyAfter: 1 }), tls({ ca })), of(one));
    await until("it is decided", () => events.length > 0 || closed >= 3);
    expect(events[0]?.reason ?? null).toBe(reason);
  });
});

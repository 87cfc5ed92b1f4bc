// Whose name a service hears: Host, the name that TLS asks for, and X-Forwarded-Host; for requests, WebSockets, mirror copies and health checks.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Authority } from "../../support/authority.ts";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { TlsOrigin } from "../../support/tls-origin.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

/** `host` of the upstream, `host` of the route; '' for none -> what Host is. */
const CASES: readonly (readonly [name: string, upstream: string, route: string, expected: "client" | "target" | "api.internal:81"])[] = [
  ["plain", "", "", "target"],
  ["target", "target", "", "target"],
  ["client", "client", "", "client"],
  ["named", "api.internal:81", "", "api.internal:81"],
  ["route-client", "", "client", "client"],
  ["route-named", "client", "api.internal:81", "api.internal:81"],
  ["route-target", "client", "target", "target"],
];

let rig: BothEngines;
let shadow: RawUpstream;
let sockets: WebSocketOrigin;
let secure: TlsOrigin;
let folder: string;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-host-"));
  const authority = new Authority(folder);
  shadow = await RawUpstream.start();
  sockets = await WebSocketOrigin.start();
  secure = await TlsOrigin.start(authority.issue("server", ["api.test", "127.0.0.1"]));
  const hostKey = (host: string): string => (host === "" ? "" : `, host: "${host}"`);
  const upstream = (name: string, port: number, more: string): string =>
    `  ${name}: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false }${more} }\n`;
  const route = (name: string, to: string, more: string): string =>
    `  - { name: ${name}, match: { path: "/${name}/**" }, to: ${to}${more} }\n`;
  const tls = `tls: { ca: ${authority.ca} }`;
  rig = await BothEngines.start(
    (port) => `upstreams:
${CASES.map(([name, host]) => upstream(name, port, hostKey(host)) + upstream(`undici-${name}`, port, `${hostKey(host)}, pool: { client: undici }`)).join("")}
${CASES.map(([name, host]) => upstream(`ws-${name}`, sockets.port, hostKey(host))).join("")}
${upstream("shadow", shadow.port, "")}${upstream("shadow-client", shadow.port, hostKey("client"))}${upstream("shadow-named", shadow.port, hostKey("shadow.internal"))}
${upstream("probed", shadow.port, `${hostKey("probed.internal")}, health: { active: { path: /probed, interval: 100ms } }`).replace("health: { passive: false }, ", "")}
${upstream("probed-client", shadow.port, `${hostKey("client")}, health: { active: { path: /probed-client, interval: 100ms } }`).replace("health: { passive: false }, ", "")}
  tls-named: { targets: [ { url: "https://127.0.0.1:${secure.port}" } ], host: api.test, ${tls} }
  tls-client: { targets: [ { url: "https://127.0.0.1:${secure.port}" } ], host: client, ${tls} }
  tls-renamed: { targets: [ { url: "https://127.0.0.1:${secure.port}" } ], host: other.internal, tls: { ca: ${authority.ca}, serverName: api.test } }
  tls-unlike: { targets: [ { url: "https://127.0.0.1:${secure.port}" } ], host: other.test, ${tls} }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: plain }
${CASES.map(([name, , host]) => route(name, name, hostKey(host)) + route(`undici-${name}`, `undici-${name}`, hostKey(host)) + route(`ws-${name}`, `ws-${name}`, hostKey(host))).join("")}
${route("copied", "plain", `${hostKey("api.internal")}, mirror: { upstream: shadow }`)}
${route("copied-client", "plain", ", mirror: { upstream: shadow-client }")}
${route("copied-named", "client", `${hostKey("target")}, mirror: { upstream: shadow-named }`)}
${route("set", "plain", `${hostKey("api.internal")}, headers: { request: { set: { host: set.internal } } }, mirror: { upstream: shadow-named }`)}
${route("probed", "probed", "")}${route("probed-client", "probed-client", "")}
${["tls-named", "tls-client", "tls-renamed", "tls-unlike"].map((name) => route(name, name, "")).join("")}
${route("tls-route", "tls-named", hostKey("elsewhere.internal"))}
`,
  );
});
afterAll(async () => {
  for (const each of [rig, shadow, sockets, secure]) await each[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

let runs = 0;
const fresh = (name: string): string => `/${name}/${++runs}`;
const expectedHost = (kind: string, port: number): string =>
  kind === "target" ? `127.0.0.1:${port}` : kind === "client" ? "www.example.com:8080" : kind;

describe.each(ENGINES)("%s", (engine) => {
  const get = async (target: string, host = "www.example.com:8080"): Promise<number> => {
    await using client = await rig.connect(engine);
    client.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    return (await client.response()).status;
  };

  describe.each(["", "undici-"])("a request by %shttp1", (prefix) => {
    it.each(CASES)("%s: upstream `%s`, route `%s`: %s", async (name, _upstream, _route, kind) => {
      rig.report();
      const target = fresh(`${prefix}${name}`);
      expect(await get(target)).toBe(200);
      const request = await rig.upstream.received(target);
      expect(valuesOf(request, "host")).toEqual([expectedHost(kind, rig.upstream.port)]);
      expect(valuesOf(request, "x-forwarded-host")).toEqual(["www.example.com:8080"]);
      expect(valuesOf(request, "x-forwarded-port")).toEqual(["8080"]);
      expect(String(valuesOf(request, "forwarded"))).toContain('host="www.example.com:8080"');
    });
  });

  it.each(CASES)("a WebSocket %s: upstream `%s`, route `%s`: %s", async (name, _upstream, _route, kind) => {
    rig.report();
    const target = fresh(`ws-${name}`);
    await using _client = new WebSocketClient(`ws://127.0.0.1:${rig.port(engine)}${target}`, { headers: { host: "www.example.com:8080" } });
    const { request } = await sockets.connection(target);
    expect(request.headers).toMatchObject({
      host: expectedHost(kind, sockets.port),
      "x-forwarded-host": "www.example.com:8080",
    });
  });

  it.each([
    ["copied", "api.internal", (): string => `127.0.0.1:${shadow.port}`],
    ["copied-client", null, (): string => "www.example.com:8080"],
    ["copied-named", null, (): string => "shadow.internal"],
    ["set", "set.internal", (): string => "set.internal"],
  ] as const)("a mirror copy has the Host of its own upstream, whatever the route's host is: %s", async (name, main, copy) => {
    rig.report();
    const target = fresh(name);
    expect(await get(target)).toBe(200);
    const answered = await rig.upstream.received(target);
    const copied = await shadow.received(target);
    expect(valuesOf(answered, "host")).toEqual([main ?? `127.0.0.1:${rig.upstream.port}`]);
    expect(valuesOf(copied, "host")).toEqual([copy()]);
    expect(valuesOf(copied, "x-forwarded-host")).toEqual(["www.example.com:8080"]);
  });

  it.each([
    ["a name is asked for and verified", "tls-named", "api.test"],
    ["the client's Host is never asked for", "tls-client", false],
    ["tls.serverName wins", "tls-renamed", "api.test"],
    ["a route's host is not asked for", "tls-route", "api.test"],
  ] as const)("TLS: %s", async (_, name, serverName) => {
    rig.report();
    const before = secure.connections.length;
    expect(await get(`${fresh(name)}/close`)).toBe(200);
    expect(secure.connections.slice(before).map((each) => each.serverName)).toEqual([serverName]);
  });

  it("TLS: a name that the certificate does not cover is refused", async () => {
    rig.report();
    expect(await get(fresh("tls-unlike"))).toBe(502);
  });
});

it("a client without Host (HTTP/1.0) has none to pass on: the target's is sent", async () => {
  rig.report();
  const target = fresh("client");
  await using client = await rig.connect("net");
  client.send(`GET ${target} HTTP/1.0\r\n\r\n`);
  expect((await client.response()).status).toBe(200);
  expect(valuesOf(await rig.upstream.received(target), "host")).toEqual([`127.0.0.1:${rig.upstream.port}`]);
});

it("health checks send the upstream's name, and the target's own where the client's would be", async () => {
  rig.report();
  expect(valuesOf(await shadow.received("/probed"), "host")).toEqual(["probed.internal"]);
  expect(valuesOf(await shadow.received("/probed-client"), "host")).toEqual([`127.0.0.1:${shadow.port}`]);
});

// Versions, cipher suites and curves of TLS, tried with real handshakes: towards clients on both engines, and towards services.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { UWS_12 } from "../../../src/control/config/schema/tls-rules.ts";
import { Authority } from "../../support/authority.ts";
import { Gateway } from "../../support/gateway.ts";
import { until, untilAsync } from "../../support/until.ts";
import { WebSocketClient } from "../../support/web-socket-origin.ts";

const OF_13 = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
const [AES_128, AES_256] = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"];
const list = (...names: string[]) => `[${names.join(", ")}]`;

/** Name -> engine that keeps it, `tls` of a listener, kind of key. */
const LISTENERS: Readonly<Record<string, readonly [engine: string, tls: string, key: "ec" | "rsa"]>> = {
  usual: ["uws", "", "ec"],
  "usual-net": ["net", "", "ec"],
  "from-12": ["uws", "minVersion: TLSv1.2", "ec"],
  "only-13": ["net", "minVersion: TLSv1.3", "ec"],
  "only-12": ["net", "maxVersion: TLSv1.2", "ec"],
  "one-13": ["net", `ciphers: ${list("TLS_AES_128_GCM_SHA256", AES_128)}`, "ec"],
  "one-12": ["uws", `ciphers: ${list(...OF_13, AES_256)}`, "ec"],
  "one-12-net": ["net", `ciphers: ${list(...OF_13, AES_256)}`, "ec"],
  ordered: ["net", `maxVersion: TLSv1.2, ciphers: ${list(AES_256, AES_128)}`, "ec"],
  "finite-field": ["net", "maxVersion: TLSv1.2, ciphers: [DHE-RSA-AES128-GCM-SHA256]", "rsa"],
  "p-384": ["net", "curves: [P-384]", "ec"],
  ...Object.fromEntries(
    UWS_12.map((name) => [name, ["uws", `ciphers: ${list(...OF_13, name)}`, name.includes("ECDSA") ? "ec" : "rsa"] as const]),
  ),
};

/** `tls` of an upstream, and what the service speaks. */
const UPSTREAMS: Readonly<Record<string, readonly [tls: string, service: tls.TlsOptions]>> = {
  usual: ["", {}],
  "13-to-12": ["minVersion: TLSv1.3", { maxVersion: "TLSv1.2" }],
  "13-to-13": ["minVersion: TLSv1.3", {}],
  "12-to-13": ["maxVersion: TLSv1.2", { minVersion: "TLSv1.3" }],
  "12-to-12": ["maxVersion: TLSv1.2", {}],
  suite: [`ciphers: ${list("TLS_AES_128_GCM_SHA256", AES_128)}`, {}],
  "other-suite": [`ciphers: ${list("TLS_AES_128_GCM_SHA256", AES_128)}`, { ciphers: `TLS_AES_256_GCM_SHA384:${AES_256}` }],
  curve: ["curves: [P-384]", { ecdhCurve: "P-521:P-384" }],
  "other-curve": ["curves: [P-384]", { ecdhCurve: "P-521" }],
};

let folder: string;
let gateway: Gateway;
const services: https.Server[] = [];
/** Protocol and cipher suite of each connection that a service has had. */
const spoken = new Map<string, string[]>();

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-tls-rules-"));
  const authority = new Authority(folder);
  const ec = authority.issue("ec", ["127.0.0.1"]);
  const named = authority.issue("named", ["named.test"]);
  const rsa = { cert: path.join(folder, "rsa.pem"), key: path.join(folder, "rsa.key") };
  const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=rsa.test"];
  execFileSync("openssl", [...made, "-keyout", rsa.key, "-out", rsa.cert], { stdio: "pipe" });
  const ports = new Map<string, number>();
  for (const [name, [, options]] of Object.entries(UPSTREAMS)) {
    const server = https.createServer(
      { cert: fs.readFileSync(ec.cert), key: fs.readFileSync(ec.key), ...options },
      (_request, response) => {
        response.setHeader("connection", "close").end("ok");
      },
    );
    spoken.set(name, []);
    server.on("secureConnection", (socket) => spoken.get(name)?.push(`${socket.getProtocol()} ${socket.getCipher().name}`));
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports.set(name, (server.address() as AddressInfo).port); // a TCP server that listens has one
    services.push(server);
  }
  const listener = ([, [engine, rules, key]]: readonly [string, (typeof LISTENERS)[string]]): string => {
    const own = key === "ec" ? ec : rsa;
    const more = key === "ec" ? `, { cert: ${named.cert}, key: ${named.key}, hosts: [named.test] }` : "";
    return `  - { address: "127.0.0.1:0", engine: ${engine}, tls: { certificates: [ { cert: ${own.cert}, key: ${own.key} }${more} ], ${rules} } }\n`;
  };
  const active = "health: { passive: false, active: { interval: 100ms, unhealthyAfter: 1 } }";
  const upstream = ([name, [rules]]: readonly [string, (typeof UPSTREAMS)[string]]): string =>
    ["", "probed-"]
      .map(
        (kind) =>
          `  ${kind}${name}: { targets: [ { url: "https://127.0.0.1:${ports.get(name)}" } ], ${kind === "" ? "health: { passive: false }" : active}, tls: { ca: ${authority.ca}, ${rules} }, retry: { attempts: 0 } }\n`,
      )
      .join("");
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: { address: "127.0.0.1:0" }
listeners:
${Object.entries(LISTENERS).map(listener).join("")}
upstreams:
${Object.entries(UPSTREAMS).map(upstream).join("")}
routes:
  - { name: here, match: {}, respond: { body: here } }
${Object.keys(UPSTREAMS)
  .flatMap((name) => [name, `probed-${name}`])
  .map((name) => `  - { name: ${name}, match: { path: "/${name}/**" }, to: ${name} }\n`)
  .join("")}
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const each of services) {
    each.closeAllConnections();
    each.close();
  }
  fs.rmSync(folder, { recursive: true });
});

const portOf = (name: string): number => Number(new URL(gateway.urls[Object.keys(LISTENERS).indexOf(name)] ?? "").port);

/** @returns version and cipher suite (or curve) of a handshake; `refused` for none */
async function handshake(name: string, options: tls.ConnectionOptions = {}, what: "cipher" | "curve" = "cipher"): Promise<string> {
  onTestFailed(() => console.error(gateway.report()));
  const socket = tls.connect({ host: "127.0.0.1", port: portOf(name), rejectUnauthorized: false, ...options });
  try {
    await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
    const { name: curve = "none" } = socket.getEphemeralKeyInfo() as { name?: string }; // of the same handshake
    return `${socket.getProtocol()} ${what === "cipher" ? socket.getCipher().name : curve}`;
  } catch {
    return "refused";
  } finally {
    socket.destroy();
  }
}

const exactly = (version: "TLSv1.2" | "TLSv1.3"): tls.ConnectionOptions => ({ minVersion: version, maxVersion: version });
const V12 = exactly("TLSv1.2");
const V13 = exactly("TLSv1.3");

describe("towards clients", () => {
  it("each listener has the engine that can keep its rules", async () => {
    const { body } = await gateway.admin("GET", "/status");
    const { listeners } = (body as { instance: { listeners: readonly { engine: string }[] } }).instance;
    expect(listeners.map(({ engine }) => engine)).toEqual(Object.values(LISTENERS).map(([engine]) => engine));
  });

  it.each([
    ["usual", /^TLSv1\.2 /, /^TLSv1\.3 /],
    ["usual-net", /^TLSv1\.2 /, /^TLSv1\.3 /],
    ["from-12", /^TLSv1\.2 /, /^TLSv1\.3 /],
    ["only-13", /^refused$/, /^TLSv1\.3 /],
    ["only-12", /^TLSv1\.2 /, /^refused$/],
  ] as const)("versions: %s", async (name, in12, in13) => {
    for (const servername of ["", "named.test"]) {
      expect(await handshake(name, { ...V12, servername })).toMatch(in12);
      expect(await handshake(name, { ...V13, servername })).toMatch(in13);
    }
  });

  it.each(["one-12", "one-12-net"])("a suite of TLS 1.2 alone, for every server name: %s", async (name) => {
    for (const servername of ["", "named.test"]) {
      expect(await handshake(name, { ...V12, servername })).toBe(`TLSv1.2 ${AES_256}`);
      expect(await handshake(name, { ...V12, servername, ciphers: AES_128 })).toBe("refused");
      for (const suite of OF_13) expect(await handshake(name, { ...V13, servername, ciphers: suite })).toBe(`TLSv1.3 ${suite}`);
    }
  });

  it("a suite of TLS 1.3 alone", async () => {
    expect(await handshake("one-13", V13)).toBe("TLSv1.3 TLS_AES_128_GCM_SHA256");
    expect(await handshake("one-13", { ...V13, ciphers: "TLS_AES_256_GCM_SHA384" })).toBe("refused");
    expect(await handshake("one-13", V12)).toBe(`TLSv1.2 ${AES_128}`);
  });

  it("the order is the listener's", async () => {
    for (const servername of ["", "named.test"])
      expect(await handshake("ordered", { servername, ciphers: `${AES_128}:${AES_256}` })).toBe(`TLSv1.2 ${AES_256}`);
  });

  it("a suite with finite-field keys, which need parameters", async () => {
    expect(await handshake("finite-field", { ciphers: "DHE-RSA-AES128-GCM-SHA256" })).toBe("TLSv1.2 DHE-RSA-AES128-GCM-SHA256");
  });

  it("a curve alone, for every server name and version", async () => {
    for (const options of [V12, V13])
      for (const servername of ["", "named.test"]) {
        expect(await handshake("p-384", { ...options, servername, ecdhCurve: "X25519:P-256:P-384" }, "curve")).toMatch(/ secp384r1$/);
        expect(await handshake("p-384", { ...options, servername, ecdhCurve: "X25519:P-256" }, "curve")).toBe("refused");
      }
  });

  it.each(UWS_12)("the uws engine can be told: %s", async (suite) => {
    const key = suite.includes("ECDSA") ? "ECDSA" : "RSA";
    expect(await handshake(suite, V12)).toBe(`TLSv1.2 ${suite}`);
    const others = UWS_12.filter((each) => each !== suite && each.includes("ECDSA") === (key === "ECDSA"));
    expect(await handshake(suite, { ...V12, ciphers: others.join(":") })).toBe("refused");
  });
});

describe("towards services", () => {
  const ask = async (target: string): Promise<{ status: number; code: string | undefined }> => {
    onTestFailed(() => console.error(gateway.report()));
    const { port } = new URL(gateway.urls[0] ?? "");
    return new Promise((resolve, reject) => {
      https
        .get({ host: "127.0.0.1", port, path: target, rejectUnauthorized: false, agent: false }, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (text: string) => (body += text));
          response.once("end", () => resolve({ status: response.statusCode ?? 0, code: /"code":"(\w+)"/.exec(body)?.[1] }));
        })
        .once("error", reject);
    });
  };
  const REFUSED = ["13-to-12", "12-to-13", "other-suite", "other-curve"];

  it.each([
    ["usual", /^TLSv1\.3 /],
    ["13-to-13", /^TLSv1\.3 /],
    ["12-to-12", /^TLSv1\.2 /],
    ["suite", /^TLSv1\.3 TLS_AES_128_GCM_SHA256$/],
    ["curve", /^TLSv1\.3 /],
  ] as const)("%s", async (name, expected) => {
    expect(await ask(`/${name}/x`)).toMatchObject({ status: 200 });
    expect(spoken.get(name)).not.toEqual([]);
    for (const each of spoken.get(name) ?? []) expect(each).toMatch(expected);
  });

  it.each(REFUSED)("what the service cannot do is 502 upstream_tls: %s", async (name) => {
    expect(await ask(`/${name}/x`)).toMatchObject({ status: 502, code: "upstream_tls" });
    expect(spoken.get(name)).toEqual([]);
  });

  it.each(REFUSED)("for a WebSocket too: %s", async (name) => {
    const url = `wss://127.0.0.1:${portOf("usual")}/${name}/ws`;
    await using client = new WebSocketClient(url, { ca: fs.readFileSync(path.join(folder, "authority.pem")) });
    await until("it is refused", () => client.refusal !== null);
    expect(client.refusal).toMatchObject({ status: 502, body: expect.stringContaining("upstream_tls") });
  });

  it.each(REFUSED)("health checks have the same rules: %s", async (name) => {
    await untilAsync("the probe has failed", async () => expect((await ask(`/probed-${name}/x`)).code).toBe("no_healthy_target"));
  });
});

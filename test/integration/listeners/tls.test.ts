// TLS towards clients, on both engines: which certificate is shown, and what happens when its files change under traffic.
import fs from "node:fs";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { Authority, type IssuedCertificate } from "../../support/authority.ts";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { until } from "../../support/until.ts";

let folder: string;
let authority: Authority;
let first: IssuedCertificate;
let second: IssuedCertificate;
let origin: Origin;
let gateway: Gateway;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-listener-tls-"));
  authority = new Authority(folder);
  first = authority.issue("first", ["one.test"]);
  second = authority.issue("second", ["two.test", "*.two.test"]);
  const third = authority.issue("third", ["exact.two.test"]);
  origin = await Origin.start("one");
  const certificates = `[
      { cert: ${first.cert}, key: ${first.key} },
      { cert: ${second.cert}, key: ${second.key}, hosts: [ two.test, "*.two.test" ] },
      { cert: ${third.cert}, key: ${third.key}, hosts: [ exact.two.test ] } ]`;
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
listeners:
  - { address: "127.0.0.1:0", engine: uws, tls: { certificates: ${certificates} } }
  - { address: "127.0.0.1:0", engine: net, tls: { certificates: ${certificates} } }
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${origin.url}" } ] } }
routes:
  - { name: all, match: { path: /** }, to: origin }
  - { name: scheme, match: { path: /scheme }, respond: { body: scheme }, headers: { response: { set: { x-scheme: "{scheme}" } } } }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const portOf = (engine: Engine): number => Number(new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "").port);

async function secure(port: number, servername: string): Promise<tls.TLSSocket> {
  const ca = fs.readFileSync(authority.ca);
  const options = { host: "127.0.0.1", port, servername, ca, rejectUnauthorized: false };
  const socket = tls.connect(options);
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  socket.on("error", () => {});
  return socket;
}

/** @returns subject and serial number of the certificate shown to this name */
async function shown(port: number, servername: string): Promise<string> {
  const socket = await secure(port, servername);
  const { subject, serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return `${subject.CN} ${serialNumber}`;
}

/** One GET on a connection. @returns its body */
function get(agent: https.Agent, port: number, target: string): Promise<{ status: number; body: string; headers: NodeJS.Dict<unknown> }> {
  return new Promise((resolve, reject) => {
    const options = { agent, host: "127.0.0.1", port, path: target, servername: "two.test", headers: { host: "two.test" } };
    const asked = https.get(options, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.once("error", reject);
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
    });
    asked.once("error", reject);
  });
}

describe.each(ENGINES)("%s", (engine) => {
  it.each([
    ["the exact name", "two.test", "two.test"],
    ["a wildcard", "a.two.test", "two.test"],
    ["an exact name before a wildcard", "exact.two.test", "exact.two.test"],
    ["the default for what no wildcard covers", "a.b.two.test", "one.test"],
    ["the default for another name", "other.test", "one.test"],
    ["the default for its own name", "one.test", "one.test"],
    ["the default for no name", "", "one.test"],
  ])("shows the certificate by SNI: %s", async (_, servername, subject) => {
    onTestFailed(() => console.error(gateway.report()));
    expect((await shown(portOf(engine), servername)).split(" ")[0]).toBe(subject);
  });

  // uWebSockets.js compares bytes (docs/engines.md). Clients send lower case.
  it.skipIf(engine === "uws")("knows names in any case", async () => {
    expect((await shown(portOf(engine), "A.Two.TEST")).split(" ")[0]).toBe("two.test");
  });

  it("serves every name's requests, verified by the client, and knows that they are secure", async () => {
    for (const servername of ["two.test", "a.two.test", "exact.two.test"]) {
      const agent = new https.Agent({ ca: fs.readFileSync(authority.ca), servername });
      const options = { agent, host: "127.0.0.1", port: portOf(engine), path: "/scheme", headers: { host: servername } };
      const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) =>
        https.get(options, resolve).once("error", reject),
      );
      response.resume();
      expect([response.statusCode, response.headers["x-scheme"]]).toEqual([200, "https"]);
      agent.destroy();
    }
  });

  it.each(["TLSv1", "TLSv1.1"] as const)("speaks no %s", async (version) => {
    const options = { minVersion: version, maxVersion: version, ciphers: "DEFAULT@SECLEVEL=0", rejectUnauthorized: false };
    const socket = tls.connect({ host: "127.0.0.1", port: portOf(engine), ...options });
    await expect(new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject))).rejects.toThrow();
    socket.destroy();
  });
});

describe("when files change", () => {
  /** Asks all the time, on kept and on new connections, on both engines. */
  class Traffic {
    answers = 0;
    readonly failures: string[] = [];
    #stopped = false;
    readonly #loops = ENGINES.flatMap((engine) => [this.#loop(engine, true), this.#loop(engine, false)]);

    /** @returns what went wrong */
    async stop(): Promise<readonly string[]> {
      this.#stopped = true;
      await Promise.all(this.#loops);
      return this.failures;
    }

    async #loop(engine: Engine, keepAlive: boolean): Promise<void> {
      const agent = new https.Agent({ ca: fs.readFileSync(authority.ca), keepAlive, maxSockets: 1 });
      while (!this.#stopped) {
        try {
          const { status } = await get(agent, portOf(engine), "/x");
          if (status === 200) this.answers++;
          else this.failures.push(`${engine} ${keepAlive}: status ${status}`);
        } catch (error) {
          this.failures.push(`${engine} ${keepAlive}: ${error}`);
        }
      }
      agent.destroy();
    }
  }

  it("shows the new certificate to new connections, loses no request and cuts no open connection", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const idle = await Promise.all(ENGINES.map((engine) => secure(portOf(engine), "two.test")));
    const flow = new Traffic();
    await until("traffic flows", () => flow.answers > 20);
    for (let round = 0; round < 5; round++) {
      const before = await Promise.all(ENGINES.map((engine) => shown(portOf(engine), "two.test")));
      second = authority.issue("second", ["two.test", "*.two.test"]);
      await expect
        .poll(() => Promise.all(ENGINES.map((engine) => shown(portOf(engine), "two.test"))), { timeout: 10_000 })
        .not.toEqual(before);
      const answers = flow.answers;
      await until("traffic goes on", () => flow.answers > answers + 20);
    }
    expect(await flow.stop()).toEqual([]);
    // Key and certificate are two files: a look between the two finds a pair that does not fit, which must be refused and mended at once.
    for (const engine of ENGINES)
      for (let i = 0; i < 8; i++) expect(await shown(portOf(engine), "a.two.test")).toBe(await shown(portOf(engine), "two.test"));
    for (const socket of idle) {
      const answer = new Promise<string>((resolve) => socket.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1"))));
      socket.write("GET /x HTTP/1.1\r\nHost: two.test\r\n\r\n");
      expect(await answer).toMatch(/^HTTP\/1\.1 200/);
      socket.destroy();
    }
  });

  it.each([
    ["a certificate that is none", () => fs.writeFileSync(second.cert, "nonsense"), "there is no PEM certificate"],
    ["a key that does not belong to it", () => fs.copyFileSync(first.key, second.key), "the key does not belong to the certificate"],
    ["a file that is gone", () => fs.rmSync(second.cert), "can't read"],
  ])("keeps the old certificate and says why: %s", async (_, spoil, why) => {
    onTestFailed(() => console.error(gateway.report()));
    const before = await Promise.all(ENGINES.map((engine) => shown(portOf(engine), "two.test")));
    const kept = { cert: fs.readFileSync(second.cert), key: fs.readFileSync(second.key) };
    const refusals = gateway.lines("reload refused: the old configuration stays in force").length;
    spoil();
    const line = await gateway.said("reload refused: the old configuration stays in force", refusals + 1);
    expect(JSON.stringify(line)).toContain(why);
    expect(JSON.stringify(line)).not.toContain("PRIVATE KEY");
    expect(await Promise.all(ENGINES.map((engine) => shown(portOf(engine), "two.test")))).toEqual(before);
    expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 422 });
    const reloads = gateway.lines("reloaded").length;
    fs.writeFileSync(second.cert, kept.cert);
    fs.writeFileSync(second.key, kept.key);
    await until("the mended files are taken", () => gateway.lines("reloaded").length > reloads, 10_000);
    expect(await Promise.all(ENGINES.map((engine) => shown(portOf(engine), "two.test")))).toEqual(before);
  });

  it.each(ENGINES)(
    "a worker that dies while they are broken is replaced with what they were, as the other serves on: %s",
    async (engine) => {
      const own = authority.issue(`own-${engine}`, ["own.test"]);
      const certificates = `[ { cert: ${first.cert}, key: ${first.key} }, { cert: ${own.cert}, key: ${own.key}, hosts: [ own.test ] } ]`;
      await using alone = await Gateway.start({
        config: `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0", engine: ${engine}, tls: { certificates: ${certificates} } } ]
routes: [ { name: all, match: {}, respond: { body: here } } ]
`,
      });
      onTestFailed(() => console.error(alone.report()));
      const names = async (): Promise<string[]> => {
        const all = Array.from({ length: 12 }, () => shown(alone.port, "own.test"));
        return [...new Set((await Promise.all(all)).map((each) => each.split(" ")[0] ?? ""))];
      };
      fs.writeFileSync(own.cert, "nonsense");
      await alone.said("reload refused: the old configuration stays in force");
      await alone.admin("POST", "/debug/crash?worker=1");
      await alone.said("a worker was replaced", 1, 20_000);
      // Neither of them shows another certificate instead.
      expect(await names()).toEqual(["own.test"]);
    },
  );
});

describe("a request for a host whose certificate is not the connection's", () => {
  const asked = async (servername: string, host: string): Promise<readonly [number, string]> => {
    const socket = await secure(portOf("net"), servername);
    let text = "";
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.write(`GET /scheme HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await new Promise((resolve) => socket.once("close", resolve));
    return [Number(text.slice(9, 12)), /"code":"([a-z_]+)"/.exec(text)?.[1] ?? ""];
  };
  it.each([
    ["two.test", "two.test"],
    ["two.test", "TWO.test:8443"],
    ["two.test", "a.two.test"],
    ["a.two.test", "b.two.test"],
    ["exact.two.test", "exact.two.test"],
    ["one.test", "one.test"],
    ["one.test", "nobody.test"],
    ["nobody.test", "127.0.0.1"],
  ])("%s, %s: is answered, as it is the same certificate", async (servername, host) => {
    expect(await asked(servername, host)).toEqual([200, ""]);
  });
  it.each([
    ["two.test", "one.test"],
    ["two.test", "exact.two.test"],
    ["two.test", "EXACT.two.test:443"],
    ["exact.two.test", "a.two.test"],
    ["one.test", "two.test"],
    ["two.test", "127.0.0.1"],
  ])("%s, %s: is sent away with 421", async (servername, host) => {
    expect(await asked(servername, host)).toEqual([421, "misdirected_request"]);
  });
});

it.each(["TLSv1.2", "TLSv1.3"] as const)(
  "whichever worker of the net engine a client comes back to resumes its session (%s)",
  async (version) => {
    const options = {
      ...{ host: "127.0.0.1", port: portOf("net"), servername: "two.test", ca: fs.readFileSync(authority.ca) },
      ...{ minVersion: version, maxVersion: version },
    };
    const connected = async (
      session?: Buffer,
    ): Promise<{ readonly reused: boolean; readonly session: Buffer | null; readonly status: string }> => {
      const socket = tls.connect(session === undefined ? options : { ...options, session });
      let kept: Buffer | null = null;
      let text = "";
      socket.on("session", (each: Buffer) => {
        kept = each;
      });
      socket.on("data", (chunk) => (text += String(chunk)));
      await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
      const reused = socket.isSessionReused();
      socket.write("GET /scheme HTTP/1.1\r\nHost: two.test\r\nConnection: close\r\n\r\n");
      await new Promise((resolve) => socket.once("close", resolve));
      return { reused, session: kept, status: text.slice(0, 15) };
    };
    const { session, reused } = await connected();
    expect([reused, session]).toEqual([false, expect.any(Buffer)]);
    // With two workers, and the kernel to choose, one of them would get all of these in one of a million runs.
    const later = await Promise.all(Array.from({ length: 20 }, () => connected(session as Buffer))); // as was just seen
    expect(later.map((each) => [each.reused, each.status])).toEqual(new Array(20).fill([true, "HTTP/1.1 200 OK"]));
  },
);

it("a client that asks much at once and reads late gets every answer, and nothing piles up: net", async () => {
  const BYTES = 200_000;
  const TIMES = 14;
  const certificates = `[ { cert: ${first.cert}, key: ${first.key} } ]`;
  await using alone = await Gateway.start({
    config: `version: 1
workers: 1
admin: false
listeners: [ { address: "127.0.0.1:0", engine: net, tls: { certificates: ${certificates} } } ]
routes: [ { name: big, match: {}, respond: { body: "${"x".repeat(BYTES)}" } } ]
`,
  });
  const client = await secure(alone.port, "one.test");
  client.pause();
  client.write("GET /big HTTP/1.1\r\nHost: one.test\r\n\r\n".repeat(TIMES));
  let body = 0;
  let heads = 0;
  client.setEncoding("latin1").on("data", (text: string) => {
    heads += text.split("HTTP/1.1 200").length - 1;
    body += text.split("x").length - 1;
  });
  await new Promise((resolve) => setTimeout(resolve, 300)); // time for what may pile up, not a wait for anything
  client.resume();
  await until("every byte came", () => body >= TIMES * BYTES, 15_000);
  expect(heads).toBe(TIMES);
  client.destroy();
  expect(alone.output).not.toContain("Warning");
});

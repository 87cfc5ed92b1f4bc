// Certificates that are missing or cut short on disk, whoever dies and starts meanwhile: what was good goes on serving, and only a full restart does
// without the listener whose certificate cannot be used.
import fs from "node:fs";
import path from "node:path";
import { connect } from "node:tls";
import { describe, expect, test } from "vitest";
import { ENGINES } from "../../support/both-engines.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { until, untilAsync } from "../../support/until.ts";

const SPOILS: readonly (readonly [string, (directory: string) => void])[] = [
  ["missing", (directory) => fs.rmSync(path.join(directory, "api.pem"))],
  ["cut short", (directory) => fs.truncateSync(path.join(directory, "api.key"), 100)],
];

/** @returns the name in the certificate that a new connection gets */
function servedName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

const portOf = (url: string | undefined): number => Number(new URL(url ?? "").port);

describe.each(ENGINES)("%s engine", (engine) => {
  const named = `, engine: ${engine}`;
  const config = (ports: readonly number[] = [0, 0]) => `
version: 1
workers: 1
listeners:
  - { address: "127.0.0.1:${ports[0]}" }
  - { address: "127.0.0.1:${ports[1]}"${named}, tls: { certificates: [ { cert: api.pem, key: api.key } ] } }
admin: { address: "127.0.0.1:0" }
routes: [ { name: all, match: { path: /** }, respond: {} } ]
`;

  /** Made before the gateway is: its directory is only known then. */
  function pair(): Readonly<Record<string, Buffer>> {
    const directory = fs.mkdtempSync(path.join(fs.realpathSync("/tmp"), "sluice-pair-"));
    const { cert, key } = makeCertificate(directory, "api", ["api.test"]);
    const files = { "api.pem": fs.readFileSync(cert), "api.key": fs.readFileSync(key) };
    fs.rmSync(directory, { recursive: true });
    return files;
  }

  test.each(SPOILS)("a certificate that is %s is no outage when a worker dies, nor when the primary does", async (_, spoil) => {
    await using gateway = await Gateway.start({ config: config(), files: pair() });
    const port = portOf(gateway.urls[1]);
    expect(await servedName(port)).toBe("api.test");
    spoil(gateway.directory);
    await gateway.said("reload refused: the old configuration stays in force");
    await gateway.admin("POST", "/debug/crash?worker=0");
    await gateway.said("a worker was replaced");
    expect(await servedName(port)).toBe("api.test");
    process.kill(gateway.primaryPid, "SIGKILL");
    await gateway.said("ready again");
    expect(await servedName(port)).toBe("api.test");
    expect((await fetch(gateway.url)).status).toBe(200);
    // The one that was handed over by the supervisor can hand it on.
    await gateway.admin("POST", "/debug/crash?worker=0");
    await gateway.said("a worker was replaced", 2);
    expect(await servedName(port)).toBe("api.test");
  });

  test.each(SPOILS)("a full restart leaves out the listener whose certificate is %s, and tries it again", async (_, spoil) => {
    const files = pair();
    const first = await Gateway.start({ config: config(), files });
    const ports = first.urls.map(portOf);
    expect(await first.stop()).toBe(0);
    await using gateway = await startSpoiled(config(ports), files, spoil);
    expect(gateway.urls).toEqual([`http://127.0.0.1:${ports[0]}`]);
    expect((await fetch(gateway.url)).status).toBe(200);
    await expect(servedName(ports[1] ?? 0)).rejects.toThrow("ECONNREFUSED");
    expect(gateway.lines("a listener is left out until its certificate can be used")).toMatchObject([
      { level: "error", address: `127.0.0.1:${ports[1]}`, problem: expect.stringContaining("listeners[1].tls.certificates[0].") },
    ]);
    expect(await gateway.admin("GET", "/readyz")).toMatchObject({
      status: 200,
      body: { concerns: [expect.stringContaining(`nobody listens at 127.0.0.1:${ports[1]} until its certificate can be used: `)] },
    });
    // A primary that is started again is in the same place, and tries again too.
    process.kill(gateway.primaryPid, "SIGKILL");
    await gateway.said("ready again");
    for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(gateway.directory, name), content);
    await untilAsync("the certificate is served", async () => expect(await servedName(ports[1] ?? 0)).toBe("api.test"));
    expect(await gateway.admin("GET", "/readyz")).toMatchObject({ status: 200, body: { concerns: [] } });
  });

  async function startSpoiled(text: string, files: Readonly<Record<string, Buffer>>, spoil: (directory: string) => void): Promise<Gateway> {
    const directory = fs.mkdtempSync("/tmp/sluice-spoilt-");
    for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(directory, name), content);
    spoil(directory);
    const left = Object.fromEntries(fs.readdirSync(directory).map((name) => [name, fs.readFileSync(path.join(directory, name))]));
    fs.rmSync(directory, { recursive: true });
    return await Gateway.start({ config: text, files: left });
  }
});

test("a takeover that would lose a listener is refused, and the instance that serves it stays", async () => {
  const directory = fs.mkdtempSync("/tmp/sluice-takeover-");
  makeCertificate(directory, "api", ["api.test"]);
  const config = (ports: readonly number[]) => `
version: 1
listeners: [ { address: "127.0.0.1:${ports[0]}" }, { address: "127.0.0.1:${ports[1]}", tls: { certificates: [ { cert: ${directory}/api.pem, key: ${directory}/api.key } ] } } ]
admin: false
routes: [ { name: all, match: { path: /** }, respond: {} } ]
`;
  await using old = await Gateway.start({ config: config([0, 0]) });
  const ports = old.urls.map(portOf);
  fs.rmSync(path.join(directory, "api.key"));
  const next = Gateway.spawn({ config: config(ports), runDirectory: old.runDirectory, args: ["--takeover"] });
  expect(await next.exited).toEqual({ code: 1, signal: null });
  expect(next.output).toContain(`no takeover: the certificate of 127.0.0.1:${ports[1]} cannot be used`);
  expect(await servedName(ports[1] ?? 0)).toBe("api.test");
  fs.rmSync(directory, { recursive: true });
});

test("where no listener is left a start is refused, with what is wrong", async () => {
  const gateway = Gateway.spawn({
    config:
      'version: 1\nadmin: false\nlisteners: [ { address: "127.0.0.1:0", tls: { certificates: [ { cert: a.pem, key: a.key } ] } } ]\nroutes: [ { name: r, match: { path: / }, respond: {} } ]\n',
  });
  expect(await gateway.exited).toEqual({ code: 1, signal: null });
  await until("it has said why", () => /a\.pem: there is no such file/.test(gateway.output));
});

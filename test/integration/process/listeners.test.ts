// Listeners that are more than a TCP port: certificates that change under traffic, Unix sockets that only one worker can bind.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { request } from "node:http";
import os from "node:os";
import path from "node:path";
import { connect, type PeerCertificate } from "node:tls";
import { expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";

/** Writes NAME.pem and NAME.key, self-signed. */
function certificate(directory: string, file: string, name: string): void {
  const at = (suffix: string) => path.join(directory, `${file}.${suffix}`);
  const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name}`];
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", ...subject];
  execFileSync("openssl", [...args, "-keyout", `${at("key")}.new`, "-out", `${at("pem")}.new`], { stdio: "ignore" });
  fs.renameSync(`${at("key")}.new`, at("key"));
  fs.renameSync(`${at("pem")}.new`, at("pem"));
}

/** @returns the name in the certificate that a new connection gets */
function servedName(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false }, () => {
      const peer: PeerCertificate = socket.getPeerCertificate();
      socket.destroy();
      resolve(String(peer.subject.CN));
    });
    socket.once("error", reject);
  });
}

/** GET over a Unix socket. */
function getUnix(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: "/x", headers: { host: "a" }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      response.once("end", () => resolve(body));
    })
      .once("error", reject)
      .end();
  });
}

test("a changed certificate is served to new connections, while old ones go on", async () => {
  await using origin = await Origin.start("one");
  const certs = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-certs-"));
  certificate(certs, "api", "first.test");
  await using gateway = await Gateway.start({
    config: `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0", tls: { certificates: [ { cert: "${certs}/api.pem", key: "${certs}/api.key" } ] } } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${origin.url}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
`,
  });
  expect(gateway.url).toMatch(/^https:/);
  expect(await servedName(gateway.port)).toBe("first.test");
  const old = connect({ host: "127.0.0.1", port: gateway.port, rejectUnauthorized: false });
  await new Promise<void>((resolve, reject) => old.once("secureConnect", resolve).once("error", reject));
  certificate(certs, "api", "second.test");
  await gateway.said("reloaded");
  // Key and certificate are two files: a reload between the two renames was refused, the one after it is not.
  await expect.poll(() => servedName(gateway.port), { timeout: 10_000 }).toBe("second.test");
  const answer = new Promise<string>((resolve) => old.once("data", (chunk: Buffer) => resolve(chunk.toString("latin1"))));
  old.write("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await answer).toMatch(/^HTTP\/1\.1 200/);
  old.destroy();
});

test("a Unix socket is served by one worker, and by its replacement", async () => {
  await using origin = await Origin.start("one");
  const socketPath = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "sluice-unix-")), "gw.sock");
  await using gateway = await Gateway.start({
    config: `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0" }, { address: "unix:${socketPath}" } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${origin.url}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
`,
  });
  expect(gateway.urls[1]).toBe(`unix:${socketPath}`);
  expect(await getUnix(socketPath)).toBe("one");
  await gateway.admin("POST", "/debug/crash?worker=0");
  await gateway.said("a worker was replaced");
  expect(await getUnix(socketPath)).toBe("one");
});

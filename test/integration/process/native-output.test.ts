// What a gateway prints: its own lines and nothing else, though uWebSockets.js prints for each server name and for each WebSocket.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

it("standard output has the ready line and the access log, standard error the gateway's log: with server names, WebSockets and a reload", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-native-output-"));
  const { cert, key } = makeCertificate(folder, "one", ["one.test", "localhost"]);
  await using origin = await WebSocketOrigin.start();
  await using gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners:
  - { address: "127.0.0.1:0", tls: { certificates: [ { cert: ${cert}, key: ${key} }, { cert: ${cert}, key: ${key}, hosts: [ one.test, localhost ] } ] } }
  - { address: "127.0.0.1:0" }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
  });
  for (const url of gateway.urls) {
    await using client = await WebSocketClient.open(`${url.replace("http", "ws").replace("127.0.0.1", "localhost")}/echo`, {
      ca: fs.readFileSync(cert),
    });
    client.ws.close();
  }
  expect((await gateway.admin("POST", "/reload")).status).toBe(200);
  await gateway.stop();
  const stdout = gateway.stdout.split("\n").filter((line) => line !== "");
  expect(stdout[0]).toMatch(/^ready /);
  for (const line of stdout.slice(1)) expect(JSON.parse(line)).toHaveProperty("requestId");
  const isJson = (line: string): boolean => line.startsWith("{") && typeof JSON.parse(line) === "object";
  const others = gateway.output.split("\n").filter((line) => line !== "" && !line.startsWith("ready ") && !isJson(line));
  expect(others).toEqual([]);
  fs.rmSync(folder, { recursive: true });
});

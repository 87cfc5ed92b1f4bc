// Nothing that a client sends can pass for the gateway's word about who is calling: on public routes and handshakes too, on both engines.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
identity:
  headers: { consumer: x-user }
  claims: { x-tenant: tenant }
routes:
  - name: all
    match: { path: "/**" }
    headers: { request: { set: { x-copy: "{header.x-consumer-id}{header.x-user}" } } }
    to: u
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;
const WEB_SOCKET =
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

describe.each(ENGINES)("%s", (engine) => {
  it.each([
    "X-Consumer-Id: forged",
    "x-consumer-id: forged\r\nX-CONSUMER-ID: forged",
    "X-Consumer-Scopes: forged",
    "X-Consumer-Roles: forged",
    "X-Consumer-Groups: forged",
    "X-Consumer-Tier: forged",
    "X-Consumer-Authenticator: forged",
    "X-Consumer-Username: forged",
    "X-Internal-Token: forged",
    "X-User: forged",
    "X-Tenant: forged",
  ])("%s does not arrive", async (line) => {
    rig.report();
    const path = `/a-${++runs}`;
    await using client = await rig.connect(engine);
    client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${line}\r\nX-Consumer: 1\r\n\r\n`);
    expect((await client.response()).status).toBe(200);
    const { raw } = await rig.upstream.received(path);
    expect(raw).not.toMatch(/forged|x-consumer-|x-user|x-tenant|x-internal|x-copy/i);
    expect(raw).toContain("x-consumer: 1\r\n");
  });

  it.each(["X-Consumer-Id: forged", "X-User: forged"])("%s does not arrive with a handshake", async (line) => {
    rig.report();
    const path = `/ws-${++runs}`;
    await using client = await rig.connect(engine);
    client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${line}\r\n${WEB_SOCKET}\r\n`);
    const { raw } = await rig.upstream.received(path);
    expect(raw).toMatch(/sec-websocket-key/i);
    expect(raw).not.toMatch(/forged|x-consumer-|x-user/i);
  });

  it.each([
    "X_Consumer_Id: forged",
    "x-consumer_id: forged",
    "X.Consumer.Id: forged",
    "x~consumer~id: forged",
    "X_User: forged",
    "X_Tenant: forged",
    "X_Internal_Token: forged",
    `X_Consumer_Id: forged\r\n${WEB_SOCKET.trimEnd()}`,
  ])("%s is refused", async (line) => {
    rig.report();
    const before = rig.upstream.requests.length;
    await using client = await rig.connect(engine);
    client.send(`GET /b HTTP/1.1\r\nHost: a.example\r\n${line}\r\n\r\n`);
    const response = await client.response();
    expect(response.status).toBe(400);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      code: "bad_request",
      detail: expect.stringContaining("a header of the gateway's own"),
    });
    expect(await rig.targetsSince(before, engine)).toEqual([]);
  });
});

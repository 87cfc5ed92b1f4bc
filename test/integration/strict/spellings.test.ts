// Header names that a service reads as others (CGI, WSGI, Rack: `x_user` as `x-user`), and fields in which only a proxy may say who asked
// and for what: none of a client's own reaches the upstream.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes:
  - name: all
    match: { path: "/**" }
    headers: { request: { remove: [x-internal-*], set: { x-tenant: "{query.tenant}" } } }
    to: u
  - { name: old, match: { path: "/old/**" }, insecure: [method-override], to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

const PROXIES_ONLY = [
  ...["Client-IP", "X-Remote-IP", "X-Remote-Addr", "X-Originating-IP", "X-Azure-ClientIP", "X-Azure-SocketIP", "X-Envoy-External-Address"],
  ...["X-AppEngine-User-IP", "Fly-Client-IP", "X-Scheme", "X-Original-URI", "X-Envoy-Original-Path", "X-Envoy-Upstream-Rq-Timeout-Ms"],
  ...["CF-Connecting-IP", "X-Original-Forwarded-For", "X-Script-Name", "Client-Cert", "SSL-Client-Verify", "X-Amzn-Mtls-Clientcert"],
  ...["X-Accel-Mapping", "X-Original-Method", "X-Forwarded", "Forwarded-For"],
  ...["Proxy-Client-IP", "WL-Proxy-Client-IP", "HTTP_CLIENT_IP", "HTTP_X_FORWARDED_FOR", "Remote-Addr", "X-Real-Port", "X-Original-Path"],
];
const METHOD_OVERRIDES = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"];

describe.each(ENGINES)("%s", (engine) => {
  it.each([
    "X_Forwarded_For: 6.6.6.6",
    "X.Forwarded.Proto: 6.6.6.6",
    "x_real-ip: 6.6.6.6",
    "X_Request_Id: 6.6.6.6",
    "X_Request_Deadline_Ms: 6666",
    "Content_Length: 6666",
    "Transfer_Encoding: 6.6.6.6",
    "Proxy: http://6.6.6.6/",
    "X-Forwarded-Prefix: /6.6.6.6",
    "X-Forwarded-Client-Cert: 6.6.6.6",
    "X-Original-URL: /6.6.6.6",
    "X_Rewrite_Url: /6.6.6.6",
    "True-Client-IP: 6.6.6.6",
    ...PROXIES_ONLY.map((name) => `${name}: 6.6.6.6`),
    "Client_IP: 6.6.6.6",
    ...METHOD_OVERRIDES.map((name) => `${name}: 6.6.6.6`),
    "X_HTTP_Method_Override: 6.6.6.6",
    "X_Internal_User: 6.6.6.6",
    "X_Tenant: 6.6.6.6",
    "x-Tenant: 6.6.6.6",
  ])("%s", async (line) => {
    rig.report();
    const path = `/s-${++runs}`;
    await using client = await rig.connect(engine);
    client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${line}\r\nX_Harmless: 1\r\n\r\n`);
    expect((await client.response()).status).toBe(200);
    const { raw } = await rig.upstream.received(path);
    expect(raw).not.toMatch(/6\.6\.6\.6|6666/);
    expect(raw).toContain("x_harmless: 1\r\n");
  });

  it("keeps orders of another method where the route says so", async () => {
    rig.report();
    const path = `/old/${++runs}`;
    await using client = await rig.connect(engine);
    client.send(`POST ${path} HTTP/1.1\r\nHost: a.example\r\n${METHOD_OVERRIDES.map((name) => `${name}: PUT\r\n`).join("")}\r\n`);
    expect((await client.response()).status).toBe(200);
    const { fields } = await rig.upstream.received(path);
    expect(fields.filter(([, value]) => value === "PUT").map(([name]) => name)).toEqual(METHOD_OVERRIDES.map((name) => name.toLowerCase()));
  });
});

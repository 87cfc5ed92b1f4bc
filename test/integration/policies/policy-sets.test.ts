// Routes that are made of the defaults, of sets and of keys of their own, as clients and services see them, on both engines.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { field } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";

let rig: BothEngines;
const KEY = "sk_live_0123456789abcdef";
const KEY_HASH = `sha256:${createHash("sha256").update(KEY).digest("hex")}`;

beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `x-shared: { set: &set { x-from: set, x-set: "1" } }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers: [{ id: initech, keys: ["${KEY_HASH}"] }]
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
defaults:
  auth: none
  headers: { request: { set: { x-from: defaults, x-defaults: "1" } } }
policySets:
  partner: { auth: keys, headers: { request: { set: *set } } }
  browser: { cors: { origins: ["https://app.example.com"] } }
  public: { auth: none, headers: { request: { set: { x-from: public, x-defaults: null } } } }
  closed: { respond: { status: 503, body: closed } }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: plain, match: { path: "/plain/**" }, to: u }
  - { name: partner, match: { path: "/partner/**" }, use: [partner, browser], to: u }
  - { name: opened, match: { path: "/opened/**" }, use: [partner, public], to: u }
  - { name: own, match: { path: "/own/**" }, use: [public], headers: { request: { set: { x-from: own } } }, to: u }
  - { name: closed, match: { path: "/closed/**" }, use: [closed] }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

describe.each(ENGINES)("%s", (engine) => {
  async function ask(prefix: string, fields = "") {
    rig.report();
    const target = `${prefix}/set-${++runs}`;
    await using client = await rig.connect(engine);
    client.send(`GET ${target} HTTP/1.1\r\nHost: shop.example\r\n${fields}\r\n`);
    const response = await client.response();
    const sent = rig.upstream.requests.find((request) => request.target === target);
    return { response, sent: (name: string) => (sent === undefined ? null : valuesOf(sent, name)) };
  }

  it("a route without sets has the defaults", async () => {
    const { response, sent } = await ask("/plain");
    expect([response.status, sent("x-from"), sent("x-defaults"), sent("x-set")]).toEqual([200, ["defaults"], ["1"], []]);
  });
  it("a set that asks who calls asks on each route that uses it, and upstream sees nothing of a refused request", async () => {
    const { response, sent } = await ask("/partner");
    expect([response.status, sent("x-from")]).toEqual([401, null]);
  });
  it("sets are merged with the defaults and with each other", async () => {
    const { response, sent } = await ask("/partner", `X-Api-Key: ${KEY}\r\nOrigin: https://app.example.com\r\n`);
    expect([response.status, sent("x-from"), sent("x-defaults"), sent("x-set")]).toEqual([200, ["set"], ["1"], ["1"]]);
    expect(field(response, "access-control-allow-origin")).toBe("https://app.example.com");
  });
  it("a later set lies over an earlier one and over the defaults", async () => {
    const { response, sent } = await ask("/opened");
    expect([response.status, sent("x-from"), sent("x-defaults"), sent("x-set")]).toEqual([200, ["public"], [], ["1"]]);
  });
  it("a route's own keys lie over all", async () => {
    const { sent } = await ask("/own");
    expect([sent("x-from"), sent("x-defaults")]).toEqual([["own"], []]);
  });
  it("a set may answer", async () => {
    const { response } = await ask("/closed");
    expect([response.status, response.body.toString()]).toEqual([503, "closed"]);
  });
});

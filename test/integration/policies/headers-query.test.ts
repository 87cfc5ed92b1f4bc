// What of a client's headers and query reaches a service: allow-lists, what is set only where it is absent, and what stays whatever a list says. On both
// engines.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { valuesOf } from "../../support/raw-message.ts";

let rig: BothEngines;

beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `auth: { keys: { apiKey: { in: query, name: key } } }
consumers: [{ id: initech, keys: ["sha256:2b37ca70dbc4ee2ab4f6b9e4a3a1b1f4a4f0ad1b5f9e0a7b7bd2d0d7f4b7c9f1"] }]
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
defaults: { auth: none }
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: u }
  - { name: few, match: { path: "/few/**" }, headers: { request: { allow: [accept, "x-app-*"], set: { x-own: "1" } } }, to: u }
  - { name: none, match: { path: "/none/**" }, headers: { request: { allow: [] } }, to: u }
  - name: absent
    match: { path: "/absent/**" }
    headers:
      request: { setIfAbsent: { x-lang: en, x-key: "{header.authorization ?? header.apikey ?? 'nobody'}" } }
      response: { setIfAbsent: { x-frame-options: DENY, content-type: text/x-none } }
    to: u
  - { name: query, match: { path: "/query/{id}/**" }, query: { allow: [q, role, "f_*"], remove: [f_x], set: { role: user }, setIfAbsent: { page: "1" } }, to: u }
  - { name: both, match: { path: "/both/{id}/**" }, rewrite: { path: "/s/{**}?own={id}" }, query: { allow: [q] }, to: u }
  - { name: keyed, match: { path: "/keyed/**" }, auth: { optional: keys }, query: { set: { key: upstream } }, to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

describe.each(ENGINES)("%s", (engine) => {
  /** @returns what the service got of the request */
  async function ask(prefix: string, { query = "", fields = "", body = "" } = {}) {
    rig.report();
    const mark = `hq-${++runs}`;
    await using client = await rig.connect(engine);
    const method = body === "" ? "GET" : "POST";
    client.send(`${method} ${prefix}/${mark}${query} HTTP/1.1\r\nHost: shop.example\r\n${fields}\r\n${body}`);
    const response = await client.response();
    const sent = rig.upstream.requests.find((request) => request.target.includes(mark));
    if (sent === undefined) throw new Error(`nothing of ${mark} came: ${response.status}`);
    return { response, target: sent.target.replace(mark, "X"), sent: (name: string) => valuesOf(sent, name) };
  }

  const FIELDS =
    "Accept: a/b\r\nAccept-Language: en\r\nCookie: a=1\r\nAuthorization: Bearer t\r\nX-App-Id: 7\r\nX_App_Id: 8\r\nX-Other: 1\r\nX-Own: forged\r\nX-Request-Id: mine\r\n";

  it("only the client's headers of the list go upstream, and what the gateway sends itself stays", async () => {
    const { response, sent } = await ask("/few", { fields: FIELDS });
    expect(response.status).toBe(200);
    expect([sent("accept"), sent("x-app-id"), sent("x-own")]).toEqual([["a/b"], ["7"], ["1"]]);
    for (const gone of ["accept-language", "cookie", "authorization", "x_app_id", "x-other"])
      expect([gone, sent(gone)]).toEqual([gone, []]);
    for (const own of ["host", "x-forwarded-for", "x-forwarded-proto", "x-request-id", "x-request-deadline-ms"])
      expect([own, sent(own).length]).toEqual([own, 1]);
  });
  it("an empty list lets no header of the client through but what says what its body is", async () => {
    const { response, sent } = await ask("/none", { fields: `${FIELDS}Content-Type: a/b\r\nContent-Length: 2\r\n`, body: "hi" });
    expect([response.status, sent("content-type"), sent("content-length"), sent("accept"), sent("x-app-id")]).toEqual([
      200,
      ["a/b"],
      ["2"],
      [],
      [],
    ]);
  });
  it("what is set where it is absent leaves the client's alone", async () => {
    const bare = await ask("/absent");
    expect([bare.sent("x-lang"), bare.sent("x-key")]).toEqual([["en"], ["nobody"]]);
    const full = await ask("/absent", { fields: "X-Lang: de\r\nApiKey: k\r\n" });
    expect([full.sent("x-lang"), full.sent("x-key")]).toEqual([["de"], ["k"]]);
    const both = await ask("/absent", { fields: "Authorization: Bearer t\r\nApiKey: k\r\n" });
    expect(both.sent("x-key")).toEqual(["Bearer t"]);
    expect(valuesOf(both.response, "x-frame-options")).toEqual(["DENY"]);
  });
  it("only the parameters of the list go upstream, and those that are set are the gateway's", async () => {
    const { target } = await ask("/query/7", { query: "?q=a&role=admin&r%6Fle=admin&f_x=1&f_y=2&x=1&q=b;role=admin" });
    expect(target).toBe("/query/7/X?q=a&f_y=2&q=b%3Brole=admin&role=user&page=1");
  });
  it("a list of parameters judges the client's, not those that a rewrite adds", async () => {
    expect((await ask("/both/7", { query: "?own=9&q=1&x=2" })).target).toBe("/s/X?own=7&q=1");
    expect((await ask("/both/7")).target).toBe("/s/X?own=7");
  });
  it("a parameter may be set that has the name of a credential, which goes no further", async () => {
    expect((await ask("/keyed", { query: "?a=1" })).target).toBe("/keyed/X?a=1&key=upstream");
  });
});

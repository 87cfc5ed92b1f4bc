// Changes of headers and queries on conditions, as clients and services see them, on both engines.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { valuesOf } from "../../support/raw-message.ts";

let rig: BothEngines;
const [ANN, BEN] = ["ann-key-0123456789", "ben-key-0123456789"];
const digest = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers:
  - { id: ann, roles: [staff], keys: ["${digest(ANN)}"] }
  - { id: ben, keys: ["${digest(BEN)}"] }
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ], retry: { attempts: 2, on: [503], budget: 100%, backoff: { base: 1ms, max: 1ms } }, health: { passive: false } }
defaults: { auth: none }
routes:
  - name: staff
    match: { path: "/staff/{id}/**" }
    auth: { optional: keys }
    headers:
      request:
        - { when: '"staff" in consumer.roles', set: { x-admin: "{consumer.id}" } }
        - { when: '!("staff" in consumer.roles)', remove: [x-debug] }
        - { when: 'header["x-lang"] == path.id || client.ip == "192.0.2.1"', add: { x-lang: own } }
    query:
      - { set: { by: gateway } }
      - { when: '"staff" in consumer.roles && query.limit != ""', set: { admin: "1" }, remove: [limit] }
    to: u
  - name: responses
    match: { path: "/responses/**" }
    headers:
      response:
        - { when: response.status >= 500, set: { cache-control: no-store }, remove: [x-internal] }
        - { when: 'response.status == 200 && !("etag" in response.header)', setIfAbsent: { cache-control: max-age=60 } }
    to: u
  - { name: refused, match: { path: "/refused/**" }, auth: keys, headers: { response: { when: response.status == 401, set: { x-help: ask } } }, to: u }
  - name: parts
    match: { path: "/parts/**" }
    headers: { request: { when: 'method == "GET"', set: { x-read: "1" } }, response: { when: 'response.header["content-type"] == "application/json"', set: { x-json: "1" } } }
    aggregate: { a: { to: u, path: "/part/{**}" } }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

let runs = 0;

describe.each(ENGINES)("%s", (engine) => {
  async function ask(prefix: string, { fields = "", query = "", key = "", answer = "" } = {}) {
    rig.report();
    const mark = `${prefix}/when-${++runs}`;
    if (answer !== "") rig.upstream.answer(mark, answer);
    await using client = await rig.connect(engine);
    const credential = key === "" ? "" : `X-Api-Key: ${key}\r\n`;
    client.send(`GET ${mark}${query} HTTP/1.1\r\nHost: shop.example\r\n${credential}${fields}\r\n`);
    const response = await client.response();
    const requests = rig.upstream.requests.filter(({ target }) => target.includes(`when-${runs}`));
    const sent = requests.map((request) => (name: string) => valuesOf(request, name));
    return { response, sent, targets: requests.map(({ target }) => target.slice(target.indexOf("?") + 1 || target.length)) };
  }

  const FORGED = "X-Admin: root\r\nX_Admin: root\r\nX-Debug: 1\r\nX-Lang: 7\r\n";

  it("who is calling decides, and nobody passes for somebody by sending the header", async () => {
    const staff = await ask("/staff/7", { key: ANN, fields: FORGED, query: "?limit=9&admin=9&a=1" });
    expect([staff.sent[0]?.("x-admin"), staff.sent[0]?.("x-debug"), staff.targets]).toEqual([["ann"], ["1"], ["a=1&by=gateway&admin=1"]]);
    const other = await ask("/staff/7", { key: BEN, fields: FORGED, query: "?limit=9&admin=9&a=1" });
    expect([other.sent[0]?.("x-admin"), other.sent[0]?.("x_admin"), other.sent[0]?.("x-debug"), other.targets]).toEqual([
      [],
      [],
      [],
      ["limit=9&a=1&by=gateway"],
    ]);
  });
  it("of nobody no condition on the caller can be evaluated: nothing is set, and what is removed goes", async () => {
    const { sent, targets } = await ask("/staff/7", { fields: FORGED, query: "?limit=9&admin=9&a=1" });
    expect([sent[0]?.("x-admin"), sent[0]?.("x_admin"), sent[0]?.("x-debug"), targets]).toEqual([[], [], [], ["a=1&by=gateway"]]);
  });
  it("what a client sends twice is no value that a condition could hold by", async () => {
    expect((await ask("/staff/7", { fields: "X-Lang: 7\r\n" })).sent[0]?.("x-lang")).toEqual(["7", "own"]);
    expect((await ask("/staff/7", { fields: "X-Lang: 7\r\nX-Lang: 7\r\n" })).sent[0]?.("x-lang")).toEqual(["7", "7"]);
    expect((await ask("/staff/7", { fields: "X-Lang: 8\r\n" })).sent[0]?.("x-lang")).toEqual(["8"]);
  });
  it("conditions on a response see its status and headers, also after retries", async () => {
    const failed = await ask("/responses", { answer: "HTTP/1.1 503 No\r\nX-Internal: 1\r\nContent-Length: 0\r\n\r\n" });
    expect([failed.response.status, valuesOf(failed.response, "cache-control"), valuesOf(failed.response, "x-internal")]).toEqual([
      503,
      ["no-store"],
      [],
    ]);
    expect(failed.sent).toHaveLength(3);
    const good = await ask("/responses", { answer: "HTTP/1.1 200 OK\r\nX-Internal: 1\r\nContent-Length: 0\r\n\r\n" });
    expect([valuesOf(good.response, "cache-control"), valuesOf(good.response, "x-internal")]).toEqual([["max-age=60"], ["1"]]);
    const tagged = await ask("/responses", { answer: 'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n' });
    expect(valuesOf(tagged.response, "cache-control")).toEqual([]);
  });
  it("the gateway's own answers are responses too", async () => {
    const { response, sent } = await ask("/refused");
    expect([response.status, valuesOf(response, "x-help"), sent]).toEqual([401, ["ask"], []]);
    expect(valuesOf((await ask("/refused", { key: ANN })).response, "x-help")).toEqual([]);
  });
  it("each call of an aggregated answer, and the answer, have the route's changes", async () => {
    rig.upstream.answer(`/part/when-${runs + 1}`, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    const { response, sent } = await ask("/parts");
    expect([response.status, valuesOf(response, "x-json"), sent.map((of) => of("x-read"))]).toEqual([200, ["1"], [["1"]]]);
  });
});

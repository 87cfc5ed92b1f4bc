// What is made of a HEADERS frame before anybody routes it. A section that comes again is admitted by what was found out before: that must never show.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HpackDecoder } from "../../../../../src/base/http2/hpack-decoder.ts";
import type { Exchange } from "../../../../../src/data/exchange/exchange.ts";
import { Http2Admission } from "../../../../../src/data/listener/http2/admission.ts";
import type { ListenerHost } from "../../../../../src/data/listener/listener.ts";
import { PlayedClient, PlayedWorker } from "../../../../support/played-worker.ts";
import { Chance } from "../../../../support/random-upstream.ts";
import { block } from "../../../../support/raw-http2.ts";

type Field = readonly [name: string, value: string];

const plan = (rest: string): string => `version: 1
listeners: [ { address: 127.0.0.1:0 } ]
${rest}
routes: [ { name: all, match: { path: "/**" }, respond: { status: 204 } } ]
`;

const PLANS = [
  plan(""),
  plan("identity: { protect: [x-caller-id] }"),
  plan("trustedProxies: [ 203.0.113.0/24 ]"),
  plan("limits: { headerBytes: 1KiB }"),
  plan("limits: { headerCount: 8, uriBytes: 256B }"),
];
const TRUSTING = 2;
const PEER = "203.0.113.7";

const workers: PlayedWorker[] = [];
beforeAll(async () => {
  for (const each of PLANS) workers.push(await PlayedWorker.start(each));
});
afterAll(() => {
  for (const each of workers) each.stop();
});

/** Of a listener, what admission asks for. */
const HOST = { paths: null } as ListenerHost;

/** One connection. */
class Connection {
  readonly admission: Http2Admission;
  readonly #decoder = new HpackDecoder(4096, 64 * 1024);

  constructor(secure = false) {
    this.admission = new Http2Admission(HOST, { secure, peer: PEER });
  }

  /** @returns everything that admission decides; or why it refuses */
  admit(planIndex: number, fields: readonly Field[], ended = true): Record<string, unknown> {
    const { runtime } = workers[planIndex] as PlayedWorker; // of the list
    const x: Exchange = new PlayedClient(runtime);
    const bytes = block(fields);
    const section = this.#decoder.decode(bytes, 0, bytes.length);
    if (section === null) throw new Error("the block cannot be decoded");
    const refusal = this.admission.admit(x, section, ended);
    if (refusal !== null) return { refusal: refusal.code, detail: refusal.detail, unadmitted: x.unadmitted };
    const { method, path, query, host, authority, bodyKind, contentLength, bodyDone, wantsWebSocket, awaitsContinue } = x;
    const headers = x.headers.map((text, i) => (x.headers[i - 1] === "sec-websocket-key" ? "a key" : text));
    const { ip, scheme } = x.clientInfo();
    const { hasAmbiguousFieldNames } = x;
    const { isServerOptions } = this.admission;
    // A policy of this request changes them: no other may see it.
    x.ownHeaders().push("x-decided", "by a policy");
    const target = { method, path, query, host, authority, isServerOptions };
    return { ...target, bodyKind, contentLength, bodyDone, wantsWebSocket, awaitsContinue, hasAmbiguousFieldNames, headers, ip, scheme };
  }
}

const request = (method: string, path: string, authority: string | null, ...more: readonly Field[]): Field[] => [
  [":method", method],
  [":scheme", "http"],
  [":path", path],
  ...(authority === null ? [] : [[":authority", authority] as const]),
  ...more,
];

describe("a request", () => {
  it.each<readonly [what: string, secure: boolean, planIndex: number, scheme: string, code: string | undefined]>([
    ["http in cleartext", false, 0, "http", undefined],
    ["https in cleartext, of anybody", false, 0, "https", "bad_request"],
    ["https in cleartext, of a trusted proxy", false, TRUSTING, "https", undefined],
    ["https on TLS", true, 0, "https", undefined],
    ["http on TLS", true, 0, "http", "bad_request"],
    ["http on TLS, of a trusted proxy", true, TRUSTING, "http", "bad_request"],
    ["another one, of a trusted proxy", false, TRUSTING, "ws", "bad_request"],
  ])("has the :scheme of its connection: %s", (_what, secure, planIndex, scheme, code) => {
    const fields = request("GET", "/", "a.example").map(([name, value]): Field => [name, name === ":scheme" ? scheme : value]);
    expect(new Connection(secure).admit(planIndex, fields)["refusal"]).toBe(code);
  });

  it.each<readonly [authority: string | null, host: string | null, one: string | null]>([
    ["a.example", null, "a.example"],
    [null, "a.example", "a.example"],
    ["a.example", "a.example", "a.example"],
    ["A.example", "a.EXAMPLE:80", "A.example"],
    ["a.example:", "a.example", "a.example"],
    ["a.example:8080", "a.example:8080", "a.example:8080"],
    ["a.example", "b.example", null],
    ["a.example", "a.example:8080", null],
    ["a.example", "a.example:443", null],
    ["", null, null],
    ["", "a.example", null],
    [null, null, null],
    ["u@a.example", null, null],
    ["a.example/x", null, null],
  ])("with :authority %s and Host %s has the one Host %s", (authority, host, one) => {
    const fields = request("GET", "/", authority, ...(host === null ? [] : [["host", host] as const]));
    const { refusal, headers } = new Connection().admit(0, fields) as { refusal?: string; headers?: string[] };
    expect(refusal).toBe(one === null ? "bad_request" : undefined);
    if (headers !== undefined) expect(headers.filter((_, i) => headers[i - 1] === "host")).toEqual([one]);
  });

  it("for a WebSocket is a GET that upgrades, with a key that is another one each time", () => {
    const runtime = (workers[0] as PlayedWorker).runtime;
    const keys = [1, 2].map(() => {
      const x = new PlayedClient(runtime);
      const protocol: Field = [":protocol", "websocket"];
      const bytes = block([protocol, ...request("CONNECT", "/ws", "a.example", ["sec-websocket-version", "13"])]);
      const section = new HpackDecoder(4096, 4096).decode(bytes, 0, bytes.length);
      if (section === null) throw new Error("the block cannot be decoded");
      expect(new Http2Admission(HOST, { secure: false, peer: PEER }).admit(x, section, false)).toBeNull();
      expect([x.method, x.path, x.wantsWebSocket, x.bodyDone]).toEqual(["GET", "/ws", true, true]);
      return x.header("sec-websocket-key");
    });
    expect(keys[0]).toMatch(/^[A-Za-z0-9+/]{22}==$/);
    expect(keys[0]).not.toBe(keys[1]);
  });
});

const TARGETS: readonly (readonly [method: string, path: string])[] = [
  ["GET", "/"],
  ["GET", "/a?b=c"],
  ["POST", "/a"],
  ["HEAD", "/"],
  ["GET", `/${"long".repeat(80)}`],
  ["OPTIONS", "*"],
  ["OPTIONS", "/a"],
  ["GET", "//x"],
  ["get", "/"],
  ["CONNECT", "/ws"],
];
const SECTIONS: readonly (readonly Field[])[] = [
  [],
  [["accept", "*/*"]],
  [["host", "a.example"]],
  [["host", "b.example"]],
  [
    ["x-caller-id", "root"],
    ["x-consumer-id", "root"],
    ["x_caller", "1"],
  ],
  [
    ["x-forwarded-for", "198.51.100.1"],
    ["x-forwarded-proto", "https"],
  ],
  [["forwarded", "for=nonsense="]],
  [
    ["content-length", "3"],
    ["expect", "100-continue"],
  ],
  [["cookie", "a".repeat(1100)]],
  [..."abcdefgh"].map((name): Field => [name, "1"]),
  [["x-a", "caf\xe9"]],
  [["sec-websocket-version", "13"]],
];

it.each([1, 2, 3, 4, 5, 6])("what is remembered of a section shows in nothing, with reloads in between, seed %i", (seed) => {
  const dice = new Chance(seed);
  const kept = new Connection();
  let planIndex = 0;
  let fields: readonly Field[] = request("GET", "/", "a.example");
  for (let i = 0; i < 1500; i++) {
    if (dice.chance(0.1)) planIndex = Math.floor(dice.rnd() * PLANS.length);
    if (dice.chance(0.3)) {
      const [method, path] = dice.pick(TARGETS);
      const webSocket: readonly Field[] = method === "CONNECT" ? [[":protocol", "websocket"]] : [];
      fields = [...webSocket, ...request(method, path, dice.chance(0.1) ? null : "a.example", ...dice.pick(SECTIONS))];
    }
    const ended = dice.chance(0.5) && !fields.some(([name]) => name === "content-length");
    expect(kept.admit(planIndex, fields, ended), `${i}: ${JSON.stringify(fields)}`).toEqual(
      new Connection().admit(planIndex, fields, ended),
    );
  }
});

it("what is remembered of a section is shared by requests, and no policy can change it for another one", () => {
  const { admission } = new Connection();
  const decoder = new HpackDecoder(4096, 4096);
  const bytes = block(request("GET", "/", "a.example", ["accept", "*/*"]));
  const all = [1, 2, 3].map(() => {
    const x = new PlayedClient((workers[0] as PlayedWorker).runtime);
    const section = decoder.decode(bytes, 0, bytes.length);
    if (section === null) throw new Error("the block cannot be decoded");
    admission.admit(x, section, true);
    return x;
  });
  expect(all[2]?.headers).toBe(all[1]?.headers);
  expect(() => all[2]?.headers.push("x", "y")).toThrow(TypeError);
  all[2]?.ownHeaders().push("x", "y");
  expect(all[1]?.headers).toEqual(["accept", "*/*", "host", "a.example"]);
});

// Clients of HTTP/2 that mean harm, frame by frame: what each sees, that what it makes the gateway do and hold is bounded, and that others are served meanwhile.
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFailed } from "vitest";
import { ERROR_CODE, FRAME, PREFACE, SETTING } from "../../../src/base/http2/protocol.ts";
import { Gateway } from "../../support/gateway.ts";
import { type Field, RawH2Client, request } from "../../support/raw-h2-client.ts";
import { block, data, frame, headers, ping, rst, settings, settingsAck, windowUpdate } from "../../support/raw-http2.ts";
import { RawUpstream, type UpstreamConnection } from "../../support/raw-upstream.ts";
import { until, untilAsync } from "../../support/until.ts";

const { enhanceYourCalm: CALM, refusedStream: REFUSED, settingsTimeout, noError, protocolError, compressionError } = ERROR_CODE;
const MiB = 1024 * 1024;
const STREAMS = 20;
const LOG_LINES_SHOWN = 10;

let gateway: Gateway;
let upstream: RawUpstream;
/** Requests for /held that are not answered. */
const open = new Set<UpstreamConnection>();

beforeAll(async () => {
  upstream = await RawUpstream.start();
  upstream.on("/held", (connection) => {
    open.add(connection);
    connection.socket.once("close", () => open.delete(connection));
  });
  upstream.answer("/large", `HTTP/1.1 200 OK\r\nContent-Length: ${4 * MiB}\r\n\r\n${"x".repeat(4 * MiB)}`);
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: { address: 127.0.0.1:0 }
limits: { streamsPerConnection: ${STREAMS}, headerTimeout: 1s, idleTimeout: 2s, bodyTimeout: 1s }
listeners:
  - { address: 127.0.0.1:0, h2c: true }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ], pool: { connections: 1000 }, timeouts: { response: 60s, total: 60s } } }
routes:
  - { name: own, match: { path: /own }, respond: { body: own } }
  - { name: large, match: { path: /body }, respond: { body: "${"y".repeat(1000)}" } }
  - { name: all, match: { path: /** }, to: u }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

let residentBefore: number;
beforeEach(async () => {
  onTestFailed(() => console.error(gateway.output.split("\n").slice(-LOG_LINES_SHOWN).join("\n")));
  await until("nothing is left of the test before", () => open.size === 0);
  residentBefore = await metric("process_resident_memory_bytes");
});

const REFUSALS = 'sluice_http2_faults_total{kind="refused"}';
const SLOW = 'sluice_http2_faults_total{kind="slow"}';
const FLOODS = 'sluice_http2_faults_total{kind="flood"}';

async function metric(name: string): Promise<number> {
  const { body } = await gateway.admin("GET", "/metrics");
  const line = String(body)
    .split("\n")
    .find((text) => text.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

/** Another connection is served, and the gateway holds no more than so much beyond what it held. */
async function soundAfter(moreBytes = 96 * MiB): Promise<void> {
  await using others = await RawH2Client.connect(gateway.port);
  others.ask(1, request("/own"));
  expect(await others.status(1)).toBe(200);
  expect((await metric("process_resident_memory_bytes")) - residentBefore).toBeLessThan(moreBytes);
}

const ids = (count: number, from = 1): number[] => Array.from({ length: count }, (_, i) => from + 2 * i);
const many = (count: number, part: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => part));

describe("floods", () => {
  it("streams that are opened and reset at once (CVE-2023-44487): cut, and no more than its streams are ever under way", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    const before = await metric(FLOODS);
    client.send(...ids(2000).flatMap((id) => [headers(id, request("/held")), rst(id, ERROR_CODE.cancel)]));
    expect(await client.end()).toBe(CALM);
    await until("nothing is under way upstream", () => open.size === 0);
    expect(upstream.connections.length).toBeLessThan(500);
    expect(await metric(FLOODS)).toBe(before + 1);
    await soundAfter();
  });

  it.each<readonly [what: string, provoke: (id: number) => Buffer[]]>([
    ["WINDOW_UPDATE of 0", (id) => [headers(id, request("/held")), windowUpdate(id, 0)]],
    ["WINDOW_UPDATE beyond 2^31-1", (id) => [headers(id, request("/held")), windowUpdate(id, 0x7fffffff)]],
    ["DATA behind END_STREAM", (id) => [headers(id, request("/held")), data(id, "x")]],
    ["HEADERS behind END_STREAM", (id) => [headers(id, request("/held")), headers(id, [["a", "b"]])]],
    ["PRIORITY of a wrong length", (id) => [headers(id, request("/held")), frame(FRAME.priority, 0, id, "1234")]],
    ["malformed requests", (id) => [headers(id, request("/held", "GET", ["a b", "c"]))]],
    [
      "less DATA than content-length says",
      (id) => [headers(id, request("/held", "POST", ["content-length", "3"]), { end: false }), data(id, "x", true)],
    ],
  ])("streams that we are provoked to reset, by %s (CVE-2025-8671): cut", async (_what, provoke) => {
    await using client = await RawH2Client.connect(gateway.port);
    client.send(...ids(2000).flatMap(provoke));
    expect(await client.end()).toBe(CALM);
    await until("nothing is under way upstream", () => open.size === 0);
    await soundAfter();
  });

  it.each<readonly [what: string, flood: Buffer, code: number]>([
    [
      "CONTINUATION frames that are empty",
      Buffer.concat([headers(1, request("/own"), { endHeaders: false }), many(5000, frame(FRAME.continuation, 0, 1))]),
      CALM,
    ],
    [
      "CONTINUATION frames that are full",
      Buffer.concat([
        headers(1, request("/own"), { endHeaders: false }),
        many(100, frame(FRAME.continuation, 0, 1, block([["a", "x".repeat(16_000)]]))),
      ]),
      CALM,
    ],
    ["empty DATA", Buffer.concat([headers(1, request("/held", "POST"), { end: false }), many(5000, data(1, ""))]), CALM],
    ["empty DATA for a stream that is over", Buffer.concat([headers(1, request("/own")), rst(1, 8), many(5000, data(1, ""))]), CALM],
    ["PING", many(5000, ping()), CALM],
    ["SETTINGS", many(5000, settings()), CALM],
    ["SETTINGS that change windows", many(5000, settings([SETTING.initialWindowSize, 100_000])), CALM],
    ["acknowledgements of SETTINGS", many(5000, settingsAck()), CALM],
    ["PRIORITY", many(5000, frame(FRAME.priority, 0, 3, Buffer.from([0, 0, 0, 0, 1]))), CALM],
    ["unknown frames", many(5000, frame(0x77, 0, 0, "x")), CALM],
    ["WINDOW_UPDATE", Buffer.concat([headers(1, request("/held")), many(5000, windowUpdate(1, 1))]), CALM],
    ["RST_STREAM", Buffer.concat([headers(1, request("/held")), many(5000, rst(1, 8))]), CALM],
    ["a block that no HPACK gives", frame(FRAME.headers, 5, 1, Buffer.alloc(16_000, 0xff)), compressionError],
  ])("of %s: cut", async (_what, flood, code) => {
    await using client = await RawH2Client.connect(gateway.port);
    client.send(flood);
    expect(await client.end()).toBe(code);
    await soundAfter();
  });

  it("of PING by a client that reads nothing: no more is read than is answered, and then it is cut", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    client.socket.pause();
    client.send(many(5000, ping()));
    client.socket.resume();
    expect(await client.end()).toBe(CALM);
    await soundAfter();
  });

  it("a header section that decodes to a thousand times its size (HPACK bomb): 431 without holding it, and the table stays in step", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    const large: Field = ["x-bomb", "x".repeat(3900)];
    const text = (value: string): Buffer =>
      Buffer.concat([Buffer.from([127, 128 | ((value.length - 127) & 127), (value.length - 127) >> 7]), Buffer.from(value)]);
    const insert = Buffer.concat([Buffer.from([0x40, large[0].length]), Buffer.from(large[0]), text(large[1])]);
    client.send(frame(FRAME.headers, 5, 1, Buffer.concat([block(request("/own")), insert])));
    expect(await client.status(1)).toBe(200);
    const references = Buffer.alloc(16_000, 0x80 | 62);
    for (const id of ids(50, 3)) {
      client.send(frame(FRAME.headers, 5, id, Buffer.concat([block(request("/own")), references])));
      expect(await client.status(id)).toBe(431);
    }
    client.send(frame(FRAME.headers, 5, 201, Buffer.concat([block(request("/echoed")), Buffer.from([0x80 | 62])])));
    expect(await client.status(201)).toBe(200);
    expect((await upstream.received("/echoed")).raw).toContain(`x-bomb: ${large[1]}\r\n`);
    await soundAfter();
  });
});

describe("limits of streams", () => {
  it("more requests at once than limits.streamsPerConnection are refused unprocessed, and served when others are over", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    for (const id of ids(STREAMS)) client.ask(id, request("/held"));
    await until("they are under way", () => open.size === STREAMS);
    client.ask(101, request("/own"));
    expect((await client.answer(101)).reset).toBe(REFUSED);
    client.send(rst(1, ERROR_CODE.cancel));
    await until("one is given up upstream", () => open.size === STREAMS - 1);
    client.ask(103, request("/own"));
    expect(await client.status(103)).toBe(200);
    await soundAfter();
  });

  it("SETTINGS says how many, that there are no priorities, and that WebSockets may be asked for", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    await until("SETTINGS have come", () => client.frames.some(({ type }) => type === FRAME.settings));
    const { payload } = client.frames[0] as (typeof client.frames)[number]; // one is there
    const pairs = Array.from({ length: payload.length / 6 }, (_, i) => [payload.readUInt16BE(6 * i), payload.readUInt32BE(6 * i + 2)]);
    expect(Object.fromEntries(pairs)).toMatchObject({
      [SETTING.maxConcurrentStreams]: STREAMS,
      [SETTING.noRfc7540Priorities]: 1,
      [SETTING.enableConnectProtocol]: 1,
    });
  });
});

describe("clients that take nothing", () => {
  it("a window of 0: its response alone is taken away after limits.idleTimeout, with others served meanwhile", async () => {
    await using client = await RawH2Client.connect(gateway.port, [SETTING.initialWindowSize, 0]);
    client.send(settingsAck());
    client.ask(1, request("/large"));
    expect(await client.status(1)).toBe(200);
    client.ask(3, request("/body"));
    client.send(windowUpdate(3, 1000));
    expect((await client.answer(3)).body.length).toBe(1000);
    expect((await client.answer(1)).reset).toBe(CALM);
    client.ask(5, request("/body"));
    client.send(windowUpdate(5, 1000));
    expect((await client.answer(5)).ended).toBe(true);
    await soundAfter();
  });

  it("windows that open by a byte at a time: no progress", async () => {
    await using client = await RawH2Client.connect(gateway.port, [SETTING.initialWindowSize, 1]);
    client.send(settingsAck());
    client.ask(1, request("/body"));
    expect(await client.status(1)).toBe(200);
    const drip = setInterval(() => client.send(windowUpdate(1, 1)), 50);
    try {
      expect((await client.answer(1)).reset).toBe(CALM);
    } finally {
      clearInterval(drip);
    }
    expect(client.on(1).body.length).toBeLessThan(1000);
    await soundAfter();
  });

  it("windows shut by SETTINGS in the middle of a response, and opened again: it goes on", async () => {
    await using client = await RawH2Client.connect(gateway.port, [SETTING.initialWindowSize, 1000]);
    client.send(settingsAck());
    client.ask(1, request("/large"));
    await until("what the window allows has come", () => client.on(1).body.length === 1000);
    client.send(settings([SETTING.initialWindowSize, 0]), windowUpdate(1, 500));
    client.ask(3, request("/own"));
    expect(await client.status(3)).toBe(200);
    expect(client.on(1).body.length).toBe(1000);
    client.send(settings([SETTING.initialWindowSize, 2_000_000]), windowUpdate(0, 8 * MiB), windowUpdate(1, 4 * MiB));
    expect((await client.answer(1)).body.length).toBe(4 * MiB);
  });

  it("a socket that is not read: cut after limits.idleTimeout, and what waits for it is bounded", async () => {
    await using client = await RawH2Client.connect(gateway.port, [SETTING.initialWindowSize, 0x7fffffff]);
    client.send(settingsAck(), windowUpdate(0, 0x7fff0000 - 65_535));
    client.socket.pause();
    for (const id of ids(STREAMS)) client.ask(id, request("/large"));
    const before = await metric(SLOW);
    await untilAsync("it is cut", async () => expect(await metric(SLOW)).toBe(before + 1));
    client.socket.resume();
    await client.end();
    await soundAfter(160 * MiB);
  });

  it("heads alone are not written without end to who does not read: further requests are refused", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    await until("it is greeted", () => client.frames.length >= 2);
    client.socket.pause();
    const before = await metric(REFUSALS);
    const section = Buffer.from(block(request("/own", "HEAD")));
    let id = 1;
    for (let round = 0; round < 40; round++) {
      client.send(...ids(1000, id).map((each) => frame(FRAME.headers, 5, each, section)));
      id += 2000;
    }
    await untilAsync("some are refused", async () => expect(await metric(REFUSALS)).toBeGreaterThan(before));
    await soundAfter();
  });
});

describe("clients that leave off", () => {
  it("in the preface: closed", async () => {
    await using client = await RawH2Client.silent(gateway.port);
    client.send(PREFACE.subarray(0, 10));
    expect(await client.end()).toBe(-1);
  });

  it("behind the preface, and without an acknowledgement of SETTINGS: SETTINGS_TIMEOUT", async () => {
    await using first = await RawH2Client.silent(gateway.port);
    first.send(PREFACE);
    await using second = await RawH2Client.connect(gateway.port);
    expect(await first.end()).toBe(settingsTimeout);
    expect(await second.end()).toBe(settingsTimeout);
  });

  it("in a header section: cut, although another request of theirs is under way", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    client.ask(1, request("/held"));
    await until("it is under way", () => open.size === 1);
    client.send(headers(3, request("/own"), { endHeaders: false }));
    expect(await client.end()).toBe(CALM);
    await until("nothing is under way upstream", () => open.size === 0);
  });

  it("in a body: 408, the connection goes on", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck(), headers(1, request("/sink", "POST", ["content-length", "10"]), { end: false }), data(1, "abc"));
    expect(await client.status(1)).toBe(408);
    expect((await client.answer(1)).ended).toBe(true);
    client.ask(3, request("/own"));
    expect(await client.status(3)).toBe(200);
  });

  it("between requests: told to go (GOAWAY, NO_ERROR), then closed", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    client.send(settingsAck());
    client.ask(1, request("/own"));
    expect(await client.status(1)).toBe(200);
    expect(await client.end()).toBe(noError);
    expect(client.goAways.map(({ lastId }) => lastId)).toEqual([0x7fffffff, 1]);
  });

  it("by FIN behind a request: answered", async () => {
    await using client = await RawH2Client.connect(gateway.port);
    client.ask(1, request("/late"));
    let service: UpstreamConnection | null = null;
    upstream.on("/late", (connection) => {
      service = connection;
    });
    client.socket.end();
    await until("the service has it", () => service !== null);
    (service as UpstreamConnection | null)?.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    expect(String((await client.answer(1)).body)).toBe("ok");
  });
});

it("what is no HTTP/2 behind its preface ends the connection with its reason, which the log has", async () => {
  await using client = await RawH2Client.silent(gateway.port);
  client.send(PREFACE, Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  expect([protocolError, ERROR_CODE.frameSizeError]).toContain(await client.end());
  expect(await metric('sluice_http2_faults_total{kind="protocol"}')).toBeGreaterThan(0);
  expect(gateway.output).toMatch(/an HTTP\/2 client breaks the rules/);
});

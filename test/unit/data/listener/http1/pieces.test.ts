// What becomes of a client's bytes must not depend on how they were cut on their way.
import { afterAll, beforeAll, expect, it } from "vitest";
import { MessageMaker } from "../../../../support/http1-messages.ts";
import { PlayedListener } from "../../../../support/played-http1.ts";
import { PlayedWorker } from "../../../../support/played-worker.ts";

const CONFIG = `version: 1
listeners: [ { address: 127.0.0.1:0 } ]
limits: { headerBytes: 1KiB, uriBytes: 256B, headerCount: 20 }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:9" } ] } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`;

let worker: PlayedWorker;
let listener: PlayedListener;
beforeAll(async () => {
  worker = await PlayedWorker.start(CONFIG);
  listener = new PlayedListener(worker.runtime);
});
afterAll(() => worker.stop());

/** All cuts in two, and into single bytes. */
function cuts(bytes: Buffer): (readonly Buffer[])[] {
  const pairs = Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]);
  return [...pairs, Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))];
}

async function expectSame(text: string): Promise<void> {
  const bytes = Buffer.from(text, "latin1");
  const whole = await listener.outcome([bytes]);
  for (const pieces of cuts(bytes))
    expect(await listener.outcome(pieces), `${JSON.stringify(text)} in pieces of ${pieces.map((each) => each.length)}`).toEqual(whole);
}

const HOST = "Host: a.example\r\n";

it.each<[string, string, { requests?: number; refused?: string[] }]>([
  ["a request", `GET / HTTP/1.1\r\n${HOST}\r\n`, { requests: 1 }],
  ["a section at its limit", `GET / HTTP/1.1\r\n${HOST}x: ${"a".repeat(1024 - HOST.length - 5)}\r\n\r\n`, { requests: 1 }],
  [
    "a section one byte beyond it",
    `GET / HTTP/1.1\r\n${HOST}x: ${"a".repeat(1024 - HOST.length - 4)}\r\n\r\n`,
    { refused: ["headers_too_large"] },
  ],
  ["a section far beyond it", `GET / HTTP/1.1\r\n${HOST}x: ${"a".repeat(1500)}\r\n\r\n`, { refused: ["headers_too_large"] }],
  ["a section beyond it in white space", `GET / HTTP/1.1\r\n${HOST}x: ${" ".repeat(1024)}a\r\n\r\n`, { refused: ["headers_too_large"] }],
  ["a target at its limit", `GET /${"a".repeat(255)} HTTP/1.1\r\n${HOST}\r\n`, { requests: 1 }],
  ["a target one byte beyond it", `GET /${"a".repeat(256)} HTTP/1.1\r\n${HOST}\r\n`, { refused: ["uri_too_long"] }],
  ["a target far beyond it", `GET /${"a".repeat(600)} HTTP/1.1\r\n${HOST}\r\n`, { refused: ["uri_too_long"] }],
  ["a target beyond it that never ends", `GET /${"a".repeat(600)}`, { refused: ["uri_too_long"] }],
  ["a bad byte before the section is too large", `GET / HTTP/1.1\r\n${HOST}x: \0${"a".repeat(1500)}\r\n\r\n`, { refused: ["bad_request"] }],
  ["a bad byte behind that", `GET / HTTP/1.1\r\n${HOST}x: ${"a".repeat(1500)}\0\r\n\r\n`, { refused: ["headers_too_large"] }],
  ["another version with a bad field", `GET / HTTP/1.2\r\nx y: 1\r\n\r\n`, { refused: ["bad_request"] }],
  ["another version", `GET / HTTP/1.2\r\n${HOST}\r\n`, { refused: ["http_version"] }],
  ["four empty lines before a request", `\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, { requests: 1 }],
  ["five empty lines before a request", `\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, { refused: ["bad_request"] }],
  [
    "chunks, extensions and trailers",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3;a="b;c"\r\nabc\r\n0\r\nx-t: 1\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`,
    { requests: 2 },
  ],
  [
    "a chunk's line that is too long",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3;${"a".repeat(4200)}\r\nabc\r\n0\r\n\r\n`,
    { refused: ["bad_request"] },
  ],
  [
    "trailers beyond the limit of a section",
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nx: ${"a".repeat(1100)}\r\n\r\n`,
    { refused: ["bad_request"] },
  ],
])("%s", async (_, text, { requests = 0, refused = [] }) => {
  const outcome = await listener.outcome([Buffer.from(text, "latin1")]);
  expect([outcome.requests.length, outcome.refused]).toEqual([requests, refused]);
  await expectSame(text);
});

it("a flood of chunk extensions is refused before the body is", async () => {
  const chunk = `1;${"a".repeat(4000)}\r\nx\r\n`;
  const { refused } = await listener.outcome([
    Buffer.from(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}0\r\n\r\n`, "latin1"),
  ]);
  expect(refused).toEqual(["bad_request"]);
});

it.each([1, 2, 3, 4])("valid and damaged messages by chance, seed %i", async (seed) => {
  const maker = new MessageMaker(seed);
  for (let i = 0; i < 40; i++) await expectSame(maker.next());
});

import { describe, expect, it } from "vitest";
import { BODY_FIXED } from "../../../../../../src/data/exchange/exchange.ts";
import {
  acceptKey,
  offerHeaders,
  readAnswer,
  readOffer,
  type WebSocketOffer,
  withoutHandshake,
} from "../../../../../../src/data/handlers/proxy/websocket/handshake.ts";
import { flat, TestExchange } from "../../../../../support/exchange.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** RFC 6455 section 1.3. */
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

it("acceptKey gives the RFC's example", () => expect(acceptKey(KEY)).toBe(ACCEPT));

describe("readOffer", () => {
  const read = (changes: Record<string, string | readonly string[]>) =>
    readOffer(new TestExchange({ headers: { "sec-websocket-version": "13", "sec-websocket-key": KEY, ...changes }, webSocket: true }));

  it.each<[string, Record<string, string | readonly string[]>, Partial<WebSocketOffer>]>([
    ["the least", {}, { key: KEY, protocols: [] }],
    ["subprotocols", { "sec-websocket-protocol": "b, a" }, { protocols: ["b", "a"] }],
    ["subprotocols in several lines", { "sec-websocket-protocol": ["b", "a,c"] }, { protocols: ["b", "a", "c"] }],
    ["names that differ in case", { "sec-websocket-protocol": "a, A" }, { protocols: ["a", "A"] }],
  ])("reads %s", (_, changes, expected) => expect(read(changes)).toMatchObject(expected));

  it.each<[string, Record<string, string | readonly string[]>, string]>([
    ["version 8", { "sec-websocket-version": "8" }, "upgrade_unsupported"],
    ["two versions", { "sec-websocket-version": ["13", "8"] }, "upgrade_unsupported"],
    ["15 bytes", { "sec-websocket-key": "c2hvcnQtLS0tLS0tLS0tLQ==".slice(4) }, "bad_request"],
    ["bits behind the 16th byte", { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZR==" }, "bad_request"],
    ["two keys", { "sec-websocket-key": [KEY, KEY] }, "bad_request"],
    ["a subprotocol twice", { "sec-websocket-protocol": ["a", "a"] }, "bad_request"],
    ["a subprotocol with a blank", { "sec-websocket-protocol": "a b" }, "bad_request"],
    ["a list of 65 empty subprotocols", { "sec-websocket-protocol": ",".repeat(64) }, "bad_request"],
    ["65 subprotocols", { "sec-websocket-protocol": Array.from({ length: 65 }, (_, i) => `p${i}`) }, "bad_request"],
  ])("refuses %s", (_, changes, code) => expect(read(changes)).toMatchObject({ code }));

  it("refuses a body", () => {
    const x = new TestExchange({ headers: { "sec-websocket-version": "13", "sec-websocket-key": KEY }, webSocket: true });
    x.bodyKind = BODY_FIXED;
    expect(readOffer(x)).toMatchObject({ code: "bad_request" });
  });
});

describe("readAnswer", () => {
  const offer: WebSocketOffer = { key: KEY, protocols: ["a", "b"] };
  const good = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-accept": ACCEPT };
  const read = (changes: Record<string, string | readonly string[]>) => readAnswer(flat({ ...good, ...changes }), offer);

  it.each<[string, Record<string, string>, { protocol: string }]>([
    ["the least", {}, { protocol: "" }],
    ["other letters", { upgrade: "WebSocket", connection: "keep-alive, upgrade" }, { protocol: "" }],
    ["a subprotocol", { "sec-websocket-protocol": "b" }, { protocol: "b" }],
  ])("takes %s", (_, changes, expected) => expect(read(changes)).toEqual(expected));

  it.each<[string, Record<string, string | readonly string[]>]>([
    ["another protocol", { upgrade: "h2c" }],
    ["no upgrade option", { connection: "keep-alive" }],
    ["another key's accept", { "sec-websocket-accept": acceptKey("another") }],
    ["two accepts", { "sec-websocket-accept": [ACCEPT, ACCEPT] }],
    ["a subprotocol in other letters", { "sec-websocket-protocol": "A" }],
    ["two subprotocols", { "sec-websocket-protocol": "a, b" }],
    ["an extension, as none is offered", { "sec-websocket-extensions": "permessage-deflate; x=1" }],
  ])("refuses %s", (_, changes) => expect(read(changes)).toBeTypeOf("string"));

  it("offers what it checks against, in place of what a policy made of it", () => {
    expect(withoutHandshake(flat({ host: "h", connection: "close", "sec-websocket-key": "x", "x-a": ["1", "2"] }))).toEqual(
      flat({ host: "h", "x-a": ["1", "2"] }),
    );
    expect(offerHeaders(offer)).toEqual(
      flat({
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": KEY,
        "sec-websocket-protocol": "a, b",
      }),
    );
  });
});

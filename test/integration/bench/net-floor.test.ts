// The floor over node:net reads all clients into one buffer: none may get what is another's, however the bytes arrive.
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { PEERS } from "../../../native-bench/peers/catalog.ts";
import { type Peer, PLAIN } from "../../../native-bench/peers/peer.ts";
import { PeerStage } from "../../support/peer-stage.ts";
import { RawClient } from "../../support/raw-client.ts";

const CLIENTS = 32;
const REQUESTS = 8;

let stage: PeerStage;
let peer: Peer;
beforeAll(async () => {
  stage = await PeerStage.open((request, response) => {
    if (request.url === "/broken") return void request.socket.destroy();
    const who = request.headers["x-own"] === "forwarded" ? `for ${request.headers["x-forwarded-for"]}` : "";
    const body = `${who}${request.url} ${request.headers["x-own"]} `.repeat(Number(request.headers["x-times"]));
    response.writeHead(200, { "content-length": body.length, "x-echo": request.headers["x-own"] ?? "" });
    // In two pieces, so that answers of several clients come mixed.
    response.write(body.slice(0, body.length / 2));
    setImmediate(() => response.end(body.slice(body.length / 2)));
  });
  const kind = PEERS.find(({ name }) => name === "net-floor");
  if (kind === undefined) throw new Error("there is no net-floor");
  peer = await kind.start(stage.stage, PLAIN);
});
afterAll(async () => {
  await peer.stop();
  await stage[Symbol.asyncDispose]();
});

it("gives each of many clients the answers to its own requests, over one connection", async () => {
  const talk = async (own: number): Promise<void> => {
    await using client = await RawClient.connect(peer.port);
    for (let n = 0; n < REQUESTS; n++) {
      const times = 1 + ((own * 131 + n * 17) % 900);
      const request = `GET /${own}/${n} HTTP/1.1\r\nHost: a\r\nX-Own: ${own}\r\nX-Times: ${times}\r\nConnection: keep-alive\r\n\r\n`;
      // In two pieces as well, at a place that changes.
      const middle = 1 + ((own * 7 + n * 13) % (request.length - 2));
      client.send(request.slice(0, middle));
      await turn();
      client.send(request.slice(middle));
      const response = await client.response();
      expect(response.status).toBe(200);
      expect(response.fields).toContainEqual(["x-echo", String(own)]);
      expect(response.body.toString("latin1")).toBe(`/${own}/${n} ${own} `.repeat(times));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, own) => talk(own)));
});

it("tells the origin who asks, and ends a client's connection when the origin ends the one that should answer", async () => {
  await using client = await RawClient.connect(peer.port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Own: forwarded\r\nX-Times: 1\r\n\r\n");
  expect((await client.response()).body.toString("latin1")).toContain("for 127.0.0.1");
  client.send("GET /broken HTTP/1.1\r\nHost: a\r\nX-Own: broken\r\nX-Times: 1\r\n\r\n");
  await client.closes();
  expect(client.pending).toHaveLength(0);
});

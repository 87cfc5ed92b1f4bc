// Clients that reset their connection right behind a request: their address cannot be asked for any more, so nothing of theirs may be served.
import { createConnection } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `trustedProxies: [unix]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: denied, match: { path: "/denied/**" }, ip: { deny: [127.0.0.0/8] }, to: u }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Each of these used to reach the upstream; the race is lost by a few only. */
const ATTEMPTS = 100;

function sendAndReset(port: number, bytes: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port, noDelay: true });
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.on("connect", () => {
      socket.write(bytes);
      socket.resetAndDestroy();
    });
  });
}

describe.each(ENGINES)("%s", (engine) => {
  it.each([
    ["do not get past a list of denied addresses", "/denied"],
    ["are not taken for a trusted proxy on a Unix socket", "/x"],
  ])("they %s", async (_, prefix) => {
    rig.report();
    const from = rig.upstream.requests.length;
    for (let i = 0; i < ATTEMPTS; i++)
      await sendAndReset(rig.port(engine), `GET ${prefix}/${i} HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n`);
    const served = await rig.targetsSince(from, engine);
    if (prefix === "/denied") expect(served).toEqual([]);
    const believed = rig.upstream.requests.slice(from).filter((request) => /^x-forwarded-for: (?!127\.0\.0\.1)/im.test(request.raw));
    expect(believed.map((request) => request.raw)).toEqual([]);
  });
});

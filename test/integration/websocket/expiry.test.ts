// What becomes of a WebSocket when the credential ends that opened it: nothing, unless its route says otherwise.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bothListeners, ENGINES } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { ISSUER, nowS, signingKey, token } from "../../support/jwt.ts";
import { WebSocketClient, WebSocketOrigin } from "../../support/web-socket-origin.ts";

const key = signingKey("ES256", "k");
let origin: WebSocketOrigin;
let gateway: Gateway;
beforeAll(async () => {
  origin = await WebSocketOrigin.start();
  gateway = await Gateway.start({
    files: { "jwks.json": JSON.stringify({ keys: [key.jwk] }) },
    config: `${bothListeners}
auth:
  corp: { jwt: { issuer: "${ISSUER}", audience: api, keys: "file:jwks.json", algorithms: [ES256], clockSkew: 0s } }
upstreams: { origin: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] } }
routes:
  - { name: closes, match: { path: /closes/** }, auth: { optional: corp }, webSocket: { closeAtExpiry: true }, to: origin }
  - { name: stays, match: { path: /stays/** }, auth: corp, to: origin }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

describe.each(ENGINES)("%s", (engine) => {
  const open = (target: string, exp: number | null) =>
    WebSocketClient.open((gateway.urls[ENGINES.indexOf(engine)] ?? "").replace("http", "ws") + target, {
      headers: exp === null ? {} : { authorization: `Bearer ${token(key, { exp })}` },
    });

  it("closeAtExpiry closes both sides with 1008 when the token ends, busy or not, and no other", async () => {
    // A second is the smallest step of exp: of the two instants that this may be, both are in the future.
    const exp = nowS() + 2;
    await using quiet = await open(`/closes/${engine}`, exp);
    await using busy = await open(`/closes/${engine}/busy`, exp);
    await using later = await open(`/closes/${engine}/later`, exp + 3600);
    await using nobody = await open(`/closes/${engine}/nobody`, null);
    await using stays = await open(`/stays/${engine}`, exp);
    const talk = setInterval(() => busy.ws.send("x"), 20);
    const EXPIRED = { code: 1008, reason: "the credential has expired" };
    expect([await quiet.ended(), await busy.ended()]).toEqual([EXPIRED, EXPIRED]);
    clearInterval(talk);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000);
    expect((await origin.connection(`/closes/${engine}`)).closed).toEqual(EXPIRED);
    for (const each of [later, nobody, stays]) {
      each.ws.send("still here");
      expect(await each.received(1)).toEqual(["still here"]);
    }
  });
});

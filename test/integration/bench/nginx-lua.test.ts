// The script in Lua that the native bench compares with does what it is measured for: only good tokens pass, the rate counts, the origin and
// the log learn who called.
import fs from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { NGINX_LUA_LOG, nginxLua, startNginxLua } from "../../../native-bench/peers/nginx-lua.ts";
import { type Peer, PLAIN } from "../../../native-bench/peers/peer.ts";
import { widenPath } from "../../../native-bench/peers/programs.ts";
import { b64, goodClaims, hsToken, newSecret, nowS, part, signature } from "../../support/jwt.ts";
import { PeerStage } from "../../support/peer-stage.ts";

const GUARDED = { ...PLAIN, guarded: "HS256" } as const;
/** Requests of one subject that pass. */
const RATE = 3;

let stage: PeerStage;
let peer: Peer;
/** Paths that the origin was asked for. */
const seen: string[] = [];
beforeAll(async () => {
  widenPath();
  stage = await PeerStage.open((request, response) => {
    seen.push(request.url ?? "");
    response.end(JSON.stringify(request.headers));
  });
  peer = await startNginxLua(stage.stage, GUARDED, RATE);
});
afterAll(async () => {
  await peer.stop();
  await stage[Symbol.asyncDispose]();
});

const ask = (target: string, headers: Record<string, string>): Promise<Response> => fetch(new URL(target, peer.url), { headers });
const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const good = (claims: Readonly<Record<string, unknown>>, header = {}): string => hsToken("HS256", stage.secret, claims, header);

describe("passes with a good token", () => {
  it.each<[string, Record<string, unknown>]>([
    ["of one audience", {}],
    ["of several audiences", { aud: ["web", "api"] }],
    ["that began before", { nbf: nowS() - 10 }],
  ])("%s", async (what, claims) => {
    const response = await ask("/good", { ...bearer(good({ sub: `good ${what}`, ...claims })), "x-consumer-id": "forged" });
    expect(response.status).toBe(200);
    const headers = (await response.json()) as Record<string, string>; // what the origin above answers
    expect(headers["x-consumer-id"]).toBe(`good ${what}`);
    expect(headers["x-request-id"]).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe("refuses", () => {
  const signed = (input: string): string => `${input}.${b64(signature("HS256", stage.secret, input))}`;
  it.each<[string, () => Record<string, string>]>([
    ["no token", () => ({})],
    ["another scheme", () => ({ authorization: `Basic ${good({})}` })],
    ["no more than a scheme", () => ({ authorization: "Bearer " })],
    ["two parts", () => bearer(good({}).split(".", 2).join("."))],
    ["four parts", () => bearer(`${good({})}.e30`)],
    ["no signature", () => bearer(`${good({}).split(".", 2).join(".")}.`)],
    ["a signature by another secret", () => bearer(hsToken("HS256", newSecret()))],
    ["half of a signature", () => bearer(good({}).slice(0, -21))],
    ["claims that were changed", () => bearer(good({}).replace(/\.[^.]+\./, `.${part(goodClaims({ sub: "root" }))}.`))],
    ["no algorithm", () => bearer(good({}, { alg: "none" }))],
    ["another algorithm", () => bearer(good({}, { alg: "HS512" }))],
    ["extensions that it must know", () => bearer(good({}, { crit: ["b64"] }))],
    ["another issuer", () => bearer(good({ iss: "https://elsewhere.example" }))],
    ["no issuer", () => bearer(good({ iss: undefined }))],
    ["another audience", () => bearer(good({ aud: "web" }))],
    ["other audiences", () => bearer(good({ aud: ["web", { api: true }] }))],
    ["no audience", () => bearer(good({ aud: undefined }))],
    ["an expired token", () => bearer(good({ exp: nowS() - 10 }))],
    ["no time of expiry", () => bearer(good({ exp: undefined }))],
    ["a time of expiry that is no number", () => bearer(good({ exp: "9999999999" }))],
    ["a token of later", () => bearer(good({ nbf: nowS() + 60 }))],
    ["a beginning that is null", () => bearer(good({ nbf: null }))],
    ["nobody's token", () => bearer(good({ sub: undefined }))],
    ["a header that is no JSON", () => bearer(signed(`${b64("{")}.${part(goodClaims())}`))],
    ["claims that are no object", () => bearer(signed(`${part({ alg: "HS256" })}.${part("x")}`))],
    ["claims that are no base64url", () => bearer(signed(`${part({ alg: "HS256" })}.*`))],
  ])("%s", async (what, headers) => {
    const target = `/refused/${encodeURIComponent(what)}`;
    const response = await ask(target, headers());
    expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(seen).not.toContain(target);
  });
});

it("counts each subject by itself, and refuses what goes beyond its rate", async () => {
  const statusesOf = async (sub: string, times: number): Promise<readonly number[]> => {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) statuses.push((await ask("/counted", bearer(good({ sub })))).status);
    return statuses;
  };
  expect(await statusesOf("counted", RATE + 2)).toEqual([200, 200, 200, 429, 429]);
  expect(await statusesOf("another", 1)).toEqual([200]);
});

it("writes a line of JSON for each request, with whoever was proven", async () => {
  const server = await startNginxLua(stage.stage, GUARDED, RATE);
  await fetch(new URL("/logged?a=%22", server.url), { headers: bearer(good({ sub: 'a "quoted" one' })) });
  await fetch(new URL("/logged", server.url));
  await server.stop(); // writes what it has
  const lines = fs.readFileSync(path.join(stage.stage.directory, NGINX_LUA_LOG), "utf8").trim().split("\n");
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ path: of }) => of === "/logged"); // objects
  expect(logged).toMatchObject([
    { consumer: 'a "quoted" one', method: "GET", status: 200, requestId: expect.stringMatching(/^[0-9a-f]{32}$/) },
    { consumer: "", method: "GET", status: 401 },
  ]);
});

it("proxies without guards, too", async () => {
  const server = await nginxLua.start(stage.stage, PLAIN);
  expect((await fetch(server.url)).status).toBe(200);
  await server.stop();
});

// Forged and malformed tokens against the real authenticator: all refused, each for its own reason, and nothing breaks. Then fuzz.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Authenticator } from "../../../../../../src/data/exchange/identity/authenticator.ts";
import { ec, FORGED, good, rsa } from "../../../../../support/forged-tokens.ts";
import {
  b64,
  bearer,
  hsToken,
  ISSUER,
  jwtAuthenticator,
  newSecret,
  said,
  type TestWorker,
  testWorker,
  token,
} from "../../../../../support/jwt.ts";

const secret = newSecret();
const [goodHeader = "", goodPayload = "", goodSignature = ""] = good.split(".");

let worker: TestWorker;
let corp: Authenticator;
let internal: Authenticator;
beforeAll(() => {
  worker = testWorker();
  corp = jwtAuthenticator(worker, { issuer: ISSUER, audience: "api", keys: { keys: [rsa.jwk, ec.jwk] }, algorithms: ["RS256", "ES256"] });
  internal = jwtAuthenticator(worker, { issuer: ISSUER, audience: "api", secret, algorithms: ["HS256"] }, { name: "internal" });
});
afterAll(() => worker.pool.close());

describe("forged and malformed tokens", () => {
  test.each(FORGED)("%s", async (_, forged, reason) => {
    const outcome = await bearer(corp, forged);
    expect(said(outcome)).toMatch(reason);
    expect(outcome).toMatchObject({ kind: "refused", error: "invalid_token" });
    // The same again, now remembered: the same answer.
    expect(await bearer(corp, forged)).toEqual(outcome);
    // What is said holds no part of the token.
    const parts = forged.split(".").filter((each) => each.length > 12);
    for (const each of parts) expect(said(outcome)).not.toContain(each);
    // An authenticator with a shared secret believes none of them either.
    expect(await bearer(internal, forged)).toMatchObject({ kind: "refused" });
  });

  test("the table is large, its cases differ, and good tokens pass beside them", async () => {
    const count = new Set(FORGED.map(([, forged]) => forged)).size;
    console.log(`${count} forged or malformed tokens refused`);
    expect(count).toBe(FORGED.length);
    expect(count).toBeGreaterThan(150);
    expect(said(await bearer(corp, token(rsa)))).toBe("identity alice");
    expect(said(await bearer(corp, token(ec)))).toBe("identity alice");
    expect(said(await bearer(internal, hsToken("HS256", secret)))).toBe("identity alice");
    expect(worker.warnings).toEqual([]);
  });
});

describe("fuzz", () => {
  const alphabet = 'ABab09-_.=+/ %\0"{}[]:,é';

  /** One to four edits: replace, insert, delete, cut, swap parts. */
  function mutated(text: string, random: () => number): string {
    let result = text;
    const pick = (below: number): number => Math.floor(random() * below);
    for (let edits = 1 + pick(4); edits > 0; edits--) {
      const at = pick(result.length);
      const c = alphabet[pick(alphabet.length)] ?? "A";
      const how = pick(5);
      if (how === 0) result = result.slice(0, at) + c + result.slice(at + 1);
      else if (how === 1) result = result.slice(0, at) + c + result.slice(at);
      else if (how === 2) result = result.slice(0, at) + result.slice(at + 1 + pick(8));
      else if (how === 3) result = result.slice(0, at);
      else result = result.split(".").reverse().join(".");
    }
    return result;
  }

  /** Mutates the JSON of header and payload, which mutated base64 seldom reaches. */
  function mutatedInside(random: () => number): string {
    const [h = "", p = ""] = [goodHeader, goodPayload].map((each) => Buffer.from(each, "base64url").toString());
    const both = random() < 0.5 ? [mutated(h, random), p] : [h, mutated(p, random)];
    return `${both.map((each) => b64(each)).join(".")}.${goodSignature}`;
  }

  /** Deterministic, so that a failure can be seen again. */
  function mulberry(seed: number): () => number {
    let a = seed;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  test("mutated tokens are never accepted, and never throw", async () => {
    const random = mulberry(4711);
    const kinds = new Map<string, number>();
    for (let round = 0; round < 60; round++) {
      const batch = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? mutated(good, random) : mutatedInside(random)));
      const outcomes = await Promise.all(batch.map(async (text) => [text, await bearer(corp, text)] as const));
      for (const [text, outcome] of outcomes) {
        // Edits can cancel each other out, or end in a Bearer without a token.
        if (text === good || text.trim() === "") continue;
        expect([text, outcome.kind]).toEqual([text, "refused"]);
        kinds.set(said(outcome), (kinds.get(said(outcome)) ?? 0) + 1);
      }
    }
    // It reached many rules, the signature among them.
    expect(kinds.size).toBeGreaterThan(12);
    expect(kinds.get("invalid_token: the token's signature is wrong")).toBeGreaterThan(10);
    expect(worker.warnings).toEqual([]);
  });
});

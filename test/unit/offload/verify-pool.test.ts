// The pool thread and the way to it: verdicts equal to jose's own, bounds, and a thread that breaks.
import { createSecretKey } from "node:crypto";
import { Worker } from "node:worker_threads";
import { compactVerify, importJWK } from "jose";
import { afterAll, describe, expect, test } from "vitest";
import { keyOfSecret, keysOfJwks } from "../../../src/data/credentials/key-material.ts";
import { VerifyPool } from "../../../src/offload/verify-pool.ts";
import { verifyBatch } from "../../../src/offload/verify-task.ts";
import type { VerificationKeyPlan } from "../../../src/plan/keys.ts";
import { b64, hsToken, newSecret, type SigningKey, signingKey, token } from "../../support/jwt.ts";

const warnings: string[] = [];
const pool = new VerifyPool((message) => warnings.push(message));
afterAll(() => pool.close());

function planOf(key: SigningKey): VerificationKeyPlan {
  const list = keysOfJwks([key.jwk], false);
  const plan = "keys" in list ? list.keys[0] : undefined;
  if (plan === undefined) throw new Error("not a usable key");
  return plan;
}

const ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];

const signatureLength = (text: string): number => text.length - text.lastIndexOf(".");

describe("the verdict is jose's own, but a signature of another length is never good", () => {
  /** The token, and what becomes of it when its signature is damaged in every way that keeps it base64url. */
  function variants(text: string, other: string): string[] {
    const [header = "", payload = "", signed = ""] = text.split(".");
    const bytes = Buffer.from(signed, "base64url");
    const damaged = [
      bytes.subarray(1),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.alloc(1)]),
      Buffer.concat([Buffer.alloc(1), bytes]),
      Buffer.alloc(bytes.length),
      Buffer.alloc(bytes.length, 0xff),
      Buffer.from(bytes).reverse(),
      Buffer.alloc(1),
      ...[0, 7, bytes.length >> 1, bytes.length - 1].map((at) => {
        const copy = Buffer.from(bytes);
        copy[at] = (copy[at] ?? 0) ^ 1;
        return copy;
      }),
    ];
    return [
      text,
      ...damaged.map((each) => `${header}.${payload}.${b64(each)}`),
      `${header}.${other.split(".")[1]}.${signed}`,
      `${other.split(".")[0]}.${payload}.${signed}`,
      `${header}.${payload}.${other.split(".")[2]}`,
    ];
  }

  async function compare(alg: string, plan: VerificationKeyPlan, texts: readonly string[]): Promise<string> {
    const key = plan.jwk.kty === "oct" ? createSecretKey(Buffer.from(plan.jwk.k, "base64url")) : await importJWK({ ...plan.jwk }, alg);
    const whole = signatureLength(texts[0] ?? "");
    const expected = await Promise.all(
      texts.map((text) =>
        compactVerify(text, key, { algorithms: [alg] }).then(
          () => (signatureLength(text) === whole ? 1 : 0),
          () => 0,
        ),
      ),
    );
    const ours = await verifyBatch({ keys: [plan], tokens: texts.map((text) => ({ token: text, alg, key: 0 })) });
    expect([...ours]).toEqual(expected);
    return ours.join("");
  }

  test.each(ASYMMETRIC)("%s", async (alg) => {
    const key = signingKey(alg, "k");
    const texts = variants(token(key), token(key, { sub: "bob" }, { x: 1 }));
    expect(await compare(alg, planOf(key), texts)).toMatch(/^10+$/);
  });

  test.each(["PS256", "PS384", "PS512"])("%s: a leading zero left out, which OpenSSL forgives", async (alg) => {
    const key = signingKey(alg, "k");
    let parts: string[];
    do parts = token(key).split(".");
    while (Buffer.from(parts[2] ?? "", "base64url")[0] !== 0); // one in 256
    const [header, payload, signed = ""] = parts;
    const shorter = `${header}.${payload}.${b64(Buffer.from(signed, "base64url").subarray(1))}`;
    await expect(compactVerify(shorter, await importJWK({ ...key.jwk }, alg))).resolves.toBeDefined();
    expect(await compare(alg, planOf(key), [parts.join("."), shorter])).toBe("10");
  });

  test.each(["HS256", "HS384", "HS512"])("%s", async (alg) => {
    const secret = newSecret() + newSecret();
    const outcome = keyOfSecret(secret);
    if (!("key" in outcome)) throw new Error(outcome.problem);
    expect(await compare(alg, outcome.key, variants(hsToken(alg, secret), hsToken(alg, secret, { sub: "bob" }, { x: 1 })))).toMatch(
      /^10+$/,
    );
  });

  test("a key is used for nothing but its algorithms", async () => {
    const key = signingKey("RS256", "k");
    const asPss = token({ ...key, alg: "PS256" });
    const tokens = [
      { token: asPss, alg: "PS256", key: 0 },
      { token: token(key), alg: "RS256", key: 0 },
      { token: token(key), alg: "HS256", key: 0 },
      { token: token(key), alg: "RS256", key: 7 },
    ];
    expect([...(await verifyBatch({ keys: [planOf(key)], tokens }))]).toEqual([0, 1, 0, 0]);
  });

  test("a key that is none makes tokens bad, and nothing else", async () => {
    const broken: VerificationKeyPlan = { id: "broken", kid: null, algorithms: ["RS256"], jwk: { kty: "RSA", n: "AA", e: "AQAB" } };
    const key = signingKey("RS256", "k");
    const tokens = [0, 1].map((index) => ({ token: token(key), alg: "RS256", key: index }));
    expect([...(await verifyBatch({ keys: [broken, planOf(key)], tokens }))]).toEqual([0, 1]);
  });
});

describe("the pool", () => {
  const key = signingKey("ES256", "k");
  const plan = planOf(key);

  test("answers each token with its own verdict, many at once and by several keys", async () => {
    const other = signingKey("RS256", "o");
    const jobs = Array.from({ length: 300 }, (_, i) => {
      const signer = i % 2 === 0 ? key : other;
      const text = token(signer, { jti: String(i) });
      return {
        text: i % 3 === 0 ? `${text.slice(0, -8)}AAAAAAAA` : text,
        alg: signer.alg,
        plan: i % 2 === 0 ? plan : planOf(other),
        expected: i % 3 === 0 ? "bad" : "good",
      };
    });
    const verdicts = await Promise.all(jobs.map((job) => pool.verify(job.text, job.alg, job.plan)));
    expect(verdicts).toEqual(jobs.map((job) => job.expected));
    expect(pool.waiting).toBe(0);
  });

  test("takes no more than its queue holds, and loses nothing of what it took", async () => {
    const texts = Array.from({ length: 900 }, (_, i) => token(key, { jti: String(i) }));
    const answers = texts.map((text) => pool.verify(text, "ES256", plan));
    const taken = answers.filter((answer) => answer !== null);
    expect(taken.length).toBeGreaterThanOrEqual(512);
    expect(taken.length).toBeLessThan(700);
    expect(new Set(await Promise.all(taken))).toEqual(new Set(["good"]));
    expect(await pool.verify(texts[0] ?? "", "ES256", plan)).toBe("good");
    expect(warnings).toEqual([]);
  });

  test("a thread that breaks fails what it had, is reported, and is replaced", async () => {
    const told: string[] = [];
    const broken = new VerifyPool((message) => told.push(message));
    // What cannot be cloned to another thread breaks the call as a dead thread does.
    const uncloneable = { ...plan, jwk: { ...plan.jwk, hook: () => {} } };
    expect(await broken.verify(token(key), "ES256", uncloneable)).toBe("failed");
    expect(told).toEqual([expect.stringContaining("broke and is replaced")]);
    expect(await broken.verify(token(key), "ES256", plan)).toBe("failed"); // it rests for a moment
    await expect.poll(() => broken.verify(token(key), "ES256", plan), { timeout: 8000 }).toBe("good");
    await broken.close();
    expect(await broken.verify(token(key), "ES256", plan)).toBe("failed");
  });
});

test("the threads of a pool end with the thread that has it", async () => {
  const key = signingKey("ES256", "k");
  const entry = new URL("../../support/workers/pool-owner.ts", import.meta.url);
  const worker = new Worker(entry, { workerData: { token: token(key), plan: planOf(key) } });
  const said = await new Promise((resolve) => worker.once("message", resolve));
  expect(said).toBe("good");
  // It exits with a call under way.
  const code = await new Promise((resolve) => worker.once("exit", resolve));
  expect(code).toBe(3);
});

import { execFileSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { keysOfJwks, keysOfPem, keysOfText } from "../../../../src/data/credentials/key-material.ts";
import { makeCertificate } from "../../../support/certificates.ts";
import { signingKey } from "../../../support/jwt.ts";

const rsa = signingKey("RS256", "a").jwk;
const ec = signingKey("ES256", "b").jwk;
const ed = signingKey("EdDSA", "c").jwk;
const x25519 = generateKeyPairSync("x25519").publicKey.export({ format: "jwk" });
const without = (jwk: Readonly<Record<string, unknown>>, ...names: string[]) =>
  Object.fromEntries(Object.entries(jwk).filter(([name]) => !names.includes(name)));

test("a key may verify what its type, its curve and its own alg allow", () => {
  const list = keysOfJwks({ keys: [without(rsa, "alg"), rsa, without(ec, "alg"), without(ed, "alg"), ed] }, false);
  if ("problem" in list) throw new Error(list.problem);
  expect(list.keys.map((key) => key.algorithms)).toEqual([
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
    ["RS256"],
    ["ES256"],
    ["EdDSA", "Ed25519"],
    ["EdDSA"],
  ]);
  expect(list.skipped).toEqual([]);
});

test.each<[string, unknown, RegExp]>([
  ["for encryption", { ...rsa, use: "enc" }, /not for signatures/],
  ["for wrapping", { ...rsa, key_ops: ["wrapKey"] }, /not for verifying/],
  ["with key_ops that are no list", { ...rsa, key_ops: "verify" }, /not for verifying/],
  ["for an encryption algorithm", { ...without(rsa, "use"), alg: "RSA-OAEP" }, /algorithm that is not known/],
  ["for none", { ...rsa, alg: "none" }, /algorithm that is not known/],
  ["of a type that its alg does not fit", { ...rsa, alg: "ES256" }, /does not fit its own/],
  ["of a curve that its alg does not fit", { ...ec, alg: "ES384" }, /does not fit its own/],
  ["private", { ...rsa, d: "AA" }, /private key/],
  ["shared", { kty: "oct", k: Buffer.alloc(64).toString("base64url") }, /shared secret/],
  ["with a kid that is no text", { ...rsa, kid: 1 }, /`kid`/],
  ["with a long kid", { ...rsa, kid: "k".repeat(257) }, /`kid`/],
  ["of an unknown type", { kty: "XYZ", x: "AA" }, /type that is not known/],
  ["of an unknown curve", { ...x25519 }, /curve that is not known/],
  ["without modulus", without(rsa, "n"), /incomplete/],
  ["with padding", { ...rsa, e: "AQAB=" }, /incomplete/],
  ["with an even exponent", { ...rsa, e: "AQAA" }, /exponent|not a valid public key/],
  ["with the exponent 1", { ...rsa, e: "AQ" }, /exponent|not a valid public key/],
  ["off its curve", { ...ec, x: ec["y"] }, /not a valid public key/],
  ["of 1024 bits", signingKey("RS256", "w", { bits: 1024 }).jwk, /has 1024 bits/],
  ["no object", "key", /not an object/],
  ["null", null, /not an object/],
])("a key %s is left out, its neighbours stay", (_, jwk, reason) => {
  const list = keysOfJwks({ keys: [jwk, ec] }, false);
  if ("problem" in list) throw new Error(list.problem);
  expect(list.keys.map((key) => key.kid)).toEqual(["b"]);
  expect(list.skipped).toEqual([expect.stringMatching(reason)]);
});

test.each([[{}], [null], ["x"], [1], [{ keys: {} }], [{ keys: Array.from({ length: 101 }, () => ec) }]])("%j is no key set", (value) =>
  expect(keysOfJwks(value, false)).toHaveProperty("problem"),
);

test("ids follow material, name and algorithms, and nothing else", () => {
  const id = (jwk: unknown) => {
    const list = keysOfJwks([jwk], false);
    return "keys" in list ? list.keys[0]?.id : "";
  };
  expect(id({ ...rsa, x5t: "AA", extra: 1 })).toBe(id(rsa));
  expect(id({ ...rsa, kid: "z" })).not.toBe(id(rsa));
  expect(id(without(rsa, "alg"))).not.toBe(id(rsa));
});

test("PEM: public keys and certificates, several in a row; never private ones", () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-pem-"));
  const { cert } = makeCertificate(folder, "c", ["id.example.com"]);
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const spki = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
  const list = keysOfText(`${fs.readFileSync(cert, "utf8")}\n${spki}`);
  if ("problem" in list) throw new Error(list.problem);
  expect(list.keys.map((key) => [key.kid, key.algorithms[0]])).toEqual([
    [null, "ES256"],
    [null, "RS256"],
  ]);
  expect(keysOfPem(pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString())).toEqual({
    problem: expect.stringContaining("private key"),
  });
  expect(keysOfPem(spki + pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString())).toEqual({
    problem: expect.stringContaining("private key"),
  });
  expect(keysOfPem(spki.replace("MII", "MIA"))).toHaveProperty("problem");
  expect(keysOfPem("-----BEGIN PUBLIC KEY-----")).toHaveProperty("problem");
  const dsa = execFileSync("openssl", ["genpkey", "-algorithm", "ED448", "-outform", "PEM"], { encoding: "utf8" });
  const publicDsa = execFileSync("openssl", ["pkey", "-pubout"], { input: dsa, encoding: "utf8" });
  expect(keysOfPem(publicDsa)).toEqual({ problem: expect.stringContaining("curve that is not known") });
  fs.rmSync(folder, { recursive: true });
});

// Owns what the servers of one run share: a directory that goes away with the run, the origin, a certificate, a signed token.
import { spawnSync } from "node:child_process";
import { createHmac, createSign, generateKeyPairSync, randomBytes } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { portsFrom } from "./launch.ts";
import { startEchoOrigin, startOrigin } from "./origin.ts";
import type { Peer, Setup, Signature, Stage, Token } from "./peer.ts";

/** Below the ports that the kernel gives to clients. */
const PORT_FIRST = 19_200;
const TOKEN_SECONDS = 24 * 3600;
const ISSUER = "https://id.example.com";
const AUDIENCE = "api";
const SUBJECT = "acme";
const SECRET_BYTES = 32;

/** A stage with its origin running. Ended by disposing of it. */
export class RunningStage implements Stage, AsyncDisposable {
  readonly directory: string;
  readonly freePort: () => Promise<number>;
  readonly certificate: Stage["certificate"];
  readonly token: Token;
  readonly origin: Peer;
  /** The origin of WebSocket cases, once one has asked for it. */
  #echo: Promise<Peer> | null = null;

  private constructor(directory: string, freePort: () => Promise<number>, origin: Peer) {
    this.directory = directory;
    this.freePort = freePort;
    this.origin = origin;
    this.certificate = makeCertificate(directory);
    this.token = makeToken(directory);
  }

  static async open(): Promise<RunningStage> {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
    fs.chmodSync(directory, 0o755); // servers may run their workers as another user
    process.once("exit", () => fs.rmSync(directory, { recursive: true, force: true }));
    const freePort = portsFrom(PORT_FIRST);
    return new RunningStage(directory, freePort, await startOrigin(directory, await freePort()));
  }

  get originPort(): number {
    return this.origin.port;
  }

  /** What a server in this setup gets to see: where messages are to come back, the origin does that. */
  async for(setup: Setup): Promise<Stage> {
    if (!setup.webSocket) return this;
    this.#echo ??= this.freePort().then((port) => startEchoOrigin(this.directory, port));
    const { directory, freePort, certificate, token } = this;
    return { directory, freePort, certificate, token, originPort: (await this.#echo).port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.origin.stop(), this.#echo?.then((echo) => echo.stop())]);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

function makeCertificate(directory: string): Stage["certificate"] {
  const [cert, key] = [path.join(directory, "cert.pem"), path.join(directory, "key.pem")];
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const made = spawnSync("openssl", [
    ...args,
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "-keyout",
    key,
    "-out",
    cert,
  ]);
  if (made.status !== 0) throw new Error(`openssl made no certificate: ${made.stderr}`);
  fs.chmodSync(key, 0o644); // of this run alone, and read by servers under other users
  return { cert, key };
}

function makeToken(directory: string): Token {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const files = { pem: path.join(directory, "jwt-public.pem"), jwks: path.join(directory, "jwks.json") };
  fs.writeFileSync(files.pem, publicKey.export({ type: "spki", format: "pem" }));
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "bench", alg: "RS256", use: "sig" };
  fs.writeFileSync(files.jwks, JSON.stringify({ keys: [jwk] }));
  const secret = randomBytes(SECRET_BYTES).toString("hex");
  return {
    bearer: {
      HS256: signToken("HS256", (text) => createHmac("sha256", secret).update(text).digest("base64url")),
      RS256: signToken("RS256", (text) => createSign("RSA-SHA256").update(text).sign(privateKey, "base64url")),
    },
    secret,
    publicKey: files.pem,
    jwks: files.jwks,
    issuer: ISSUER,
    audience: AUDIENCE,
    subject: SUBJECT,
  };
}

/** RFC 7519: a token like those that identity providers hand out. */
function signToken(alg: Signature, sign: (text: string) => string): string {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: SUBJECT, iat: nowSeconds, exp: nowSeconds + TOKEN_SECONDS, scope: "orders:read" };
  const parts = [{ alg, typ: "JWT", kid: "bench" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  const signed = parts.join(".");
  return `${signed}.${sign(signed)}`;
}

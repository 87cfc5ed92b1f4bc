// Measures what a JWT costs once it is verified: the lookup that every further request pays. A test runs it with few rounds, so that it cannot rot.
// Run: node bench/micro/jwt-cache.ts [rounds].
import type { Authenticator } from "../../src/data/exchange/identity/authenticator.ts";
import { flat, TestExchange } from "../../test/support/exchange.ts";
import { bearer, ISSUER, jwtAuthenticator, signingKey, testWorker, token } from "../../test/support/jwt.ts";
import type { Micro } from "./measure.ts";

/** Requests timed as one piece. */
const BATCH = 2000;
/** Different tokens in use: more than a CPU cache holds. */
const TOKENS = 1000;

export interface JwtCacheCost {
  /** A request with a fresh header string, as listeners make it; the string itself is not counted. */
  readonly hitNs: number;
  /** A request without credentials. */
  readonly absentNs: number;
  /** Identities found; to check the work was done. */
  readonly hits: number;
  readonly tokenChars: number;
}

/** An authenticator that has verified each of these tokens. @returns what ends its pool too */
async function verified(count: number) {
  const worker = testWorker();
  const key = signingKey("ES256", "k1");
  const jwt = jwtAuthenticator(worker, { issuer: ISSUER, audience: "api", keys: [key.jwk], algorithms: ["ES256"], cacheFor: "1h" });
  const texts = Array.from({ length: count }, (_, i) => token(key, { jti: String(i), roles: ["a", "b"], email: "alice@example.com" }));
  for (const text of texts) await bearer(jwt, text);
  return { worker, jwt, texts };
}

/** @returns medians over the rounds, in ns a request */
export async function benchJwtCache(rounds: number): Promise<JwtCacheCost> {
  const { worker, jwt, texts } = await verified(TOKENS);
  const empty = new TestExchange({ headers: REQUEST });
  const x = new TestExchange({ headers: { ...REQUEST, authorization: "" } });
  let hits = 0;
  const times = { hit: [] as number[], absent: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    // In turn, so that noise of the machine meets all alike.
    const headers = Array.from({ length: BATCH }, (_, i) => fresh(`Bearer ${texts[(round + i * 7) % TOKENS] ?? ""}`));
    times.hit.push(timed(BATCH, (i) => (hits += asked(jwt, x, headers[i] ?? ""))));
    times.absent.push(timed(BATCH, () => void jwt.authenticate(empty)));
  }
  await worker.pool.close();
  return { hitNs: median(times.hit), absentNs: median(times.absent), hits, tokenChars: texts[0]?.length ?? 0 };
}

const REQUEST = {
  host: "api.example.com",
  accept: "application/json",
  "accept-encoding": "gzip, br",
  "user-agent": "Mozilla/5.0",
  "x-request-id": "0190a1b2",
};

/** A string of its own, not hashed yet: every request brings one. */
const fresh = (text: string): string => Buffer.from(text, "latin1").toString("latin1");

function asked(jwt: Authenticator, x: TestExchange, header: string): number {
  x.headers[HEADER_AT] = header;
  const outcome = jwt.authenticate(x);
  return "kind" in outcome && outcome.kind === "identity" ? 1 : 0;
}

const HEADER_AT = flat(REQUEST).length + 1;

function timed(count: number, work: (i: number) => void): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) work(i);
  return Number(process.hrtime.bigint() - start) / count;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** Verified once, when the file is loaded: verifying is asynchronous. */
const known = await verified(64);
await known.worker.pool.close();
const raw = known.texts.map((text) => Buffer.from(`Bearer ${text}`, "latin1"));

const remembered = (count: number): number => {
  let hits = 0;
  for (let i = 0; i < count; i++) hits += asked(known.jwt, exchange, (raw[i % raw.length] as Buffer).toString("latin1")); // the index is in range
  if (hits !== count) throw new Error("a remembered token was not recognised");
  return hits;
};
const exchange = new TestExchange({ headers: { ...REQUEST, authorization: "" } });
const bare = new TestExchange({ headers: REQUEST });

export const MICRO: readonly Micro[] = [
  { name: "remembered token, a new string each time", prepare: () => remembered },
  {
    name: "no token",
    prepare: () => (count) => {
      for (let i = 0; i < count; i++) void known.jwt.authenticate(bare);
      return count;
    },
  },
];

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 200);
  await benchJwtCache(rounds);
  const { hitNs, absentNs, tokenChars } = await benchJwtCache(rounds);
  console.log(`remembered token of ${tokenChars} characters ${hitNs.toFixed(0)} ns, no token ${absentNs.toFixed(0)} ns a request`);
}

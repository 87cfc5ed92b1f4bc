// Measures what it costs a request to have its credential recognised, by kind, once the caller is known; and what a cache of raw API keys would save.
// A test runs it with few rounds, so that it cannot rot. Run: node bench/micro/credentials.ts [rounds].
import { createHmac, hash } from "node:crypto";
import { hashPassword } from "../../src/data/credentials/password-hash.ts";
import type { Authenticator } from "../../src/data/exchange/identity/authenticator.ts";
import { authenticatorsOf, testServices } from "../../test/support/configured-authenticators.ts";
import { TestExchange } from "../../test/support/exchange.ts";
import { signMessage } from "../../test/support/message-signer.ts";
import type { Micro } from "./measure.ts";

/** Requests timed as one piece. */
const BATCH = 1000;
const KEYS = 64;
const PEPPER = "pepper of the benchmark";
const SECRET = "signing secret of the benchmark, long";

export interface CredentialCost {
  /** A header value as a listener gives it, new for each request: in every measurement below. */
  readonly baseNs: number;
  /** The look-up that would remain with a cache of raw keys. */
  readonly rawKeyMapNs: number;
  readonly apiKeyNs: number;
  readonly pepperedKeyNs: number;
  readonly unknownKeyNs: number;
  readonly unknownPepperedKeyNs: number;
  /** A password that was checked before. */
  readonly basicNs: number;
  /** A signature without nonce: each is verified. */
  readonly signatureNs: number;
  /** Requests that were recognised; to check the work was done. */
  readonly recognised: number;
}

function sections(plain: readonly string[], peppered: readonly string[], password: string): string {
  const hashes = [
    ...plain.map((key) => `sha256:${hash("sha256", key)}`),
    ...peppered.map((key) => `hmac-sha256:${createHmac("sha256", PEPPER).update(key).digest("hex")}`),
  ];
  return `auth:
  keys: { apiKey: { name: x-api-key, pepper: ${PEPPER} } }
  plain: { apiKey: { name: x-api-key } }
  legacy: { basic: { cacheFor: 1h } }
  signed: { signature: { requireNonce: false } }
consumers:
${hashes.map((key, i) => `  - { id: c${i}, keys: ["${key}"] }`).join("\n")}
  - { id: acme, password: "${password}", signingSecrets: [{ keyId: acme, secret: "${SECRET}" }] }
`;
}

/** The values in turn, each a new text. */
function values(list: readonly string[]): () => string {
  const bytes = list.map((each) => Buffer.from(each, "latin1"));
  let next = 0;
  return () => (bytes[next++ % bytes.length] as Buffer).toString("latin1"); // the index is in range
}

type Works = Readonly<Record<Exclude<keyof CredentialCost, "recognised">, () => boolean>>;

/** What is timed, by name; each says whether the caller was recognised. */
async function credentialWorks(): Promise<Works> {
  const plain = Array.from({ length: KEYS }, (_, i) => `slk_plain-${i}-${"x".repeat(32)}`);
  const peppered = plain.map((key) => key.replace("plain", "peppered"));
  const services = testServices();
  const password = await hashPassword("builder", { scheme: "argon2id", memoryKib: 8192, passes: 1, lanes: 1 });
  const authenticators = authenticatorsOf(sections(plain, peppered, password), services);
  const named = (name: string): Authenticator => authenticators.get(name) as Authenticator; // configured above
  const rawKeys = new Map(plain.map((key, i) => [key, i]));
  const x = new TestExchange({ services, headers: { host: "api.example.com", accept: "*/*", "user-agent": "x" } });
  const place = x.headers.push("x-api-key", "") - 1;
  const asking = (name: string, list: readonly string[]) => {
    const authenticator = named(name);
    const value = values(list);
    return () => {
      x.headers[place] = value();
      const outcome = authenticator.authenticate(x);
      return !(outcome instanceof Promise) && outcome.kind === "identity";
    };
  };
  const whole = (name: string, headers: Record<string, string>) => {
    const other = new TestExchange({ services, headers: { host: "api.example.com", accept: "*/*", "user-agent": "x", ...headers } });
    return () => {
      const outcome = named(name).authenticate(other);
      return !(outcome instanceof Promise) && outcome.kind === "identity";
    };
  };
  const basic = { authorization: `Basic ${Buffer.from("acme:builder").toString("base64")}` };
  await named("legacy").authenticate(new TestExchange({ headers: basic }));
  const components = { "@method": "GET", "@authority": "api.example.com", "@path": "/", "@query": "?" };
  const signature = signMessage({ components, secret: SECRET, parameters: `created=${Math.floor(Date.now() / 1000)};keyid="acme"` });
  const [baseValue, rawValue] = [values(plain), values(plain)];
  const unknown = plain.map((key) => `${key}?`);
  return {
    baseNs: () => baseValue() === "",
    rawKeyMapNs: () => rawKeys.get(rawValue()) === undefined,
    apiKeyNs: asking("plain", plain),
    pepperedKeyNs: asking("keys", peppered),
    unknownKeyNs: asking("plain", unknown),
    unknownPepperedKeyNs: asking("keys", unknown),
    basicNs: whole("legacy", basic),
    signatureNs: whole("signed", signature),
  };
}

const UNRECOGNISED: ReadonlySet<string> = new Set(["baseNs", "rawKeyMapNs", "unknownKeyNs", "unknownPepperedKeyNs"]);
/** Made once, when the file is loaded: passwords are hashed asynchronously. */
const made = await credentialWorks();

export const MICRO: readonly Micro[] = (Object.keys(made) as (keyof Works)[]).map((name) => ({
  name: name.slice(0, -2),
  prepare: () => (count) => {
    let recognised = 0;
    for (let i = 0; i < count; i++) if (made[name]()) recognised++;
    if (recognised !== (UNRECOGNISED.has(name) ? 0 : count)) throw new Error(`${name}: ${recognised} of ${count} were recognised`);
    return count;
  },
}));

/** @returns medians over the rounds, in ns a request, without the base */
export async function benchCredentials(rounds: number): Promise<CredentialCost> {
  const works = made;
  let recognised = 0;
  const names = Object.keys(works) as (keyof typeof works)[]; // Object.keys loses the literal type
  const times = new Map(names.map((name) => [name, [] as number[]]));
  // In turn, so that noise of the machine meets all alike.
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const work = works[name];
      const start = process.hrtime.bigint();
      for (let i = 0; i < BATCH; i++) if (work()) recognised++;
      times.get(name)?.push(Number(process.hrtime.bigint() - start) / BATCH);
    }
  }
  const baseNs = median(times.get("baseNs") ?? []);
  const medians = names.map((name) => [name, name === "baseNs" ? baseNs : median(times.get(name) ?? []) - baseNs]);
  return { ...(Object.fromEntries(medians) as Omit<CredentialCost, "recognised">), recognised }; // the same names
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 100);
  await benchCredentials(rounds);
  const { recognised: _recognised, ...costs } = await benchCredentials(rounds);
  for (const [name, ns] of Object.entries(costs)) console.log(`${name.slice(0, -2).padEnd(18)} ${ns.toFixed(0).padStart(6)} ns`);
}

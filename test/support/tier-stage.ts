// Owns gateways of one fleet that share stored responses through a real Redis, the origin behind them, and asking them by the one name that they have.
import { createHash } from "node:crypto";
import http from "node:http";
import { onTestFinished } from "vitest";
import { ENGINES, type Engine } from "./both-engines.ts";
import { CountingOrigin } from "./counting-origin.ts";
import { Gateway } from "./gateway.ts";
import { RedisServer } from "./redis.ts";
import { until } from "./until.ts";

const HOST = "shop.test";
const WITHIN_MS = 20_000;
const hashOf = (text: string): string => `sha256:${createHash("sha256").update(text).digest("hex")}`;

export const KEYS = { ann: "key-of-ann", bob: "key-of-bob" } as const;
export const urlOf = (path: string): string => `http://${HOST}${path}`;

/** Samples of the tier. */
export const looks = (result: string): string => `sluice_cache_tier_looks_total{result="${result}"}`;
export const writes = (result: string): string => `sluice_cache_tier_writes_total{result="${result}"}`;
export const OPEN = "sluice_cache_tier_open";

export const ROUTES = `  - { name: shared, match: { path: "/shared/**" }, auth: none, to: shop, cache: { redis: true, staleIfError: 1h } }
  - { name: own, match: { path: "/own/**" }, auth: keys, to: shop, cache: { redis: true } }
  - { name: local, match: { path: "/local/**" }, auth: none, to: shop, cache: {} }
`;

export interface StageOptions {
  /** Flow mapping of `redis`. */
  readonly redis?: string;
  /** Flow mapping of `cache.redis`: by default with so much patience that a busy machine changes nothing. */
  readonly cache?: string;
  readonly routes?: string;
}

export interface AskOptions {
  readonly engine?: Engine;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly cache: string;
  readonly headers: http.IncomingHttpHeaders;
}

/**
 * The origin's bodies begin with the number of the request at that target, and who asked in which language. Of a target, `cc` is Cache-Control, `vary`, `tag`, `etag` and
 * `type` the fields (NUMBER in them is that of the request), `size` the length.
 */
export class TierStage implements AsyncDisposable {
  readonly server: RedisServer;
  readonly origin: CountingOrigin;
  /** The origin answers 503. */
  failing = false;

  private constructor(server: RedisServer, origin: CountingOrigin) {
    this.server = server;
    this.origin = origin;
  }

  static async open(): Promise<TierStage> {
    const server = await RedisServer.start();
    const origin = await CountingOrigin.start(({ request, response }) => {
      const target = request.url ?? "/";
      const { searchParams: say } = new URL(target, "http://origin");
      const headers: Record<string, string> = { "cache-control": say.get("cc") ?? "max-age=600" };
      for (const [name, field] of FIELDS)
        if (say.has(name)) headers[field] = (say.get(name) ?? "").replace("NUMBER", String(origin.asked.get(target)));
      if (stage.failing) return void response.writeHead(503).end("failing");
      const etag = say.get("etag");
      if (etag !== null && request.headers["if-none-match"] === etag) return void response.writeHead(304, headers).end();
      const who = `${origin.asked.get(target)} ${request.headers["x-consumer"] ?? ""}${request.headers["accept-language"] ?? ""}`.trim();
      response.writeHead(200, headers).end(who.padEnd(Number(say.get("size") ?? 0), " padding"));
    });
    const stage = new TierStage(server, origin);
    return stage;
  }

  /** Before each test: nothing is stored, nothing was asked. */
  clear(): void {
    this.failing = false;
    this.origin.asked.clear();
    this.server.cli("flushall");
  }

  config({ redis = this.redis(this.server.url), cache = "{ timeout: 5s }", routes = ROUTES }: StageOptions = {}): string {
    return `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
log: { file: access.log }
redis: ${redis}
cache: { redis: ${cache} }
auth:
  keys: { apiKey: { in: header, name: x-api-key } }
consumers:
  - { id: ann, keys: ["${hashOf(KEYS.ann)}"] }
  - { id: bob, keys: ["${hashOf(KEYS.bob)}"] }
identity: { headers: { consumer: x-consumer } }
upstreams: { shop: { targets: [{ url: "http://127.0.0.1:${this.origin.port}" }] } }
routes:
${routes}`;
  }

  /** A flow mapping of `redis`. */
  redis(url: string, secret = "a-secret-of-the-fleet"): string {
    return `{ url: "${url}", secret: ${secret}, syncInterval: 20ms }`;
  }

  /** A way of its own to the same Redis, which a test may close: user `apart`. */
  apart(): string {
    this.server.cli("acl", "setuser", "apart", "on", ">secret", "~*", "&*", "+@all");
    onTestFinished(() => void this.server.cli("acl", "deluser", "apart"));
    return this.redis(`redis://apart:secret@127.0.0.1:${this.server.port}`);
  }

  /** Ready, and all of its workers talk to Redis. Stopped at the end of the test. */
  async start(options: StageOptions = {}): Promise<Gateway> {
    const gateway = await Gateway.start({ config: this.config(options) });
    onTestFinished(() => gateway[Symbol.asyncDispose]());
    await usable(gateway);
    return gateway;
  }

  async two(options: StageOptions = {}): Promise<readonly [Gateway, Gateway]> {
    return [await this.start(options), await this.start(options)];
  }

  /** Keys of the cache in Redis. */
  records(): readonly string[] {
    const keys = this.server.cli("--raw", "keys", "sluice:cache:*").split("\n");
    return keys.filter((key) => key !== "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await this.origin[Symbol.asyncDispose]();
  }
}

const FIELDS = [
  ["vary", "vary"],
  ["tag", "cache-tag"],
  ["etag", "etag"],
  ["type", "content-type"],
] as const;

/** By the name that all instances of the fleet have. */
export function ask(gateway: Gateway, path: string, { engine = "uws", method = "GET", headers = {} }: AskOptions = {}): Promise<Answer> {
  const { port } = new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "");
  const options = { host: "127.0.0.1", port, path, method, headers: { host: HOST, ...headers }, agent: false };
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      const { statusCode = 0, headers: fields } = response;
      let body = "";
      response.setEncoding("latin1").on("data", (text: string) => void (body += text));
      response.on("end", () => resolve({ status: statusCode, body, cache: String(fields["cache-status"] ?? ""), headers: fields }));
    });
    request.on("error", reject).end();
  });
}

/** Asks until a response is there that the store has: a fill ends a moment after its client has everything. */
export const stored = (gateway: Gateway, path: string, options: AskOptions = {}): Promise<void> =>
  untilAsync(`${path} is stored`, async () => (await ask(gateway, path, options)).cache.startsWith("sluice; hit"));

/** Stored here, and written to Redis. */
export async function fill(gateway: Gateway, path: string, options: AskOptions = {}): Promise<Answer> {
  const before = await metric(gateway, writes("written"));
  const answer = await ask(gateway, path, options);
  await untilAsync(`${path} is in Redis`, async () => (await metric(gateway, writes("written"))) > before);
  return answer;
}

/** NaN while there is no such sample. */
export async function metric(gateway: Gateway, sample: string): Promise<number> {
  const { body } = await gateway.admin("GET", "/metrics");
  const line = String(body)
    .split("\n")
    .find((each) => each.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1) ?? Number.NaN);
}

export const purge = (gateway: Gateway, query: Readonly<Record<string, string>>) =>
  gateway.admin("POST", `/cache/purge?${new URLSearchParams(query)}`);

/** How the fleet's log of purges is known there. */
export const purgesOf = async (gateway: Gateway) =>
  ((await gateway.admin("GET", "/fleet")).body as { readonly purges: { readonly trouble: string | null; readonly ageMs: number | null } })
    .purges;

export async function usable(gateway: Gateway): Promise<void> {
  await untilAsync("all workers use Redis", async () => {
    return (await metric(gateway, "sluice_cache_tier_workers")) === 2 && (await metric(gateway, OPEN)) === 0;
  });
  await untilAsync("the log of purges is known", async () => {
    const { trouble, ageMs } = await purgesOf(gateway);
    return trouble === null && ageMs !== null;
  });
}

/** One question after the other, until the answer is yes. */
export async function untilAsync(what: string, done: () => Promise<boolean>): Promise<void> {
  let state: "idle" | "asking" | "done" = "idle";
  await until(
    what,
    () => {
      if (state === "idle") {
        state = "asking";
        const answered = (yes: boolean): void => void (state = yes ? "done" : "idle");
        done().then(answered, () => answered(false));
      }
      return state === "done";
    },
    WITHIN_MS,
  );
}

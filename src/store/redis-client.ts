// Owns the connection to Redis, the running of scripts there, and reading and writing of records by key. The only importer of ioredis, and only when it is needed: an instance
// without Redis never loads it. Must never throw at its owner for what the network does, and never queue.
import type { Cluster, Redis } from "ioredis";
import { clusterOptions, redisOptions, retryDelayMs } from "./client-options.ts";
import type { Script } from "./fleet-scripts.ts";
import type { RedisSettings } from "./redis-settings.ts";

/** Parts that the keys are split into, each in one slot of a cluster. */
const CLUSTER_SHARDS = 16;

/** `unsent`: it never left. `unknown`: it may have been done. `refused`: Redis said no. */
export type StoreFailure = "unsent" | "unknown" | "refused";

export class StoreError extends Error {
  readonly kind: StoreFailure;
  constructor(kind: StoreFailure, message: string) {
    super(message);
    this.name = "StoreError";
    this.kind = kind;
  }
}

/** What the fleet needs of Redis. */
export interface ScriptStore {
  readonly shards: number;
  /** Whether it makes sense to send something now. */
  readonly ready: boolean;
  /** Why there is no connection, when there is none. */
  readonly trouble: string | null;
  /** Runs a script; all keys belong to one shard. Never takes longer than the command timeout. @throws StoreError */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  close(): void;
}

/** Bytes by key, each command about one key. All reject with StoreError, at the latest after the command timeout. */
export interface RecordStore {
  readonly ready: boolean;
  readonly trouble: string | null;
  /** @returns the first bytes of a value, no more than so many; none of them when there is no value */
  read(key: string, bytesMax: number): Promise<Buffer>;
  /** @returns some fields of a hash; null for what is not there */
  fields(key: string, names: readonly string[]): Promise<readonly (string | null)[]>;
  write(key: string, value: Buffer, ttlMs: number): Promise<void>;
  remove(key: string): Promise<void>;
  close(): void;
}

export interface StoreEvents {
  /** A connection stands. Something may be sent. */
  ready(): void;
  /** The connection is gone. */
  lost(): void;
}

/** News that others publish. What is missed while there is no connection is nobody's loss but the hearer's: who must not miss anything asks besides. */
export interface StoreChannel {
  readonly channel: string;
  heard(): void;
}

/** Connects in the background and stays at it until it is closed. */
export class RedisClient implements ScriptStore, RecordStore {
  readonly shards: number;
  readonly #settings: RedisSettings;
  readonly #events: StoreEvents;
  readonly #listening: StoreChannel | null;
  /** A connection that waits for messages takes no commands. */
  #listener: Redis | Cluster | null = null;
  #client: Redis | Cluster | null = null;
  #restarts = 0;
  #restartTimer: NodeJS.Timeout | null = null;
  #closed = false;
  trouble: string | null = "not connected yet";

  constructor(settings: RedisSettings, events: StoreEvents, listening: StoreChannel | null = null) {
    this.#settings = settings;
    this.#events = events;
    this.#listening = listening;
    this.shards = settings.topology.kind === "cluster" ? CLUSTER_SHARDS : 1;
  }

  /** Loads ioredis and begins to connect. Never rejects: whatever is wrong is in {@link trouble}, and tried again. */
  async open(): Promise<void> {
    try {
      // The default export is what the bundle and Node agree on for a CommonJS package.
      const { default: ioredis } = await import("ioredis");
      if (!this.#closed) this.#connect(ioredis);
    } catch (error) {
      this.trouble = error instanceof Error ? error.message : String(error);
      this.#events.lost();
      this.#restart(null);
    }
  }

  #connect({ Cluster, Redis }: typeof import("ioredis")): void {
    const { topology } = this.#settings;
    let client: Redis | Cluster;
    if (topology.kind === "cluster") {
      const { startup, options } = clusterOptions(this.#settings, topology.nodes);
      client = new Cluster(startup, options);
      client.on("node error", (error: Error) => this.#remember(error));
      client.on("+node", (node: Redis) => outliveErrors(node));
    } else {
      client = new Redis(redisOptions(this.#settings));
      outliveErrors(client);
    }
    client.on("error", (error: Error) => this.#remember(error));
    client.on("ready", () => {
      this.trouble = null;
      this.#restarts = 0;
      this.#listen(client);
      this.#events.ready();
    });
    client.on("close", () => {
      this.trouble ??= "the connection was closed";
      this.#events.lost();
    });
    client.on("end", () => this.#restart(client));
    this.#client = client;
  }

  /** Once for each client: the listener connects and subscribes again by itself. */
  #listen(client: Redis | Cluster): void {
    const listening = this.#listening;
    if (listening === null || this.#listener !== null) return;
    // ioredis's own subscribing again leaves its failure to nobody: a connection that breaks right behind its greeting would end the process.
    const listener: Redis | Cluster = "slots" in client ? client.duplicate() : client.duplicate({ autoResubscribe: false });
    if (!("slots" in listener)) outliveErrors(listener);
    listener.on("error", () => {}); // the client itself says what is wrong
    listener.on("message", () => listening.heard());
    listener.on("ready", () => void listener.subscribe(listening.channel).catch(() => {}));
    listener.on("end", () => {
      if (this.#listener === listener) this.#listener = null;
    });
    this.#listener = listener;
  }

  get ready(): boolean {
    return this.#client?.status === "ready";
  }

  async run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const client = this.#client;
    if (client === null || !this.ready) throw new StoreError("unsent", this.trouble ?? "not connected");
    const deadline = new Deadline(this.#settings.commandTimeoutMs);
    try {
      return await Promise.race([runScript(client, script, [keys.length, ...keys, ...args]), deadline.passed]);
    } catch (error) {
      throw storeError(error);
    } finally {
      deadline.clear();
    }
  }

  read(key: string, bytesMax: number): Promise<Buffer> {
    return this.#command((client) => client.getrangeBuffer(key, 0, bytesMax - 1));
  }

  fields(key: string, names: readonly string[]): Promise<readonly (string | null)[]> {
    return this.#command((client) => client.hmget(key, ...names));
  }

  async write(key: string, value: Buffer, ttlMs: number): Promise<void> {
    await this.#command((client) => client.set(key, value, "PX", ttlMs));
  }

  async remove(key: string): Promise<void> {
    await this.#command((client) => client.del(key));
  }

  /** Its time limit is ioredis's own. @throws StoreError */
  async #command<T>(send: (client: Redis | Cluster) => Promise<T>): Promise<T> {
    const client = this.#client;
    if (client === null || !this.ready) throw new StoreError("unsent", this.trouble ?? "not connected");
    try {
      return await send(client);
    } catch (error) {
      throw storeError(error);
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    this.#client?.disconnect();
    this.#listener?.disconnect();
  }

  #remember(error: Error): void {
    this.trouble = error.message;
  }

  /** ioredis gives up on some failures (a disconnect while sentinels are asked): begin again. */
  #restart(ended: Redis | Cluster | null): void {
    if (this.#closed || this.#client !== ended) return;
    this.#client = null;
    this.#restarts += 1;
    this.#restartTimer = setTimeout(() => void this.open(), retryDelayMs(this.#restarts));
    this.#restartTimer.unref();
  }
}

/**
 * ioredis listens for one error of a socket. A TLS handshake that fails can bring two (ours, then the other side's alert), and the second,
 * which nobody listens for, would end the process.
 */
function outliveErrors(client: Redis): void {
  client.on("error", () => {
    const { stream } = client as unknown as { readonly stream?: NodeJS.EventEmitter }; // not in the type declarations
    stream?.on("error", () => {});
  });
}

/** By its hash; Redis forgets scripts when it restarts or is told to. */
async function runScript(client: Redis | Cluster, script: Script, rest: readonly (string | number)[]): Promise<unknown> {
  const [count = 0, ...parts] = rest;
  try {
    return await client.evalsha(script.sha1, count, ...parts);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
    return await client.eval(script.text, count, ...parts);
  }
}

function storeError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes("enableOfflineQueue")) return new StoreError("unsent", "not connected");
  return new StoreError(error instanceof Error && error.name === "ReplyError" ? "refused" : "unknown", message);
}

class Deadline {
  readonly passed: Promise<never>;
  #timer: NodeJS.Timeout | null = null;

  constructor(ms: number) {
    this.passed = new Promise((_resolve, reject) => {
      this.#timer = setTimeout(() => reject(new StoreError("unknown", `no answer within ${ms} ms`)), ms);
    });
  }

  clear(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

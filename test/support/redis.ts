// Owns real Redis processes for tests: one by itself, one behind Sentinel, a cluster. Free ports, a directory of their own, no persistence.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { until } from "./until.ts";

const UP_WITHIN_MS = 20_000;

/** @returns a port that was free a moment ago */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** One redis-server. It can be stopped, killed and started again on the same port, empty. */
export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly directory: string;
  readonly #args: readonly string[];
  readonly #cli: readonly string[];
  #process: ChildProcess | null = null;
  output = "";

  private constructor(port: number, args: readonly string[], cli: readonly string[]) {
    this.port = port;
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-redis-"));
    this.#args = args;
    this.#cli = cli;
  }

  /** @param args for redis-server, behind the port @param cli what redis-cli needs to be let in */
  static async start(
    options: { readonly args?: readonly string[]; readonly cli?: readonly string[]; readonly port?: number } = {},
  ): Promise<RedisServer> {
    const server = new RedisServer(options.port ?? (await freePort()), options.args ?? [], options.cli ?? []);
    await server.launch();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? -1;
  }

  async launch(): Promise<void> {
    const tls = this.#args.includes("--tls-port");
    const common = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", this.directory, "--daemonize", "no"];
    const args = this.#args.includes("--sentinel") ? this.#args : [...(tls ? [] : ["--port", String(this.port)]), ...common, ...this.#args];
    const child = spawn("redis-server", args, { cwd: this.directory, stdio: ["ignore", "pipe", "pipe"] });
    const lastResort = () => child.kill("SIGKILL");
    process.once("exit", lastResort);
    child.once("close", () => process.off("exit", lastResort));
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (this.output += text));
    this.#process = child;
    try {
      await until("redis answers", () => this.#answers(), UP_WITHIN_MS);
    } catch (error) {
      throw new Error(`${String(error)}\n${this.output}`);
    }
  }

  #answers(): boolean {
    try {
      return this.cli("ping").startsWith("PONG");
    } catch {
      return false;
    }
  }

  /** @returns what redis-cli prints */
  cli(...command: readonly string[]): string {
    return execFileSync("redis-cli", ["-h", "127.0.0.1", "-p", String(this.port), ...this.#cli, ...command], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 5000,
    }).trim();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** SIGKILL, and gone when this resolves. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A master, a replica and one sentinel that watches them (quorum 1) as `main`. */
export class SentinelSet implements AsyncDisposable {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinel: RedisServer;

  private constructor(master: RedisServer, replica: RedisServer, sentinel: RedisServer) {
    this.master = master;
    this.replica = replica;
    this.sentinel = sentinel;
  }

  static async start(): Promise<SentinelSet> {
    const master = await RedisServer.start({ args: ["--repl-diskless-sync-delay", "0"] });
    const replica = await RedisServer.start({ args: ["--replicaof", "127.0.0.1", String(master.port)] });
    const port = await freePort();
    const file = path.join(master.directory, "sentinel.conf");
    const settings = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${master.directory}`,
      `sentinel monitor main 127.0.0.1 ${master.port} 1`,
      "sentinel down-after-milliseconds main 500",
      "sentinel failover-timeout main 3000",
    ];
    fs.writeFileSync(file, `${settings.join("\n")}\n`);
    const sentinel = await RedisServer.start({ port, args: [file, "--sentinel"] });
    const set = new SentinelSet(master, replica, sentinel);
    await until("the replica is in sync", () => /master_link_status:up/.test(replica.cli("info", "replication")), UP_WITHIN_MS);
    await until("the sentinel knows the replica", () => /num-slaves\n1\n/.test(sentinel.cli("sentinel", "master", "main")), UP_WITHIN_MS);
    return set;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.sentinel, this.replica, this.master]) await server[Symbol.asyncDispose]();
  }
}

/** Three masters with all slots. */
export class RedisCluster implements AsyncDisposable {
  readonly nodes: readonly RedisServer[];

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes;
  }

  static async start(): Promise<RedisCluster> {
    const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"];
    // Each node takes a second port for the cluster's own talk: said here, so that port + 10000 need not be free.
    const nodes = await Promise.all(
      [1, 2, 3].map(async () => RedisServer.start({ args: [...args, "--cluster-port", String(await freePort())] })),
    );
    const cluster = new RedisCluster(nodes);
    const [first] = nodes;
    const addresses = nodes.map((node) => `127.0.0.1:${node.port}`);
    execFileSync("redis-cli", ["--cluster", "create", ...addresses, "--cluster-replicas", "0", "--cluster-yes"], {
      stdio: "pipe",
      timeout: 30_000,
    });
    await until(
      "every node knows that the cluster is whole",
      () =>
        nodes.every(
          (node) => /cluster_state:ok/.test(node.cli("cluster", "info")) && /cluster_known_nodes:3/.test(node.cli("cluster", "info")),
        ),
      UP_WITHIN_MS,
    );
    if (first === undefined) throw new Error("no nodes");
    return cluster;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
  }
}

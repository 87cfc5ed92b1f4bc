// Owns a network of its own, with nothing in it but a loopback device that has many addresses: for tests of what depends on where a client comes from.
// No packet leaves it.
import { type ChildProcess, fork, spawn } from "node:child_process";
import path from "node:path";
import { until } from "./until.ts";

const CLIENTS = path.join(import.meta.dirname, "address-clients.ts");

/** What the clients inside are told to do, and what comes of it. */
export type Order =
  /** Connects so often from an address, and asks once on each connection; what is answered stays open. */
  | { readonly kind: "open"; readonly from: string; readonly to: string; readonly port: number; readonly times: number }
  | { readonly kind: "close"; readonly from: string }
  | { readonly kind: "get"; readonly url: string };

export class NetNamespace implements AsyncDisposable {
  /** Runs a command inside: it becomes that command. */
  readonly within: readonly string[];
  readonly #keeper: ChildProcess;
  readonly #clients: ChildProcess;

  private constructor(keeper: ChildProcess, within: readonly string[]) {
    this.#keeper = keeper;
    this.within = within;
    const [execPath = "", ...execArgv] = [...within, process.execPath];
    this.#clients = fork(CLIENTS, { execPath, execArgv });
  }

  /** @param addresses with prefix lengths */
  static async start(addresses: readonly string[]): Promise<NetNamespace> {
    const set = addresses.map((address) => `ip address add ${address} dev lo${address.includes(":") ? " nodad" : ""}`);
    const script = ["ip link set lo up", ...set, "echo ready", "exec sleep 1000"].join(" && ");
    // Root needs no user namespace, and inside a chroot may have none.
    const isRoot = process.getuid?.() === 0;
    const keeper = spawn("unshare", [...(isRoot ? [] : ["--map-root-user"]), "--net", "sh", "-c", script], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [keeper.stdout, keeper.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
    try {
      await until("the network is there", () => output.includes("ready"));
    } catch (error) {
      keeper.kill();
      throw new Error(`no network of its own: ${output}`, { cause: error });
    }
    const user = isRoot ? [] : ["--user", "--preserve-credentials"];
    return new NetNamespace(keeper, ["nsenter", "--target", String(keeper.pid), ...user, "--net"]);
  }

  /** Connects so often, one after the other. @returns how many were answered; the others were closed */
  async open(from: string, to: { readonly host: string; readonly port: number }, times: number): Promise<number> {
    return Number(await this.#order({ kind: "open", from, to: to.host, port: to.port, times }));
  }

  /** Closes what is open from an address. */
  async close(from: string): Promise<void> {
    await this.#order({ kind: "close", from });
  }

  async get(url: string): Promise<string> {
    return String(await this.#order({ kind: "get", url }));
  }

  #order(order: Order): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#clients.once("message", (answer: { readonly result?: unknown; readonly error?: string }) =>
        answer.error === undefined ? resolve(answer.result) : reject(new Error(answer.error)),
      );
      this.#clients.send(order);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#clients.kill();
    this.#keeper.kill();
  }
}

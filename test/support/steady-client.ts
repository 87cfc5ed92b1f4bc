// Owns a client that keeps asking, one request after the other on each connection, and remembers everything that went wrong.
import { Agent, request } from "node:http";

export interface SteadyClientOptions {
  readonly url: string;
  /** Requests under way at once. */
  readonly connections: number;
  /** false: a new connection for each request. */
  readonly keepAlive: boolean;
  /** Of the next request. */
  readonly headers?: () => Readonly<Record<string, string>>;
}

export class SteadyClient {
  /** Answers with status 200. */
  ok = 0;
  /** Bodies seen, with how often. */
  readonly bodies = new Map<string, number>();
  /** Everything else: `status 502`, `ECONNRESET`. */
  readonly failures: string[] = [];
  readonly #options: SteadyClientOptions;
  readonly #agent: Agent;
  readonly #loops: readonly Promise<void>[];
  #stopped = false;

  constructor(options: SteadyClientOptions) {
    this.#options = options;
    this.#agent = new Agent({ keepAlive: options.keepAlive, maxSockets: options.connections });
    this.#loops = Array.from({ length: options.connections }, () => this.#loop());
  }

  /** @returns when the last answer is in */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    this.#agent.destroy();
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) await this.#once();
  }

  #once(): Promise<void> {
    return new Promise((resolve) => {
      const failed = (what: string) => {
        this.failures.push(what);
        resolve();
      };
      const asked = request(this.#options.url, { agent: this.#agent, headers: this.#options.headers?.() ?? {} }, (response) => {
        let body = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => {
          body += chunk;
        });
        response.once("error", (error) => failed(`in the response: ${error.message}`));
        response.once("end", () => {
          if (response.statusCode !== 200) return failed(`status ${response.statusCode}: ${body}`);
          this.ok++;
          this.bodies.set(body, (this.bodies.get(body) ?? 0) + 1);
          resolve();
        });
      });
      asked.once("error", (error) => failed(`${"code" in error ? error.code : ""} ${error.message}`));
      asked.end();
    });
  }
}

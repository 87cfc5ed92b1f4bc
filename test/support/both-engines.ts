// Owns what the strictness and request-path tests share: one real gateway with a listener on each engine, in front of raw upstreams.
import fs from "node:fs";
import { onTestFailed } from "vitest";
import { Gateway } from "./gateway.ts";
import { RawClient } from "./raw-client.ts";
import { RawUpstream } from "./raw-upstream.ts";

export const ENGINES = ["uws", "net"] as const;
export type Engine = (typeof ENGINES)[number];

/** Of the gateway's output, when a test fails. */
const LOG_LINES_SHOWN = 30;

/** Listeners of both engines, one worker, no admin. The rest of the configuration follows. */
export const bothListeners = `version: 1
workers: 1
admin: false
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
`;

export class BothEngines implements AsyncDisposable {
  readonly gateway: Gateway;
  readonly upstream: RawUpstream;
  #canaries = 0;

  private constructor(gateway: Gateway, upstream: RawUpstream) {
    this.gateway = gateway;
    this.upstream = upstream;
  }

  /** @param config what follows {@link bothListeners}, for an upstream on this port @param files beside it, by name */
  static async start(config: (port: number) => string, files: Readonly<Record<string, string>> = {}): Promise<BothEngines> {
    const upstream = await RawUpstream.start();
    return new BothEngines(await Gateway.start({ config: bothListeners + config(upstream.port), files }), upstream);
  }

  port(engine: Engine): number {
    return Number(new URL(this.gateway.urls[ENGINES.indexOf(engine)] ?? "").port);
  }

  connect(engine: Engine): Promise<RawClient> {
    return RawClient.connect(this.port(engine));
  }

  /** Call in each test: shows the gateway's log when it fails. */
  report(): void {
    onTestFailed(() => {
      const log = this.gateway.output.split("\n").slice(-LOG_LINES_SHOWN).join("\n");
      console.error(fs.readFileSync(this.gateway.configFile, "utf8"), `\n${log}\n`, this.upstream.faults, this.upstream.unfinished);
    });
  }

  /**
   * Targets that went upstream since `from`, up to now: a request sent behind everything else, on a connection of its own, marks the end.
   * @param from {@link RawUpstream.requests}' length before
   */
  async targetsSince(from: number, engine: Engine): Promise<string[]> {
    const mark = `/canary-${++this.#canaries}`;
    await using client = await this.connect(engine);
    client.send(`GET ${mark} HTTP/1.1\r\nHost: canary.example\r\nConnection: close\r\n\r\n`);
    await client.response();
    await this.upstream.received(mark);
    return this.upstream.requests
      .slice(from)
      .map((request) => request.target)
      .filter((target) => target !== mark);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

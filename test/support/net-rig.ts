// Owns net listeners that are opened in the test's own thread, for a plan as it is compiled, with a protocol that keeps what comes and says nothing by itself.
import type { Refusal } from "../../src/data/exchange/refusal.ts";
import type { ListenerHost } from "../../src/data/listener/listener.ts";
import type { Channel, ConnectionTerms, Protocols, ServedConnection } from "../../src/data/listener/net/channel.ts";
import { NetListener } from "../../src/data/listener/net/engine.ts";
import type { ListenerPlan } from "../../src/plan/listener-plan.ts";
import { PlayedWorker } from "./played-worker.ts";
import { until } from "./until.ts";

/** One connection, as a protocol sees it. */
export class KeptConnection implements ServedConnection {
  readonly channel: Channel;
  readonly terms: ConnectionTerms;
  readonly protocol: string;
  text = "";
  calls: string[] = [];
  /** Called with what comes, at once. */
  onReceived: ((buffer: Buffer, length: number) => void) | null = null;
  onDrained: () => void = () => {};
  onEnded: () => void = () => {};

  constructor(channel: Channel, terms: ConnectionTerms, protocol = "http/1.1") {
    this.protocol = protocol;
    this.channel = channel;
    this.terms = terms;
    channel.reader = this;
    channel.resume();
  }

  received(buffer: Buffer, length: number): void {
    if (this.onReceived !== null) this.onReceived(buffer, length);
    else this.text += buffer.toString("latin1", 0, length);
  }

  ended(): void {
    this.calls.push("ended");
    this.onEnded();
  }

  drained(): void {
    this.calls.push("drained");
    this.onDrained();
  }

  closed(): void {
    this.calls.push("closed");
  }

  withdraw(): void {
    this.calls.push("withdraw");
  }

  drain(): void {
    this.calls.push("drain");
  }

  endWebSocket(): void {
    this.calls.push("endWebSocket");
  }
}

export class NetRig implements AsyncDisposable {
  readonly served: KeptConnection[] = [];
  readonly listeners: NetListener[] = [];
  readonly plans: readonly ListenerPlan[];
  readonly #worker: PlayedWorker;
  ticketKeys: Uint8Array = new Uint8Array(48).fill(7);
  /** Peers that were counted, as they were named. */
  readonly peers: string[] = [];
  admits: (peer: string) => boolean = () => true;

  private constructor(worker: PlayedWorker) {
    this.#worker = worker;
    this.plans = worker.runtime.plan.listeners;
  }

  /** @param listeners as they are written in a configuration. @param limits too */
  static async start(listeners: string, limits = "{}"): Promise<NetRig> {
    const config = `version: 1\nlisteners: ${listeners}\nlimits: ${limits}\nroutes: [{ name: r, match: {}, respond: { status: 204 } }]\n`;
    return new NetRig(await PlayedWorker.start(config));
  }

  /** @param plan by default the first of the configuration. */
  async open(plan = this.plans[0], protocols: Partial<Protocols> = {}): Promise<{ readonly port: number; readonly listener: NetListener }> {
    if (plan === undefined) throw new Error("the configuration has no such listener");
    const kept =
      (protocol: string) =>
      (channel: Channel, _host: ListenerHost, terms: ConnectionTerms): KeptConnection => {
        const connection = new KeptConnection(channel, terms, protocol);
        this.served.push(connection);
        return connection;
      };
    const listener = await NetListener.open(plan, this.#host(), { "http/1.1": kept("http/1.1"), h2: kept("h2"), ...protocols });
    this.listeners.push(listener);
    return { port: listener.port, listener };
  }

  /** @returns the nth connection that is served, when it is there */
  async connection(index = this.served.length): Promise<KeptConnection> {
    await until(`connection ${index} is served`, () => this.served[index] !== undefined);
    return this.served[index] as KeptConnection; // it is there
  }

  #host(): ListenerHost {
    const rig = this;
    return {
      current: () => this.#worker.runtime,
      handle() {},
      refuse(_x: unknown, _refusal: Refusal) {},
      answerServerOptions() {},
      name: "",
      paths: null,
      get ticketKeys() {
        return rig.ticketKeys;
      },
      draining: false,
      admitsPeer: (peer) => {
        this.peers.push(peer);
        return this.admits(peer);
      },
      admitProxied: (client) => {
        this.peers.push(client);
        return this.admits(client) ? () => this.peers.push(`${client} left`) : null;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const listener of this.listeners) listener.close();
    await until("all connections are closed", () => this.listeners.every(({ connections }) => connections === 0));
  }
}

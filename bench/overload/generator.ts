// The load: an open loop. Each request has its planned time of arrival, and latency counts from there, so that a generator or a gateway that is late hides nothing.
import net from "node:net";

/** The generator gives up on an answer, ms: as clients do. */
const PATIENCE_MS = 4000;

/** A time with one rate: exactly so many arrivals as that makes, at independent moments of it (what Poisson arrivals are when their number is known). */
export interface Phase {
  readonly seconds: number;
  /** Requests a second. */
  readonly rate: number;
}

export interface Tenant {
  readonly name: string;
  readonly port: number;
  readonly path?: string;
  readonly phases: readonly Phase[];
}

/** One request, as it went. `status` 0: no answer. */
export interface Sample {
  readonly tenant: string;
  readonly atMs: number;
  readonly ms: number;
  readonly status: number;
}

/** One connection: one request at a time. */
class Connection {
  readonly port: number;
  /** Of the request under way; null for none. */
  onAnswer: ((status: number) => void) | null = null;
  readonly #socket: net.Socket;
  #text = "";

  constructor(port: number, free: (connection: Connection) => void) {
    this.port = port;
    this.#socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text) => {
      this.#text += text;
      const head = this.#text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text)?.[1];
      const whole = length === undefined ? this.#text.endsWith("0\r\n\r\n") : this.#text.length >= head + 4 + Number(length);
      if (!whole) return;
      const status = Number(this.#text.slice(9, 12));
      const closes = /\r\nconnection: close/i.test(this.#text) || this.#text.startsWith("HTTP/1.0");
      this.#text = "";
      this.#tell(status);
      if (closes) this.#socket.destroy();
      else free(this);
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#tell(0));
  }

  get usable(): boolean {
    return !this.#socket.destroyed;
  }

  send({ name, path = "/" }: Tenant, onAnswer: (status: number) => void): void {
    this.onAnswer = onAnswer;
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: s\r\nX-Tenant: ${name}\r\n\r\n`);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #tell(status: number): void {
    const { onAnswer } = this;
    this.onAnswer = null;
    onAnswer?.(status);
  }
}

interface Planned {
  readonly atMs: number;
  readonly tenant: Tenant;
}

function planOf(tenants: readonly Tenant[]): Planned[] {
  const plan: Planned[] = [];
  for (const tenant of tenants) {
    let startMs = 0;
    for (const { seconds, rate } of tenant.phases) {
      for (let i = 0; i < Math.round(seconds * rate); i++) plan.push({ atMs: startMs + Math.random() * seconds * 1000, tenant });
      startMs += seconds * 1000;
    }
  }
  return plan.sort((a, b) => a.atMs - b.atMs);
}

export async function generate(tenants: readonly Tenant[]): Promise<Sample[]> {
  const plan = planOf(tenants);
  const samples: Sample[] = [];
  const idle = new Map<number, Connection[]>();
  const all = new Set<Connection>();
  /** Oldest first: who gives up when. */
  const patience: { readonly untilMs: number; readonly connection: Connection; readonly done: (status: number) => void }[] = [];
  const startMs = performance.now() + 50;
  let [open, next, given] = [0, 0, 0];
  const connectionTo = (port: number): Connection => {
    const free = idle.get(port) ?? [];
    idle.set(port, free);
    let connection = free.pop();
    while (connection !== undefined && !connection.usable) connection = free.pop();
    if (connection !== undefined) return connection;
    connection = new Connection(port, (each) => free.push(each));
    all.add(connection);
    return connection;
  };
  const send = ({ atMs, tenant }: Planned, now: number): void => {
    open++;
    const connection = connectionTo(tenant.port);
    const done = (status: number): void => {
      open--;
      samples.push({ tenant: tenant.name, atMs, ms: performance.now() - startMs - atMs, status });
    };
    connection.send(tenant, done);
    patience.push({ untilMs: now + PATIENCE_MS, connection, done });
  };
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now() - startMs;
      for (let planned = plan[next]; planned !== undefined && planned.atMs <= now; planned = plan[next]) {
        send(planned, now);
        next++;
      }
      for (let first = patience[given]; first !== undefined && first.untilMs <= now; first = patience[given]) {
        if (first.connection.onAnswer === first.done) first.connection.destroy();
        given++;
      }
      if (next < plan.length || open > 0) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  for (const connection of all) connection.destroy();
  return samples;
}

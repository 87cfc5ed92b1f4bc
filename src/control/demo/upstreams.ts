// Owns the demo's built-in upstreams: starts their servers on free loopback ports, stops and revives single ones.
import { createServer, type Server } from "node:http";
import { HOST } from "./ports.ts";
import { labService, namedService, type TargetSwitch, usersService } from "./services.ts";
import { echoWebSocket } from "./web-socket-echo.ts";

/** The running services of the demo. */
export class DemoUpstreams implements TargetSwitch {
  readonly #servers: ReadonlyMap<string, Server>;
  readonly #ports = new Map<string, number>();

  private constructor() {
    const lab = createServer(labService(this));
    lab.on("upgrade", echoWebSocket);
    this.#servers = new Map([
      ["users-a", createServer(usersService("users-a"))],
      ["users-b", createServer(usersService("users-b"))],
      ["stable", createServer(namedService("stable"))],
      ["canary", createServer(namedService("canary"))],
      ["lab", lab],
    ]);
    // Longer than the gateway's pool keeps a connection, so that it is never the service that closes first.
    for (const server of this.#servers.values()) server.keepAliveTimeout = 120_000;
  }

  static async start(): Promise<DemoUpstreams> {
    const upstreams = new DemoUpstreams();
    await Promise.all([...upstreams.#servers.keys()].map((name) => upstreams.start(name)));
    return upstreams;
  }

  /** Where each service listens, as the variables that config/demo.yaml reads: `DEMO_USERS_A=http://127.0.0.1:PORT`. */
  get env(): Readonly<Record<string, string>> {
    const entries = [...this.#ports].map(([name, port]) => [`DEMO_${name.toUpperCase().replace("-", "_")}`, `http://${HOST}:${port}`]);
    return Object.fromEntries(entries) as Record<string, string>; // the entries are pairs of strings
  }

  /** Listens, on the same port as before if it listened before. @returns false for a name that does not exist */
  async start(name: string): Promise<boolean> {
    const server = this.#servers.get(name);
    if (server === undefined) return false;
    if (server.listening) return true;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(this.#ports.get(name) ?? 0, HOST, () => resolve());
    });
    const address = server.address();
    if (typeof address === "object" && address !== null) this.#ports.set(name, address.port);
    return true;
  }

  /** Cuts every connection and refuses new ones, as a killed process would. @returns false for a name that does not exist */
  stop(name: string): Promise<boolean> {
    const server = this.#servers.get(name);
    if (server === undefined) return Promise.resolve(false);
    return new Promise((resolve) => {
      server.close(() => resolve(true));
      server.closeAllConnections();
    });
  }
}

// Owns the demo's built-in upstreams: starts their servers on loopback, stops and revives single ones.
import { createServer, type Server } from "node:http";
import { OperatorError } from "../../base/errors.ts";
import { HOST, type ServiceName } from "./ports.ts";
import { labService, namedService, type TargetSwitch, usersService } from "./services.ts";
import { echoWebSocket } from "./web-socket-echo.ts";

/** The running services of the demo. */
export class DemoUpstreams implements TargetSwitch {
  readonly #servers: ReadonlyMap<string, Server>;
  readonly #ports: ReadonlyMap<string, number>;

  private constructor(ports: ReadonlyMap<string, number>) {
    this.#ports = ports;
    const lab = createServer(labService(this));
    lab.on("upgrade", echoWebSocket);
    this.#servers = new Map<ServiceName, Server>([
      ["users-a", createServer(usersService("users-a"))],
      ["users-b", createServer(usersService("users-b"))],
      ["stable", createServer(namedService("stable"))],
      ["canary", createServer(namedService("canary"))],
      ["lab", lab],
    ]);
    // Longer than the gateway's pool keeps a connection, so that it is never the service that closes first.
    for (const server of this.#servers.values()) server.keepAliveTimeout = 120_000;
  }

  /** @param ports of each service. @throws OperatorError when one cannot be had */
  static async start(ports: ReadonlyMap<string, number>): Promise<void> {
    const upstreams = new DemoUpstreams(ports);
    await Promise.all([...ports.keys()].map((name) => upstreams.start(name)));
  }

  /** Listens. @returns false for a name that does not exist */
  async start(name: string): Promise<boolean> {
    const server = this.#servers.get(name);
    if (server === undefined) return false;
    if (server.listening) return true;
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error): void => reject(new OperatorError(`the built-in service ${name} cannot listen: ${error.message}`));
      server.once("error", failed).listen(this.#ports.get(name) ?? 0, HOST, () => {
        server.off("error", failed);
        resolve();
      });
    });
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

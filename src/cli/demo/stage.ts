// Owns what the demo's gateway finds when it starts: addresses to listen at, and the built-in upstreams.
import { OperatorError } from "../../base/errors.ts";
import { claimPort } from "../../control/instance/addresses.ts";
import { HOST, type Ports, SERVICES } from "./ports.ts";
import { DemoUpstreams } from "./upstreams.ts";

/**
 * Opens the built-in upstreams.
 * @returns the environment variables that config/demo.yaml reads: `DEMO_PORT=8080`, `DEMO_USERS_A=http://127.0.0.1:PORT`...
 * @throws OperatorError when a port is taken, saying what to do.
 */
export async function setStage(wanted: Ports): Promise<Readonly<Record<string, string>>> {
  const taken = new Set<number>();
  const listener = await claim(wanted.listener, taken, "--port");
  const admin = await claim(wanted.admin, taken, "--admin-port");
  const ports = new Map<string, number>();
  const env: Record<string, string> = { DEMO_PORT: String(listener), DEMO_ADMIN_PORT: String(admin) };
  for (const name of SERVICES) {
    const port = await claim(0, taken, "--port");
    ports.set(name, port);
    env[`DEMO_${name.toUpperCase().replace("-", "_")}`] = `http://${HOST}:${port}`;
  }
  await DemoUpstreams.start(ports);
  return env;
}

/** @param taken ports claimed so far: let go again, they could come up twice */
async function claim(port: number, taken: Set<number>, option: string): Promise<number> {
  for (;;) {
    const claimed = await claimPort(HOST, port);
    if (claimed instanceof Error) {
      const busy = "code" in claimed && claimed.code === "EADDRINUSE";
      const problem = busy ? `port ${port} is in use` : claimed.message;
      throw new OperatorError(`cannot listen on ${HOST}:${port}: ${problem}; choose another with ${option} N (0 picks a free one)`);
    }
    if (port === 0 && taken.has(claimed)) continue;
    taken.add(claimed);
    return claimed;
  }
}

// Owns what must stand before the demo's configuration can be read: free ports and the built-in upstreams. Loaded while the gateway boots.
import { OperatorError } from "../../base/errors.ts";
import { claimPort } from "../instance/addresses.ts";
import { HOST, type Ports } from "./ports.ts";
import { DemoUpstreams } from "./upstreams.ts";

/** @returns the environment variables that config/demo.yaml reads. @throws OperatorError when a port is taken, saying what to do. */
export async function buildStage(wanted: Ports): Promise<Record<string, string>> {
  // First, as they keep their ports: one that was found free and let go could become theirs.
  const upstreams = await DemoUpstreams.start();
  const listener = await claim(wanted.listener, "--port");
  const admin = await claim(wanted.admin, "--admin-port");
  return { ...upstreams.env, DEMO_PORT: String(listener), DEMO_ADMIN_PORT: String(admin) };
}

async function claim(port: number, option: string): Promise<number> {
  const claimed = await claimPort(HOST, port);
  if (!(claimed instanceof Error)) return claimed;
  const busy = "code" in claimed && claimed.code === "EADDRINUSE";
  const problem = busy ? `port ${port} is in use` : claimed.message;
  throw new OperatorError(`cannot listen on ${HOST}:${port}: ${problem}; choose another with ${option} N (0 picks a free one)`);
}

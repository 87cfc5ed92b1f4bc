// What stands before the service: this gateway with overload control on and off, and HAProxy told the service's capacity by hand.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";

const MAIN = path.join(import.meta.dirname, "..", "..", "dist", "main.js");
const SERVICE = path.join(import.meta.dirname, "service.ts");

export async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nobody listens on ${port}`);
}

export function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 3000).unref();
  });
}

export interface Running {
  readonly port: number;
  readonly child: ChildProcess;
}

export async function startService(latency: string): Promise<Running> {
  const port = await freePort();
  const child = spawn(process.execPath, [SERVICE, String(port), latency], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  await listening(port);
  return { port, child };
}

export interface Gateway {
  readonly name: string;
  start(service: number, directory: string): Promise<Running & { readonly admin: number | null }>;
}

export const sluice = (mode: "on" | "off", workers: number): Gateway => ({
  name: `Sluice, overload.mode: ${mode}, workers: ${workers}`,
  async start(service, directory) {
    const [port, admin] = [await freePort(), await freePort()];
    const file = path.join(directory, `sluice-${port}.yaml`);
    fs.writeFileSync(
      file,
      `version: 1
listeners: [{ address: "127.0.0.1:${port}" }]
admin: { address: "127.0.0.1:${admin}" }
workers: ${workers}
upstreams:
  s:
    targets: [{ url: "http://127.0.0.1:${service}" }]
    health: { passive: false }
    pool: { connections: 1024 }
    overload: { mode: ${mode}, fairBy: { header: x-tenant } }
routes:
  - { name: poll, match: { path: "/poll/**" }, to: s }
  - { name: stream, match: { path: "/stream/**" }, to: s }
  - { name: slow, match: { path: "/slow/**" }, to: s }
  - { name: all, match: { path: "/**" }, to: s }
`,
    );
    const child = spawn(process.execPath, [MAIN, "start", "--no-supervisor", "-c", file], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.on("data", (data) => (said = `${said}${data}`.slice(0, 4000)));
    try {
      await listening(port);
    } catch (error) {
      child.kill("SIGKILL");
      throw new Error(`the gateway does not start: ${said}`, { cause: error });
    }
    return { port, child, admin };
  },
});

export const haproxy = (servers: number, workers: number): Gateway => ({
  name: `HAProxy, maxconn ${servers}, timeout queue 100 ms`,
  async start(service, directory) {
    const port = await freePort();
    const file = path.join(directory, "haproxy.cfg");
    fs.writeFileSync(
      file,
      `global
  nbthread ${workers}
  no strict-limits
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout queue 100ms
  http-reuse always
frontend in
  bind 127.0.0.1:${port} backlog 8192
  default_backend s
backend s
  server s 127.0.0.1:${service} maxconn ${servers}
`,
    );
    const child = spawn("haproxy", ["-db", "-f", file], { stdio: ["ignore", "ignore", "inherit"] });
    await listening(port);
    return { port, child, admin: null };
  },
});

export const installed = (program: string): boolean =>
  [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin"].some((each) => fs.existsSync(path.join(each, program)));

interface UpstreamView {
  readonly overload?: { readonly limit: number };
}

/** The limit in force; NaN where there is none to be seen. */
export async function limitOf(admin: number): Promise<number> {
  try {
    const upstreams = (await (await fetch(`http://127.0.0.1:${admin}/upstreams`)).json()) as readonly UpstreamView[]; // the admin listener's documented form
    return upstreams[0]?.overload?.limit ?? Number.NaN;
  } catch {
    return Number.NaN;
  }
}

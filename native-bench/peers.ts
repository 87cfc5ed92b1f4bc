// The servers that are compared, each with one worker and an equivalent configuration: keep-alive both sides,
// forwarding headers, a request id, no access log. Configurations are written to a folder of the run.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";

/** A server under test or an origin, running. */
export interface Peer {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** @param signal SIGTERM unless given. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const START_MS_MAX = 15_000;

/** The origin every peer proxies to: nginx answering from its configuration. */
export function startOrigin(directory: string, port: number, bodyBytes: number, name = "origin"): Promise<Peer> {
  const configuration = `
worker_processes 1; daemon off; pid ${directory}/${name}.pid; error_log ${directory}/${name}.err;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  server { listen 127.0.0.1:${port} backlog=8192; location / { default_type text/plain; return 200 "${"x".repeat(bodyBytes)}"; } }
}`;
  return startNginx(name, directory, { port, configuration });
}

export function startNginxProxy(directory: string, port: number, originPort: number): Promise<Peer> {
  const configuration = `
worker_processes 1; daemon off; pid ${directory}/nginx.pid; error_log ${directory}/nginx.err;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 128; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=8192;
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id; add_header X-Request-Id $request_id;
    }
  }
}`;
  return startNginx("nginx", directory, { port, configuration });
}

async function startNginx(
  name: string,
  directory: string,
  options: { readonly port: number; readonly configuration: string },
): Promise<Peer> {
  const file = path.join(directory, `${name}.conf`);
  fs.writeFileSync(file, options.configuration);
  return launch({ name, port: options.port, command: "nginx", arguments: ["-c", file] });
}

export async function startHaproxy(directory: string, port: number, originPort: number): Promise<Peer> {
  const file = path.join(directory, "haproxy.cfg");
  fs.writeFileSync(
    file,
    `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option forwardfor
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend origin
backend origin
  server origin 127.0.0.1:${originPort} pool-max-conn 128
`,
  );
  return launch({ name: "haproxy", port, command: "haproxy", arguments: ["-db", "-f", file] });
}

/** Our own, from dist/, one worker, with metrics; the access log off like everybody's. */
export async function startSluice(directory: string, port: number, originPort: number): Promise<Peer> {
  const configuration = `version: 1
workers: 1
listeners: [{ address: 127.0.0.1:${port} }]
admin: { address: 127.0.0.1:0 }
defaults: { accessLog: false }
upstreams:
  origin: { targets: [{ url: "http://127.0.0.1:${originPort}" }], pool: { connections: 128 } }
routes:
  - { name: all, match: { path: /** }, to: origin }
`;
  return startSluiceWith(directory, port, configuration);
}

/** Our own with any configuration that listens on `port`; `sluice.yaml` in the directory holds it. */
export async function startSluiceWith(directory: string, port: number, configuration: string): Promise<Peer> {
  const file = path.join(directory, "sluice.yaml");
  fs.writeFileSync(file, configuration);
  const main = path.join(import.meta.dirname, "../dist/main.js");
  if (!fs.existsSync(main)) throw new Error("dist/main.js is missing: run `npm run build` first");
  const environment = { ...process.env, SLUICE_RUN_DIR: path.join(directory, "run"), SLUICE_TEST_HOOKS: "1" };
  return launch({ name: "sluice", port, command: process.execPath, arguments: [main, "start", "-c", file], environment });
}

interface Launch {
  readonly name: string;
  readonly port: number;
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
}

async function launch(options: Launch): Promise<Peer> {
  const child = spawn(options.command, options.arguments, {
    stdio: ["ignore", "ignore", "inherit"],
    env: options.environment ?? process.env,
  });
  await listening(child, options);
  return {
    name: options.name,
    url: `http://127.0.0.1:${options.port}/`,
    pid: child.pid ?? 0,
    stop: (signal) => stop(child, signal ?? "SIGTERM"),
  };
}

async function listening(child: ChildProcess, options: Launch): Promise<void> {
  const endMs = performance.now() + START_MS_MAX;
  while (performance.now() < endMs) {
    if (child.exitCode !== null) break;
    if (await accepts(options.port)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill();
  throw new Error(`${options.name} did not listen on port ${options.port} (exit code ${child.exitCode}); is it installed?`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}

// Owns nginx's side of every case, tuned as its manual advises for keep-alive to upstreams.
import fs from "node:fs";
import path from "node:path";
import { launch } from "./launch.ts";
import { type Peer, type PeerKind, refusal, type Setup, type Stage } from "./peer.ts";
import { askVersion, PROGRAMS } from "./programs.ts";

export const nginx: PeerKind = {
  name: "nginx",
  title: "nginx",
  role: "peer",
  needs: [PROGRAMS.nginx],
  note: "",
  refuses: (setup) => refusal(setup, { http2: "", guarded: "open-source nginx has no JWT and no breaker that can be set alike" }),
  start: (stage, setup) => startNginx(stage, setup),
  version: nginxVersion,
};

export function nginxVersion(): string {
  return askVersion("nginx", ["-v"], /nginx\/(\S+)/);
}

/** What a kind that is nginx with something more adds to its configuration. */
export interface NginxParts {
  readonly name: string;
  /** Directives of the main context: modules. */
  readonly main: string;
  /** Directives of `http`. */
  readonly http: string;
  /** Directives of the server that proxies. */
  readonly server: string;
  /** What the configuration reads from elsewhere, for the report. */
  readonly appendix: string;
}

const ALONE: NginxParts = { name: "nginx", main: "", http: "", server: "", appendix: "" };

export async function startNginx(stage: Stage, setup: Setup, parts: NginxParts = ALONE): Promise<Peer> {
  const port = await stage.freePort();
  const { name } = parts;
  const { file, text } = writeNginx({
    name: `${name}-${port}`,
    directory: stage.directory,
    workers: setup.workers,
    main: parts.main,
    http: proxy(stage, { setup, port, parts }),
  });
  const configuration = setup.routes > 100 ? `${text.slice(0, 3000)}\n... (${setup.routes} locations alike)\n` : text;
  return launch({
    name,
    directory: stage.directory,
    port,
    tls: setup.tls,
    command: "nginx",
    arguments: ["-c", file],
    configuration: configuration + parts.appendix,
  });
}

/**
 * Without temporary files: a large answer waits for its client in memory, as it does everywhere else here. Of seven settings these
 * buffers were the cheapest for 16 KiB and for 1 MiB; many and large ones cost up to six times as much (they leave the CPU's caches).
 */
const RELAY = "proxy_max_temp_file_size 0; proxy_buffer_size 16k; proxy_buffers 4 16k; proxy_busy_buffers_size 32k;";

/** As its manual has it: a subrequest without the body. */
const VERIFY =
  '\n    location = /verify { internal; proxy_pass http://origin; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Connection ""; proxy_set_header X-Forwarded-Uri $request_uri; }';

function proxy(stage: Stage, { setup, port, parts }: { readonly setup: Setup; readonly port: number; readonly parts: NginxParts }): string {
  const { cert, key } = stage.certificate;
  // One accept queue a worker: else whoever wakes first takes most connections.
  const listen = `listen 127.0.0.1:${port}${setup.tls ? " ssl" : ""}${setup.http2 ? " http2" : ""} backlog=8192${setup.workers > 1 ? " reuseport" : ""};`;
  const locations =
    setup.routes === 0
      ? `    location / { ${setup.forwardAuth ? "auth_request /verify; " : ""}proxy_pass http://origin; }${setup.forwardAuth ? VERIFY : ""}`
      : Array.from({ length: setup.routes }, (_, n) => `    location /v1/svc-${n}/ { proxy_pass http://origin; }`).join("\n");
  const connection = setup.webSocket
    ? 'proxy_set_header Connection "upgrade"; proxy_set_header Upgrade $http_upgrade'
    : 'proxy_set_header Connection ""';
  return `
  upstream origin { server 127.0.0.1:${stage.originPort}; keepalive 128; keepalive_requests 1000000000; }
  ${RELAY}
${parts.http}${setup.cache ? `  proxy_cache_path ${stage.directory}/nginx-cache-${port} keys_zone=hits:10m; proxy_cache hits;\n` : ""}  server {
    ${listen}
${setup.tls ? `    ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3; ssl_session_cache shared:tls:1m;\n` : ""}    proxy_http_version 1.1; ${connection}; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id; add_header X-Request-Id $request_id;
${parts.server}${locations}
  }`;
}

/** A configuration file for one nginx that keeps everything in the run's directory. @returns its name and text */
export function writeNginx(options: {
  readonly name: string;
  readonly directory: string;
  readonly workers: number;
  /** Directives of the main context. */
  readonly main?: string;
  readonly http: string;
}): { readonly file: string; readonly text: string } {
  const { name, directory, workers, main = "", http } = options;
  const base = path.join(directory, name);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${base}-${kind};`).join(" ");
  const text = `${main}worker_processes ${workers}; worker_rlimit_nofile 20000; daemon off; pid ${base}.pid; error_log ${base}.log;
events { worker_connections 16384; }
http {
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_header_timeout 600s;
  ${temporary}${http}
}
`;
  fs.writeFileSync(`${base}.conf`, text);
  return { file: `${base}.conf`, text };
}

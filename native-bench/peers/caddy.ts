// Owns Caddy's side of every case. One worker is GOMAXPROCS=1: one thread that runs Go code.
import fs from "node:fs";
import path from "node:path";
import { launch } from "./launch.ts";
import { type Peer, type PeerKind, refusal, type Setup, type Stage } from "./peer.ts";
import { askVersion, PROGRAMS } from "./programs.ts";

export const caddy: PeerKind = {
  name: "caddy",
  title: "Caddy",
  role: "peer",
  needs: [PROGRAMS.caddy],
  note: "one worker is GOMAXPROCS=1; the garbage collector and blocking system calls may still use further threads",
  refuses: (setup) =>
    refusal(setup, {
      forwardAuth: "left out of this case",
      guarded: "Debian's Caddy has no JWT and no rate limit: both are plug-ins",
      cache: "Debian's Caddy has no cache: it is a plug-in",
      routes: "left out of this case",
    }),
  start: startCaddy,
  version: () => askVersion("caddy", ["version"], /v?(\d\S*)/),
};

async function startCaddy(stage: Stage, setup: Setup): Promise<Peer> {
  const port = await stage.freePort();
  const { directory } = stage;
  const home = path.join(directory, `caddy-${port}`);
  fs.mkdirSync(home);
  const file = path.join(home, "Caddyfile");
  const text = configuration(stage, setup, port);
  fs.writeFileSync(file, text);
  return launch({
    name: "caddy",
    directory,
    port,
    tls: setup.tls,
    command: "caddy",
    arguments: ["run", "--config", file, "--adapter", "caddyfile"],
    environment: { ...process.env, GOMAXPROCS: String(setup.workers), HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home },
    configuration: text,
  });
}

function configuration(stage: Stage, setup: Setup, port: number): string {
  const { cert, key } = stage.certificate;
  return `{
	admin off
	auto_https off
	log {
		level ERROR
	}
	servers {
		timeouts {
			idle 10m
		}
	}
}
:${port} {
	bind 127.0.0.1
${setup.tls ? `	tls ${cert} ${key} {\n		protocols tls1.3\n	}\n` : ""}	reverse_proxy 127.0.0.1:${stage.originPort} {
		header_up X-Request-Id {http.request.uuid}
		header_down X-Request-Id {http.request.uuid}
		transport http {
			keepalive 10m
			keepalive_idle_conns 256
			keepalive_idle_conns_per_host 128
			compression off
		}
	}
}
`;
}

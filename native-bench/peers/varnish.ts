// Owns Varnish's side of every case. It serves each active request by a thread of its own: "one worker" does not exist there.
import fs from "node:fs";
import path from "node:path";
import { launch } from "./launch.ts";
import { type Peer, type PeerKind, refusal, type Setup, type Stage } from "./peer.ts";
import { askVersion, PROGRAMS } from "./programs.ts";

export const varnish: PeerKind = {
  name: "varnish",
  title: "Varnish",
  role: "peer",
  needs: [PROGRAMS.varnish],
  note: "a thread for each request under way, in one pool: it cannot be held to one worker; its log in shared memory is always on",
  refuses: (setup) =>
    refusal(setup, {
      tls: "Varnish speaks no TLS to clients",
      guarded: "Debian's Varnish has no JWT and no rate limit: both are modules from elsewhere",
      routes: "left out of this case",
      forwardAuth: "it has none",
      webSocket: "left out of this case: it tunnels only where VCL says so",
      workers: "it has threads, not workers",
    }),
  start: startVarnish,
  version: () => askVersion("varnishd", ["-V"], /varnish-(\S+)/),
};

async function startVarnish(stage: Stage, setup: Setup): Promise<Peer> {
  const port = await stage.freePort();
  const { directory } = stage;
  const file = path.join(directory, `varnish-${port}.vcl`);
  const text = configuration(stage, setup);
  fs.writeFileSync(file, text);
  const parameters = ["thread_pools=1", "thread_pool_min=100", "thread_pool_max=1000", "timeout_idle=600", "max_restarts=0"];
  return launch({
    name: "varnish",
    directory,
    port,
    command: "varnishd",
    arguments: [
      ...["-F", "-n", path.join(directory, `varnish-${port}`), "-a", `127.0.0.1:${port}`, "-f", file, "-s", "malloc,64m", "-T", "none"],
      ...parameters.flatMap((each) => ["-p", each]),
    ],
    configuration: `${text}\n# ${parameters.join(" ")}\n`,
  });
}

function configuration(stage: Stage, setup: Setup): string {
  return `vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "${stage.originPort}"; }
sub vcl_recv {
  set req.http.X-Request-Id = req.xid;
  set req.http.X-Forwarded-Proto = "http";
  set req.http.X-Forwarded-Host = req.http.Host;
${setup.cache ? "" : "  return (pass);\n"}}
sub vcl_deliver {
  set resp.http.X-Request-Id = req.http.X-Request-Id;
}
`;
}

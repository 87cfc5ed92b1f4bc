// Owns HAProxy's side of every case.
import fs from "node:fs";
import path from "node:path";
import { launch } from "./launch.ts";
import { type Peer, type PeerKind, refusal, type Setup, type Signature, type Stage } from "./peer.ts";
import { askVersion, PROGRAMS } from "./programs.ts";

export const haproxy: PeerKind = {
  name: "haproxy",
  title: "HAProxy",
  role: "peer",
  needs: [PROGRAMS.haproxy],
  note: "",
  refuses: (setup) =>
    refusal(setup, { routes: "left out: its maps are a look-up of a string, not of a route", forwardAuth: "it asks services in Lua only" }),
  start: startHaproxy,
  version: () => askVersion("haproxy", ["-v"], /version (\S+)/),
};

/** So high that nobody reaches them here: what is measured is the looking. */
const NEVER = 1_000_000_000;

async function startHaproxy(stage: Stage, setup: Setup): Promise<Peer> {
  const port = await stage.freePort();
  const { directory } = stage;
  const file = path.join(directory, `haproxy-${port}.cfg`);
  const text = configuration(stage, setup, port);
  fs.writeFileSync(file, text);
  return launch({
    name: "haproxy",
    directory,
    port,
    tls: setup.tls,
    command: "haproxy",
    arguments: ["-db", "-f", file],
    configuration: text,
  });
}

function configuration(stage: Stage, setup: Setup, port: number): string {
  const pem = path.join(stage.directory, "haproxy.pem");
  if (setup.tls) {
    fs.writeFileSync(pem, fs.readFileSync(stage.certificate.cert, "utf8") + fs.readFileSync(stage.certificate.key, "utf8"));
  }
  return `global
  nbthread ${setup.workers}
  maxconn 12000
  no strict-limits
${setup.tls ? "  ssl-default-bind-options ssl-min-ver TLSv1.3\n" : ""}${setup.guarded !== "" ? "  log stdout format raw local0\n" : ""}defaults
  mode http
  timeout connect 1s
  timeout client 600s
  timeout http-keep-alive 600s
  timeout server 60s
${setup.webSocket ? "  timeout tunnel 600s\n" : ""}  option forwardfor
  http-reuse always
${setup.cache ? "cache hits\n  total-max-size 64\n  max-object-size 2000000\n  max-age 3600\n" : ""}frontend in
  bind 127.0.0.1:${port}${setup.tls ? ` ssl crt ${pem}` : ""} backlog 8192
  unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http${setup.tls ? "s" : ""}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
${setup.guarded === "" ? "" : guards(stage, setup.guarded)}  default_backend origin
backend origin
${setup.cache ? "  http-request cache-use hits\n  http-response cache-store hits\n" : ""}  server origin 127.0.0.1:${stage.originPort} pool-max-conn 128${setup.guarded !== "" ? " check inter 5s observe layer7 error-limit 50 on-error mark-down" : ""}
`;
}

/** The token's signature, issuer, audience and time; a rate for each subject; the log with the same fields as ours. */
function guards({ token }: Stage, signature: Signature): string {
  return `  log global
  option httplog
  stick-table type string len 64 size 100k expire 60s store http_req_rate(10s)
  http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
  http-request deny deny_status 401 unless { var(txn.alg) -m str ${signature} }
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_verify(txn.alg,"${signature === "RS256" ? token.publicKey : token.secret}") -m int 1 }
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_payload_query('$.iss') -m str ${token.issuer} }
  http-request deny deny_status 401 unless { http_auth_bearer,jwt_payload_query('$.aud') -m str ${token.audience} }
  http-request set-var(txn.now) date()
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request track-sc0 http_auth_bearer,jwt_payload_query('$.sub')
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt ${NEVER} }
`;
}

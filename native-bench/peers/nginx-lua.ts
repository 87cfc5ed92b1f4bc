// Owns nginx with a script in Lua for the guarded cases: the floor under gateways that are written so (Kong, APISIX), which do more.
import fs from "node:fs";
import path from "node:path";
import { type NginxParts, nginxVersion, startNginx } from "./nginx.ts";
import { type Peer, type PeerKind, refusal, type Setup, type Stage } from "./peer.ts";
import { PROGRAMS } from "./programs.ts";

/** Its access log's name in the stage's directory. */
export const NGINX_LUA_LOG = "nginx-lua-access.log";
const SCRIPT = path.join(import.meta.dirname, "programs/guard.lua");
/** So high that nobody reaches it here: what is measured is the looking. */
const NEVER = 1_000_000_000;
const WINDOW_SECONDS = 10;
/** The fields of ours that nginx knows. Lines are written together, as ours are. */
const LOG = `  log_format guarded escape=json '{"time":"$time_iso8601","requestId":"$request_id","client":"$remote_addr","consumer":"$consumer",'
    '"method":"$request_method","scheme":"$scheme","host":"$host","path":"$uri","protocol":"$server_protocol","target":"$upstream_addr",'
    '"status":$status,"bytesIn":"$content_length","bytesOut":$body_bytes_sent,"total":$request_time,"connect":"$upstream_connect_time",'
    '"firstByte":"$upstream_header_time","userAgent":"$http_user_agent"}';
`;

export const nginxLua: PeerKind = {
  name: "nginx-lua",
  title: "nginx + Lua",
  role: "floor",
  needs: [PROGRAMS.nginx, PROGRAMS.nginxNdk, PROGRAMS.nginxLua, PROGRAMS.luaCjson],
  note: "guarded by a script of a page that checks each token anew: no breaker, no metrics, nothing that can be configured",
  refuses: (setup) => refusal(setup, setup.guarded === "RS256" ? { guarded: "its script checks HS256 only" } : {}),
  start: (stage, setup) => startNginxLua(stage, setup),
  version: nginxVersion,
};

const UNGUARDED: NginxParts = { name: "nginx-lua", main: "", http: "", server: "", appendix: "" };

/** @param rate requests of one subject in ten seconds */
export function startNginxLua(stage: Stage, setup: Setup, rate: number = NEVER): Promise<Peer> {
  return startNginx(stage, setup, setup.guarded === "" ? UNGUARDED : guarded(stage, rate));
}

/** Beside the log, everything is nginx's own: the script runs before a request is forwarded. */
function guarded({ directory, token }: Stage, rate: number): NginxParts {
  const script = fs.readFileSync(SCRIPT, "utf8");
  fs.writeFileSync(path.join(directory, path.basename(SCRIPT)), script);
  const settings = [
    `secret = ${luaText(token.secret)}`,
    `issuer = ${luaText(token.issuer)}`,
    `audience = ${luaText(token.audience)}`,
    `rate = ${rate}`,
    `window = ${WINDOW_SECONDS}`,
    'dictionary = "limits"',
  ].join(", ");
  return {
    name: "nginx-lua",
    main: `load_module ${PROGRAMS.nginxNdk.file}; load_module ${PROGRAMS.nginxLua.file};\n`,
    http: `${LOG}  lua_package_path "${directory}/?.lua;;"; lua_shared_dict limits 10m;
  init_by_lua_block { require("guard").open({ ${settings} }) }
`,
    server: `    set $consumer ""; proxy_set_header X-Consumer-Id $consumer;
    access_log ${path.join(directory, NGINX_LUA_LOG)} guarded buffer=64k flush=1s;
    access_by_lua_block { require("guard").check() }
`,
    appendix: `\n-- guard.lua\n${script}`,
  };
}

const luaText = (text: string): string => JSON.stringify(text);

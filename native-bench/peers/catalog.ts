// Owns the list of servers that can be compared, in the order in which reports name them.
import { caddy } from "./caddy.ts";
import { haproxy } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import { nginxLua } from "./nginx-lua.ts";
import { NODE_PROGRAMS } from "./node-programs.ts";
import type { PeerKind } from "./peer.ts";
import { sluice, sluiceNet, sluiceNetPipelining, sluicePipelining } from "./sluice.ts";
import { varnish } from "./varnish.ts";

export const PEERS: readonly PeerKind[] = [
  sluice,
  sluicePipelining,
  sluiceNet,
  sluiceNetPipelining,
  nginx,
  haproxy,
  caddy,
  varnish,
  nginxLua,
  ...NODE_PROGRAMS,
];

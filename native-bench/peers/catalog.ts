// Owns the list of servers that can be compared, in the order in which reports name them.
import { haproxy } from "./haproxy.ts";
import { nginx } from "./nginx.ts";
import type { PeerKind } from "./peer.ts";
import { sluice } from "./sluice.ts";

export const PEERS: readonly PeerKind[] = [sluice, nginx, haproxy];

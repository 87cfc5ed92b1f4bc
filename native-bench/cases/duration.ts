// Owns the estimate of how long a run takes, so that it can be said before and held to a bound by a test.
import type { PeerKind } from "../peers/peer.ts";
import type { Case } from "./case.ts";

/** Starting, asking once, stopping: on a machine that does nothing else. */
const START_SECONDS = { ours: 1.2, floor: 0.8, peer: 0.8 } as const;
/** What wrk needs around its time. */
const WRK_SECONDS = 0.15;
/** What the open-loop generator needs around its time. */
const OPEN_SECONDS = 0.6;
/** What the WebSocket load needs around its time. */
const WEBSOCKET_SECONDS = 0.4;
/** To make ten thousand connections, settle, and let them go. */
const IDLE_SECONDS = 4;

/** @returns seconds; of contenders that refuse their setup nothing. */
export function estimatedSeconds(
  wanted: Case,
  options: { readonly rounds: number; readonly seconds: number; readonly peers: readonly PeerKind[] },
): number {
  const { rounds, seconds, peers } = options;
  let total = 0;
  for (const { peer, setup } of wanted.contenders) {
    const kind = peers.find(({ name }) => name === peer);
    if (kind === undefined || kind.refuses(setup) !== null) continue;
    total += START_SECONDS[kind.role] + roundSeconds(wanted, seconds) * rounds;
    if (wanted.load.kind !== "idle") total += Math.min(wanted.load.kind === "open" || kind.role === "peer" ? 1 : 2, seconds) + WRK_SECONDS;
  }
  return total;
}

function roundSeconds({ load }: Case, seconds: number): number {
  switch (load.kind) {
    case "wrk":
    case "http2":
      return seconds + WRK_SECONDS;
    case "webSocket":
      return seconds + WEBSOCKET_SECONDS;
    case "open":
      return 2 * (seconds + OPEN_SECONDS);
    case "idle":
      return IDLE_SECONDS;
  }
}

// Owns that two instances that start at once never both end up at one address: sockets that share a port would let them. The later one waits, and then sees
// what the earlier has become.
import { OperatorError } from "../../base/errors.ts";
import type { LaunchOrders } from "../../plan/messages.ts";
import { type InstanceDir, overlaps } from "./instance-dir.ts";
import { takeTurn } from "./turn.ts";

/** Longest wait (ms) for another start at one of the addresses; more than any start takes. */
const WAIT_MS_MAX = 30_000;

/**
 * @param addresses `host:port` or `unix:/path`, ports resolved
 * @returns the turn, to be disposed of when this instance has announced itself
 * @throws OperatorError when another start takes too long, or the instance to be taken over has been taken over meanwhile
 */
export async function turnToStart(
  directory: InstanceDir,
  addresses: readonly string[],
  { takeover, restart }: LaunchOrders,
): Promise<Disposable> {
  // The addresses are this instance's: whoever starts there meanwhile finds them taken.
  if (restart && !takeover) return { [Symbol.dispose]: () => {} };
  const seen = directory.holders(addresses);
  const conflicts = (own: readonly string[], other: readonly string[]) => own.some((a) => other.some((b) => overlaps(a, b)));
  const turn = await takeTurn({ directory: directory.path, waitMsMax: WAIT_MS_MAX, about: addresses, conflicts }).catch((error: Error) => {
    throw new OperatorError(
      `another instance starts at ${addresses.join(", ")}: ${error.message}; stop it, or start again when it is ready`,
    );
  });
  const other = directory.holders(addresses).find(({ pid }) => seen.every((each) => each.pid !== pid));
  if (!takeover || other === undefined) return turn; // without takeover it finds the addresses taken
  turn[Symbol.dispose]();
  throw new OperatorError(
    `process ${other.signalPid} has just taken over ${other.addresses.join(", ")}: of two takeovers at once, one wins; start again to take over from that one`,
  );
}

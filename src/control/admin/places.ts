// Owns which connections the admin listener keeps when more come than it has places for: probes always get one. Who is new gives no reason to be
// refused, and who has shown a token is the last to go. Must never wait for a client.
import type { Socket } from "node:net";

export interface PlaceBounds {
  /** Connections at once. */
  readonly places: number;
  /** Longest time (ms) from the beginning of an answer until the client has taken it. */
  readonly answerMs: number;
}

/** Time (ms) between two looks at answers that nobody takes. */
const LOOK_MS = 1000;

interface Place {
  readonly socket: Socket;
  readonly peer: string;
  /** It has shown the token, or needs none: it stays so. */
  proven: boolean;
  /** When its answer began, performance.now(); null between two requests, and while a head comes in. */
  answeringSinceMs: number | null;
}

export class Places {
  readonly #bounds: PlaceBounds;
  /** In the order of their coming. */
  readonly #places = new Map<Socket, Place>();
  readonly #timer: NodeJS.Timeout;

  constructor(bounds: PlaceBounds) {
    this.#bounds = bounds;
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** A connection has come: another goes when there is no place. */
  enter(socket: Socket): void {
    if (this.#places.size >= this.#bounds.places) this.#leastWorthy()?.socket.destroy();
    this.#places.set(socket, { socket, peer: socket.remoteAddress ?? "", proven: false, answeringSinceMs: null });
    socket.once("close", () => this.#places.delete(socket));
  }

  /** A whole head has come. */
  answering(socket: Socket, proven: boolean): void {
    const place = this.#places.get(socket);
    if (place === undefined) return;
    place.proven ||= proven;
    place.answeringSinceMs = performance.now();
  }

  /** The answer has been taken. */
  answered(socket: Socket): void {
    const place = this.#places.get(socket);
    if (place !== undefined) place.answeringSinceMs = null;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #leastWorthy(): Place | undefined {
    const all = [...this.#places.values()].filter(({ socket }) => !socket.destroyed);
    const strangers = all.filter(({ proven }) => !proven);
    const idle = (places: readonly Place[]): Place[] => places.filter(({ answeringSinceMs }) => answeringSinceMs === null);
    // Of strangers the oldest, whether it is being answered or not: a probe is young, and may not have come to its head.
    return oldestOfMostCrowded(strangers) ?? idle(all)[0] ?? all[0];
  }

  #look(): void {
    const limit = performance.now() - this.#bounds.answerMs;
    for (const { socket, answeringSinceMs } of this.#places.values()) {
      if (answeringSinceMs !== null && answeringSinceMs < limit) socket.destroy();
    }
  }
}

/** Of the peer that has most of them. */
function oldestOfMostCrowded(places: readonly Place[]): Place | undefined {
  const counts = new Map<string, number>();
  for (const { peer } of places) counts.set(peer, (counts.get(peer) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return places.find(({ peer }) => counts.get(peer) === most);
}

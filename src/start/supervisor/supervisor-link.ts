// Owns the primary's end of the channel to its supervisor (or the lack of one). Must never decide anything, and must lose nothing that
// arrives before somebody asks for it.
import { Socket } from "node:net";
import { OperatorError } from "../../base/errors.ts";
import type { SupervisorLink } from "../../control/primary/surroundings.ts";
import { type FromSupervisor, LAUNCH_ENV, type LaunchOrders, type ToSupervisor } from "../../plan/messages.ts";
import { CHANNEL_FD, Channel, launchOrders } from "./channel.ts";

/** How long (ms) a restarted primary waits for the supervisor's copy of the last good configuration. */
const LAST_GOOD_TIMEOUT_MS = 2000;
/** How long (ms) a primary waits for the configuration that its supervisor has read from a pipe. */
const PIPED_TIMEOUT_MS = 10_000;

/** @param takeover what the command line says, used when nobody gave orders. */
export function connectSupervisor(takeover: boolean): SupervisorLink {
  const orders = launchOrders();
  if (orders === null) return unsupervised(takeover);
  delete process.env[LAUNCH_ENV]; // children of ours must not take it for theirs
  return new Link(orders);
}

class Link implements SupervisorLink {
  readonly supervised = true;
  readonly orders: LaunchOrders;
  readonly pid = process.ppid;
  readonly #channel: Channel<FromSupervisor, ToSupervisor>;
  #lastGood: (config: string | null) => void = () => {};
  #piped: (texts: Readonly<Record<string, string>>) => void = () => {};
  #replaceFailed: (reason: string) => void = () => {};
  /** Requests to stop before onStop() was called. */
  #stops = 0;
  #stop: (() => void) | null = null;
  #lost: () => void = () => {};

  constructor(orders: LaunchOrders) {
    this.orders = orders;
    this.#channel = new Channel(new Socket({ fd: CHANNEL_FD, readable: true, writable: true }), {
      heard: (message: FromSupervisor) => this.#heard(message),
      closed: () => this.#lost(),
    });
  }

  send(message: ToSupervisor): void {
    this.#channel.send(message);
  }

  lastGood(): Promise<string | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(null), LAST_GOOD_TIMEOUT_MS);
      this.#lastGood = (config) => {
        clearTimeout(timer);
        resolve(config);
      };
      this.send({ kind: "last-good?" });
    });
  }

  piped(): Promise<Readonly<Record<string, string>>> {
    return new Promise((resolve, reject) => {
      const late = (): void => reject(new OperatorError("the supervisor does not hand over the configuration that came through a pipe"));
      const timer = setTimeout(late, PIPED_TIMEOUT_MS);
      this.#piped = (texts) => {
        clearTimeout(timer);
        resolve(texts);
      };
      this.send({ kind: "piped?" });
    });
  }

  onStop(callback: () => void): void {
    this.#stop = callback;
    for (; this.#stops > 0; this.#stops--) callback();
  }

  onReplaceFailed(callback: (reason: string) => void): void {
    this.#replaceFailed = callback;
  }

  onLost(callback: () => void): void {
    this.#lost = callback;
    if (!this.#channel.open) callback();
  }

  #heard(message: FromSupervisor): void {
    switch (message.kind) {
      case "last-good":
        this.#lastGood(message.config);
        break;
      case "piped":
        this.#piped(message.texts);
        break;
      case "replace-failed":
        this.#replaceFailed(message.reason);
        break;
      case "stop":
        if (this.#stop === null) this.#stops++;
        else this.#stop();
        break;
    }
  }
}

function unsupervised(takeover: boolean): SupervisorLink {
  return {
    supervised: false,
    orders: { takeover, restart: false, ports: {}, files: [], piped: false },
    pid: process.pid,
    send: () => {},
    lastGood: async () => null,
    piped: async () => ({}),
    onStop: () => {},
    onReplaceFailed: () => {},
    onLost: () => {},
  };
}

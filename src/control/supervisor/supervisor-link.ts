// Owns the primary's end of the channel to its supervisor (or the lack of one). Must never decide anything.
import { type FromSupervisor, LAUNCH_ENV, type LaunchOrders, type ToSupervisor } from "../../plan/messages.ts";

/** How long (ms) a restarted primary waits for the supervisor's copy of the last good configuration. */
const LAST_GOOD_TIMEOUT_MS = 2000;

export interface SupervisorLink {
  readonly supervised: boolean;
  readonly orders: LaunchOrders;
  /** The process an operator signals: the supervisor, or this one when there is none. */
  readonly pid: number;
  send(message: ToSupervisor): void;
  /** @returns the configuration that was last in force, packed; null when there is none. */
  lastGood(): Promise<string | null>;
  /** The supervisor was told to stop: once for each wish. */
  onStop(callback: () => void): void;
  onReplaceFailed(callback: (reason: string) => void): void;
  /** The supervisor is gone: nobody will restart us. */
  onLost(callback: () => void): void;
}

/** @param takeover what the command line says, used when nobody gave orders. */
export function connectSupervisor(takeover: boolean): SupervisorLink {
  const text = process.env[LAUNCH_ENV];
  if (text === undefined || process.send === undefined) return unsupervised(takeover);
  delete process.env[LAUNCH_ENV]; // children of ours must not take it for theirs
  const orders = JSON.parse(text) as LaunchOrders; // written by supervise.ts, our own program
  return {
    supervised: true,
    orders,
    pid: process.ppid,
    send: (message) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => {});
    },
    lastGood: () => askLastGood(),
    onStop: (callback) =>
      void process.on("message", (message: FromSupervisor) => {
        if (message.kind === "stop") callback();
      }),
    onReplaceFailed: (callback) =>
      void process.on("message", (message: FromSupervisor) => {
        if (message.kind === "replace-failed") callback(message.reason);
      }),
    onLost: (callback) => void process.once("disconnect", callback),
  };
}

function unsupervised(takeover: boolean): SupervisorLink {
  return {
    supervised: false,
    orders: { takeover, restart: false, ports: {} },
    pid: process.pid,
    send: () => {},
    lastGood: async () => null,
    onStop: () => {},
    onReplaceFailed: () => {},
    onLost: () => {},
  };
}

function askLastGood(): Promise<string | null> {
  return new Promise((resolve) => {
    const done = (config: string | null) => {
      clearTimeout(timer);
      process.off("message", heard);
      resolve(config);
    };
    const heard = (message: FromSupervisor) => {
      if (message.kind === "last-good") done(message.config);
    };
    const timer = setTimeout(() => done(null), LAST_GOOD_TIMEOUT_MS);
    process.on("message", heard);
    const question: ToSupervisor = { kind: "last-good?" };
    process.send?.(question);
  });
}

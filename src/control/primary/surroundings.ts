// Owns the types of what a primary gets from the process that it runs in. Types only.
import type { LaunchOrders, ToSupervisor } from "../../plan/messages.ts";

/** The way to the outside, as far as a primary uses it. */
export interface PrimaryIo {
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The primary's end of the channel to its supervisor, or the lack of one. */
export interface SupervisorLink {
  readonly supervised: boolean;
  readonly orders: LaunchOrders;
  /** The process an operator signals: the supervisor, or this one when there is none. */
  readonly pid: number;
  send(message: ToSupervisor): void;
  /** @returns the configuration that was last in force, packed; null when there is none. */
  lastGood(): Promise<string | null>;
  /** @returns what the supervisor has read from pipes, packed. @throws OperatorError when it does not answer */
  piped(): Promise<Readonly<Record<string, string>>>;
  /** The supervisor was told to stop: once for each request, also for those before this call. */
  onStop(callback: () => void): void;
  onReplaceFailed(callback: (reason: string) => void): void;
  /** The supervisor is gone: nobody will restart us. */
  onLost(callback: () => void): void;
}

// Owns the channel between supervisor and primary: JSON messages, one a line, over a socket pair. Not Node's own channel between processes, which
// the new process would set up before anything else, some 8 ms before its first worker can start. Must never decide anything.
import { fstatSync } from "node:fs";
import type { Duplex } from "node:stream";
import { LAUNCH_ENV, type LaunchOrders } from "../../plan/messages.ts";

/** The primary's end; the supervisor passes it on beside the standard streams. */
export const CHANNEL_FD = 3;

/** @returns the orders left by a supervisor that started this process; null: there is none. */
export function launchOrders(): LaunchOrders | null {
  const text = process.env[LAUNCH_ENV];
  if (text === undefined) return null;
  try {
    return fstatSync(CHANNEL_FD).isSocket() ? (JSON.parse(text) as LaunchOrders) : null; // written by supervise.ts, our own program
  } catch {
    return null;
  }
}

export interface ChannelEvents<In> {
  heard(message: In): void;
  /** The other end is gone. Once, and the last thing that happens. */
  closed(): void;
}

/** Both ends are this program, so that what arrives is what `Out` of the other end is. */
export class Channel<In, Out> {
  readonly #stream: Duplex;
  readonly #events: ChannelEvents<In>;
  /** The begin of a message whose end has not come. */
  #begun: string[] = [];
  #open = true;

  constructor(stream: Duplex, events: ChannelEvents<In>) {
    this.#stream = stream;
    this.#events = events;
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => this.#take(text));
    stream.on("error", () => stream.destroy()); // the other end died with something unread: `close` follows
    stream.once("end", () => stream.destroy());
    stream.once("close", () => {
      this.#open = false;
      events.closed();
    });
  }

  /** Whether somebody may be listening. */
  get open(): boolean {
    return this.#open;
  }

  send(message: Out): void {
    if (this.#open) this.#stream.write(`${JSON.stringify(message)}\n`);
  }

  #take(text: string): void {
    const lines = text.split("\n");
    const rest = lines.pop() ?? "";
    for (const line of lines) {
      const whole = this.#begun.join("") + line;
      this.#begun = [];
      this.#events.heard(JSON.parse(whole) as In); // see the class
    }
    if (rest !== "") this.#begun.push(rest);
  }
}

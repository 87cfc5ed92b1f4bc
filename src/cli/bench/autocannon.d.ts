// The part of autocannon that is used here: it comes without types.
declare module "autocannon" {
  import type { EventEmitter } from "node:events";

  /** One connection. Emits `response` (status, bytes, time in ms). */
  interface Client extends EventEmitter {
    /** Sent in turn. */
    setRequests(requests: readonly { method: string; path: string; headers: Record<string, string>; body?: string }[]): void;
  }
  interface Options {
    url: string;
    connections: number;
    /** Seconds. */
    duration: number;
    maxOverallRequests?: number;
    /** Seconds. */
    timeout?: number;
    setupClient?(client: Client): void;
  }
  interface Result {
    readonly errors: number;
    readonly timeouts: number;
    /** Seconds. */
    readonly duration: number;
  }
  export default function autocannon(options: Options): PromiseLike<Result>;
}

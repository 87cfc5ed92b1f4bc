// Owns where the demo listens: loopback only. Constants and types; loaded before anything else.

export const HOST = "127.0.0.1";

/** 0: a free one. */
export interface Ports {
  readonly listener: number;
  readonly admin: number;
}

// Owns where the demo listens: loopback only. Constants and types; loaded before anything else.

export const HOST = "127.0.0.1";

/** 0: a free one. */
export interface Ports {
  readonly listener: number;
  readonly admin: number;
}

/** The built-in upstreams, by name. */
export const SERVICES = ["users-a", "users-b", "stable", "canary", "lab"] as const;
export type ServiceName = (typeof SERVICES)[number];

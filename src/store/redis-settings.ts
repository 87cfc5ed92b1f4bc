// Owns the shape of how Redis is reached, as the configuration gives it and the client takes it. Must never connect.

/** An address without scheme; IPv6 without brackets. */
export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

export type RedisTopology =
  | ({ readonly kind: "standalone" } & RedisNode)
  | { readonly kind: "unix"; readonly path: string }
  | {
      readonly kind: "sentinel";
      /** Of the master that the sentinels watch. */
      readonly name: string;
      readonly nodes: readonly RedisNode[];
      readonly username: string | null;
      readonly password: string | null;
    }
  | { readonly kind: "cluster"; readonly nodes: readonly RedisNode[] };

export interface RedisTls {
  /** PEM text; null for the system's roots. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly serverName: string | null;
  readonly verify: boolean;
}

export interface RedisSettings {
  readonly topology: RedisTopology;
  readonly tls: RedisTls | null;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** In front of every key. */
  readonly prefix: string;
  /** An answer that takes longer is given up, and the connection with it. */
  readonly commandTimeoutMs: number;
}

/** What an operator recognises it by: no user names, no passwords. */
export function describeRedis({ topology, tls }: RedisSettings): string {
  const at = ({ host, port }: RedisNode): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const suffix = tls === null ? "" : " (TLS)";
  switch (topology.kind) {
    case "standalone":
      return at(topology) + suffix;
    case "unix":
      return `unix:${topology.path}`;
    case "sentinel":
      return `${topology.name} by sentinels ${topology.nodes.map(at).join(", ")}${suffix}`;
    case "cluster":
      return `cluster ${topology.nodes.map(at).join(", ")}${suffix}`;
  }
}

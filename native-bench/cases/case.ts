// Owns the words of what is measured: cases, their load, their contenders, and the metrics a sample may have. Types and one table.
import type { Setup } from "../peers/peer.ts";

/** How one server is loaded. */
export type Load = WrkLoad | Http2Load | IdleLoad | OpenLoad | WebSocketLoad;

/** As many requests as it answers, closed loop. */
export interface WrkLoad {
  readonly kind: "wrk";
  readonly connections: number;
  readonly path: string;
  /** Bytes of the answer's body, checked before measuring. */
  readonly answerBytes: number;
  readonly method?: string;
  readonly bodyBytes?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Name of a further field, whose value is another in each request. */
  readonly variedField?: string;
  /** Requests `/v1/svc-N/users/8412` for each of the setup's routes. */
  readonly spread?: boolean;
  readonly threads?: number;
}

/** As many requests as it answers, closed loop, by HTTP/2 in cleartext. */
export interface Http2Load {
  readonly kind: "http2";
  readonly connections: number;
  /** Requests at once on each. */
  readonly streams: number;
  readonly path: string;
  /** Bytes of the answer's body, checked before measuring. */
  readonly answerBytes: number;
}

/** Connections that made one request each and then stay silent. */
export interface IdleLoad {
  readonly kind: "idle";
  readonly connections: number;
}

/** Requests at a fixed rate, whatever the answers do; half of what the server could. */
export interface OpenLoad {
  readonly kind: "open";
  readonly connections: number;
  readonly path: string;
  /** Of the saturation found just before. */
  readonly fraction: number;
}

/** Messages that the origin sends back, on each connection the next when the one before has come; as many as that makes. */
export interface WebSocketLoad {
  readonly kind: "webSocket";
  readonly connections: number;
  readonly messageBytes: number;
}

/** A number a sample can have. */
export type Metric =
  | "micros"
  | "perMessage"
  | "messages"
  | "rate"
  | "p50"
  | "p99"
  | "p999"
  | "errors"
  | "rss"
  | "perConnection"
  | "connections"
  | "offered"
  | "addedP50"
  | "addedP99"
  | "late";

export interface MetricWords {
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  /** What it is, for the report's legend. */
  readonly meaning: string;
}

export const METRICS: Readonly<Record<Metric, MetricWords>> = {
  micros: {
    title: "CPU a request",
    unit: "µs",
    digits: 1,
    meaning: "user and system time of all of the server's processes, divided by the requests answered",
  },
  perMessage: {
    title: "CPU a message",
    unit: "µs",
    digits: 1,
    meaning: "user and system time of all of the server's processes, divided by the messages that came back: each passes twice",
  },
  messages: {
    title: "messages",
    unit: "/s",
    digits: 0,
    meaning: "messages that came back a second; it says as little as requests a second",
  },
  rate: {
    title: "requests",
    unit: "/s",
    digits: 0,
    meaning: "answers a second; on a machine that also runs the load and the origin it says little",
  },
  p50: { title: "p50", unit: "ms", digits: 2, meaning: "half of the answers came within this time" },
  p99: { title: "p99", unit: "ms", digits: 2, meaning: "99 % of the answers came within this time" },
  p999: { title: "p99.9", unit: "ms", digits: 2, meaning: "99.9 % of the answers came within this time" },
  errors: { title: "errors", unit: "", digits: 0, meaning: "statuses above 399, and failures to connect, read, write or answer in time" },
  rss: {
    title: "RSS",
    unit: "MiB",
    digits: 1,
    meaning: "resident memory of all of the server's processes; pages they share count in each",
  },
  perConnection: { title: "a connection", unit: "KiB", digits: 2, meaning: "growth of resident memory, divided by the connections" },
  connections: { title: "connections", unit: "", digits: 0, meaning: "idle connections that were held" },
  offered: { title: "offered", unit: "/s", digits: 0, meaning: "requests sent a second, by the clock" },
  addedP50: { title: "added p50", unit: "ms", digits: 3, meaning: "p50 less that of the origin asked directly, at the same rate" },
  addedP99: { title: "added p99", unit: "ms", digits: 3, meaning: "p99 less that of the origin asked directly, at the same rate" },
  late: { title: "load late p99", unit: "ms", digits: 3, meaning: "how late the load generator itself was: what it cannot resolve" },
};

/** One server in one setup, in a case. */
export interface Contender {
  /** Unique in its case. */
  readonly label: string;
  readonly peer: string;
  readonly setup: Setup;
  /** Label of the contender it is compared with. */
  readonly baseline: string;
}

/** What the issue that owns a case promised. */
export interface Aim {
  readonly metric: Metric;
  readonly label: string;
  readonly against: string;
  readonly ratioMax: number;
  readonly text: string;
}

export interface Case {
  /** As `--case` names it. */
  readonly name: string;
  readonly title: string;
  /** What is asked of the servers, in a sentence or two. */
  readonly about: string;
  readonly load: Load;
  readonly contenders: readonly Contender[];
  /** Shown as bars. */
  readonly primary: Metric;
  readonly columns: readonly Metric[];
  readonly aims: readonly Aim[];
  /** Unless `--rounds` says otherwise. */
  readonly rounds: number;
}

/** What one server did in one round. */
export interface Sample {
  readonly label: string;
  readonly round: number;
  readonly values: Partial<Readonly<Record<Metric, number>>>;
}

// Owns the arguments of `sluice bench`, and the bounds that a load has unless its operator raises them.
import type { OperatorError } from "../../base/errors.ts";
import { isFieldValue, isToken } from "../../base/http.ts";
import { CONFIG_OPTIONS, readArguments, wrongUsage } from "../arguments.ts";

export interface BenchArguments {
  readonly files: readonly string[];
  /** As given: `[METHOD ]/path?query` or a whole URL, whose host becomes the Host header. */
  readonly urls: readonly string[];
  /** A gateway that runs already; null: one is started. */
  readonly target: URL | null;
  /** The process to charge for CPU time when the target runs already. */
  readonly pid: number | null;
  /** Requests a second, open loop; null: as many as are answered, closed loop. */
  readonly rate: number | null;
  readonly connections: number;
  readonly durationSeconds: number;
  /** Flat, added to every request. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly allowRemote: boolean;
  readonly json: boolean;
}

export const CONNECTIONS_MAX = 2000;
export const RATE_MAX = 100_000;
export const DURATION_SECONDS_MAX = 300;
const CONNECTIONS = 64;
const DURATION_SECONDS = 10;
const HEADERS_MAX = 50;

const TEXT = { type: "string" } as const;
const LIST = { type: "string", multiple: true } as const;
const FLAG = { type: "boolean" } as const;
export const OPTIONS = {
  ...CONFIG_OPTIONS,
  url: LIST,
  header: LIST,
  target: TEXT,
  pid: TEXT,
  rate: TEXT,
  connections: TEXT,
  duration: TEXT,
  body: TEXT,
  "allow-remote": FLAG,
  json: FLAG,
} as const;

/** For the help. */
export const BENCH_BOUNDS = {
  rate: RATE_MAX,
  connections: CONNECTIONS_MAX,
  connectionsDefault: CONNECTIONS,
  durationSeconds: DURATION_SECONDS_MAX,
  durationSecondsDefault: DURATION_SECONDS,
} as const;

/** @throws OperatorError (exit status 2) that says what is wrong. */
export function parseBenchArguments(argv: readonly string[]): BenchArguments {
  const { values, files } = readArguments(argv, { command: "bench", options: OPTIONS, positional: "file" });
  const target = values.target === undefined ? null : targetOf(values.target);
  if (values.pid !== undefined && target === null) throw usage("--pid goes with --target: a gateway that bench starts is measured anyway");
  return {
    files,
    urls: values.url ?? [],
    target,
    pid: values.pid === undefined ? null : whole("--pid", values.pid, 2 ** 31),
    rate: values.rate === undefined ? null : whole("--rate", values.rate, RATE_MAX),
    connections: values.connections === undefined ? CONNECTIONS : whole("--connections", values.connections, CONNECTIONS_MAX),
    durationSeconds:
      values.duration === undefined ? DURATION_SECONDS : whole("--duration", values.duration.replace(/s$/, ""), DURATION_SECONDS_MAX),
    headers: (values.header ?? []).slice(0, HEADERS_MAX).flatMap(headerOf),
    body: values.body ?? "",
    allowRemote: values["allow-remote"] === true,
    json: values.json === true,
  };
}

const usage = (problem: string): OperatorError => wrongUsage("bench", problem);

function whole(option: string, text: string, max: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > max) throw usage(`${option}: expected a whole number from 1 to ${max}, not "${text}"`);
  return value;
}

function targetOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !["http:", "https:"].includes(url.protocol))
    throw usage(`--target: expected http://host:port or https://host:port, not "${text}"`);
  return url;
}

function headerOf(text: string): readonly [string, string] {
  const colon = text.indexOf(":");
  const [name, value] = [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()];
  if (colon < 1 || !isToken(name) || !isFieldValue(value)) throw usage(`--header: expected "name: value", not "${text}"`);
  if (["content-length", "transfer-encoding", "connection"].includes(name)) throw usage(`--header: ${name} is the generator's own`);
  return [name, value];
}

// Owns the gateway's own log (not the access log): what an operator should know, on standard error.
// JSON lines `{time, level, message, ...fields}`; on a terminal a readable line instead. Must never throw or block.

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Extra facts; an Error becomes its stack. Keys `time`, `level` and `message` are taken. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Where lines go: process.stderr, or a test's own. */
export interface LogOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly writableLength?: number;
}

export interface LogOptions {
  readonly output?: LogOutput;
  /** Least level that is written; `info` by default. */
  readonly level?: LogLevel;
  readonly now?: () => Date;
}

/** Bytes that may wait for a slow reader of standard error before lines are dropped. */
const LOG_BUFFER_BYTES_MAX = 1024 * 1024;

export function createLog(options: LogOptions = {}): Log {
  const { level = "info", now = () => new Date() } = options;
  const least = LOG_LEVELS.indexOf(level);
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}): void => {
      const output: LogOutput = options.output ?? process.stderr; // made by Node when first asked for, which takes ms
      const format = output.isTTY === true ? formatForPeople : formatJson;
      if (LOG_LEVELS.indexOf(own) < least || (output.writableLength ?? 0) > LOG_BUFFER_BYTES_MAX) return;
      output.write(format(now(), own, message, fields));
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function formatJson(time: Date, level: LogLevel, message: string, fields: LogFields): string {
  const own = { time: time.toISOString(), level, message };
  return `${stringify({ ...own, ...fields, ...own }) ?? JSON.stringify({ ...own, fields: NOT_REPRESENTABLE })}\n`;
}

const COLOURS: Readonly<Record<LogLevel, string>> = { debug: "\x1b[90m", info: "\x1b[36m", warn: "\x1b[33m", error: "\x1b[31m" };

function formatForPeople(time: Date, level: LogLevel, message: string, fields: LogFields): string {
  const clock = time.toISOString().slice(11, 23);
  const facts = Object.entries(fields).map(([key, value]) => ` \x1b[90m${key}=\x1b[0m${printable(value)}`);
  return `\x1b[90m${clock}\x1b[0m ${COLOURS[level]}${level.padEnd(5)}\x1b[0m ${escapeControls(message)}${facts.join("")}\n`;
}

function printable(value: unknown): string {
  if (value instanceof Error) return `\n${escapeControls(value.stack ?? value.message)}`;
  return escapeControls(typeof value === "string" ? value : (stringify(value) ?? NOT_REPRESENTABLE));
}

/** Terminals obey control characters: a header value must not. */
function escapeControls(text: string): string {
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

const NOT_REPRESENTABLE = "(not representable)";

/** @returns null for what JSON cannot hold (cycles, undefined). */
function stringify(value: unknown): string | null {
  try {
    return JSON.stringify(value, replacer) ?? null;
  } catch {
    return null;
  }
}

function replacer(_key: string, value: unknown): unknown {
  if (value instanceof Error) return value.stack ?? value.message;
  if (typeof value === "bigint") return value.toString();
  return value instanceof Map ? Object.fromEntries(value) : value;
}

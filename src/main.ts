#!/usr/bin/env node
// argv -> command; nothing else. Every command is imported only when it is asked for: start-up time counts.
import type { Command, CommandIo } from "./control/commands/command.ts";

interface Entry {
  readonly usage: string;
  readonly summary: string;
  /** Explained one by one, for a command that has many. */
  readonly options?: () => Promise<string>;
  load(): Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  start: {
    usage: "start [-c FILE]... [--takeover] [--no-supervisor]",
    summary: "run the gateway; SIGHUP or a changed file reloads, SIGTERM drains",
    load: async () => (await import("./control/commands/start.ts")).startCommand,
  },
  validate: {
    usage: "validate -c FILE...",
    summary: "check a configuration: every error at once, with file:line:column",
    load: async () => (await import("./control/commands/validate.ts")).validateCommand,
  },
  routes: {
    usage: "routes -c FILE...",
    summary: "print the compiled route table, in match order",
    load: async () => (await import("./control/commands/routes.ts")).routesCommand,
  },
  key: {
    usage: "key create/hash [--consumer ID [--redis PREFIX]] [--pepper file:PATH]",
    summary: "make an API key and its hash, or hash one from standard input",
    load: async () => (await import("./control/commands/key.ts")).keyCommand,
  },
  password: {
    usage: "password hash [--scrypt]",
    summary: "hash a password from standard input, for `basic`",
    load: async () => (await import("./control/commands/password.ts")).passwordCommand,
  },
  bench: {
    usage: "bench -c FILE... [--url PATH]... [--rate R] [--connections N] [--duration S] [--json]",
    summary: "drive the routes of a configuration and measure latency by route, and CPU time",
    options: async () => (await import("./control/bench/bench-arguments.ts")).BENCH_OPTIONS,
    load: async () => (await import("./control/commands/bench.ts")).benchCommand,
  },
  demo: {
    usage: "demo [--port N] [--admin-port N]",
    summary: "a gateway with built-in upstreams, and the curl lines to try",
    load: async () => (await import("./control/demo/demo.ts")).demoCommand,
  },
};

const VERSION_FLAGS = new Set(["--version", "-V", "version"]);
const HELP_FLAGS = new Set(["--help", "-h", "help"]);

async function main(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv;
  if (name === undefined || HELP_FLAGS.has(name)) {
    (name === undefined ? io.stderr : io.stdout)(helpText());
    return name === undefined ? 2 : 0;
  }
  if (VERSION_FLAGS.has(name)) {
    const { VERSION } = await import("./control/commands/version.ts");
    io.stdout(`sluice ${VERSION}\n`);
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const { nearest } = await import("./control/config/problem.ts");
    const guess = nearest(name, Object.keys(COMMANDS));
    io.stderr(`sluice: unknown command "${name}"${guess === null ? "" : `; did you mean "${guess}"?`}\n\n${helpText()}`);
    return 2;
  }
  if (rest.some((arg) => arg === "--help" || arg === "-h")) {
    const options = entry.options === undefined ? "" : `\n${await entry.options()}\n`;
    io.stdout(`usage: sluice ${entry.usage}\n\n${entry.summary}\n${options}`);
    return 0;
  }
  return (await entry.load())(rest, io);
}

function helpText(): string {
  const width = Math.max(...Object.values(COMMANDS).map((entry) => entry.usage.length));
  const lines = Object.values(COMMANDS).map((entry) => `  ${entry.usage.padEnd(width)}  ${entry.summary}`);
  return `usage: sluice COMMAND ...\n\n${lines.join("\n")}\n\n  --help, --version\n`;
}

const io: CommandIo = {
  stdout: (text) => process.stdout.write(text),
  stderr: (text) => process.stderr.write(text),
  stdin: () => process.stdin,
  env: process.env,
};

main(process.argv.slice(2), io).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    // An OperatorError is the operator's to mend and needs no stack; by name, so that errors.ts is not loaded for every command.
    const operator = error instanceof Error && error.name === "OperatorError";
    io.stderr(`sluice: ${operator ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = operator && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
  },
);

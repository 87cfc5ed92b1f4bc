#!/usr/bin/env node
// argv -> command; nothing else. Every command is imported only when it is asked for, help texts too: start-up time counts.
import type { Command, CommandIo } from "./cli/command.ts";

const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import("./cli/commands/start.ts")).startCommand,
  validate: async () => (await import("./cli/commands/validate.ts")).validateCommand,
  routes: async () => (await import("./cli/commands/routes.ts")).routesCommand,
  status: async () => (await import("./cli/commands/remote.ts")).statusCommand,
  reload: async () => (await import("./cli/commands/remote.ts")).reloadCommand,
  drain: async () => (await import("./cli/commands/remote.ts")).drainCommand,
  cache: async () => (await import("./cli/commands/cache.ts")).cacheCommand,
  key: async () => (await import("./cli/commands/key.ts")).keyCommand,
  password: async () => (await import("./cli/commands/password.ts")).passwordCommand,
  policy: async () => (await import("./cli/commands/policy.ts")).policyCommand,
  bench: async () => (await import("./cli/commands/bench.ts")).benchCommand,
  demo: async () => (await import("./cli/demo/demo.ts")).demoCommand,
  completion: async () => (await import("./cli/commands/completion.ts")).completionCommand,
};

const VERSION_FLAGS = new Set(["--version", "-V", "version"]);
const HELP_FLAGS = new Set(["--help", "-h", "help"]);

async function main(argv: readonly string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv;
  const load = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) return await withoutCommand(name, rest, io);
  const options = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (!options.includes("--help") && !options.includes("-h")) return await (await load())(rest, io);
  const { commandHelp } = await import("./cli/commands/help.ts");
  io.stdout(commandHelp(name ?? ""));
  return 0;
}

async function withoutCommand(name: string | undefined, rest: readonly string[], io: CommandIo): Promise<number> {
  if (name !== undefined && VERSION_FLAGS.has(name)) {
    const { VERSION } = await import("./base/version.ts");
    io.stdout(`sluice ${VERSION}\n`);
    return 0;
  }
  const { commandHelp, overview } = await import("./cli/commands/help.ts");
  if (name !== undefined && HELP_FLAGS.has(name)) {
    io.stdout(rest[0] !== undefined && Object.hasOwn(COMMANDS, rest[0]) ? commandHelp(rest[0]) : overview());
    return 0;
  }
  if (name === undefined) io.stderr(overview());
  else {
    const { nearest } = await import("./control/config/source/problem.ts");
    const guess = nearest(name, Object.keys(COMMANDS));
    io.stderr(`sluice: unknown command "${name}"${guess === null ? "" : `; did you mean "${guess}"?`}\n\n${overview()}`);
  }
  return 2;
}

/** Streams that have a listener for their errors; Node takes ms to make one, so that it is made by the first write. */
const guarded = new Set<NodeJS.WriteStream>();

/** A reader that goes away (`| head`) ends nothing and is no error; output that cannot be kept is one. */
function write(stream: NodeJS.WriteStream, text: string): void {
  if (!guarded.has(stream)) {
    guarded.add(stream);
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE" || error.code === "ECONNRESET") return;
      if (stream === process.stdout) process.stderr.write(`sluice: cannot write the output: ${error.message}\n`);
      process.exitCode = 1;
    });
  }
  stream.write(text);
}

const io: CommandIo = {
  stdout: (text) => write(process.stdout, text),
  stderr: (text) => write(process.stderr, text),
  stdin: () => process.stdin,
  env: process.env,
};

main(process.argv.slice(2), io).then(
  (code) => {
    process.exitCode ||= code;
  },
  (error: unknown) => {
    // An OperatorError is the operator's to mend and needs no stack; by name, so that errors.ts is not loaded for every command.
    const operator = error instanceof Error && error.name === "OperatorError";
    io.stderr(`sluice: ${operator ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = operator && "exitCode" in error && typeof error.exitCode === "number" ? error.exitCode : 1;
  },
);

// Owns reading the arguments of a command, of all commands alike: options, words, and configuration files in the order in which they are written.
// Must stay light: a start begins with it. What options mean is explained in help.ts, which is loaded when somebody asks for it.
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { OperatorError } from "../base/errors.ts";

/** Used when none is named. */
export const DEFAULT_CONFIG = "config/sluice.yaml";

/** Of every command that reads a configuration; the file may also stand alone. */
export const CONFIG_OPTIONS = { config: { type: "string", short: "c", multiple: true } } as const;

export interface ArgumentSpec<T extends ParseArgsOptionsConfig> {
  /** As in `sluice COMMAND`. */
  readonly command: string;
  readonly options: T;
  /** What an argument that is no option is: a configuration file, or the one word that says what to do. Without either there is none. */
  readonly positional?: "file" | Words;
}

export interface Words {
  readonly known: readonly string[];
  /** Said of any other, which may be a secret and is not shown, and of none. */
  readonly otherwise: string;
  /** Further arguments may follow the word. */
  readonly takesOperands?: boolean;
}

type Values<T extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: T; strict: true; allowPositionals: true }>
>["values"];

export interface Arguments<T extends ParseArgsOptionsConfig> {
  readonly values: Values<T>;
  /** Configuration files, in order; {@link DEFAULT_CONFIG} when none was named. */
  readonly files: readonly string[];
  /** The word; '' for a command that takes none. */
  readonly word: string;
  /** What follows it. */
  readonly operands: readonly string[];
}

/** @throws OperatorError (exit status 2) that says what is wrong with them, and how to have them explained */
export function readArguments<T extends ParseArgsOptionsConfig>(argv: readonly string[], spec: ArgumentSpec<T>): Arguments<T> {
  const { values, tokens } = parse(argv, spec);
  const { command, positional } = spec;
  const files: string[] = [];
  const others: string[] = [];
  for (const token of tokens) {
    if (token.kind === "option" && token.name === "config") files.push(token.value ?? "");
    else if (token.kind === "positional") (positional === "file" ? files : others).push(token.value);
  }
  const [first = ""] = others;
  if (typeof positional === "object") {
    const isAlone = others.length === 1 || positional.takesOperands === true;
    if (!isAlone || !positional.known.includes(first)) throw wrongUsage(command, positional.otherwise);
  } else if (others.length > 0) throw wrongUsage(command, `unexpected argument "${first}"`);
  if (files.includes("")) throw wrongUsage(command, "the name of a configuration file is empty");
  return { values, files: files.length === 0 ? [DEFAULT_CONFIG] : files, word: first, operands: others.slice(1) };
}

/** For what only the command itself can find wrong with its arguments. */
export const wrongUsage = (command: string, problem: string): OperatorError =>
  new OperatorError(`${problem}\n\`sluice ${command} --help\` explains the arguments`, 2);

function parse<T extends ParseArgsOptionsConfig>(argv: readonly string[], { command, options }: ArgumentSpec<T>) {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: true, tokens: true });
  } catch (error) {
    throw wrongUsage(command, problemOf(error instanceof Error ? error.message : String(error)));
  }
}

/** The first of Node's sentences; what it calls ambiguous is an option in the place of a value. */
function problemOf(message: string): string {
  const valueless = /^Option '([^'<]+?)(?: <value>)?' argument (?:missing|is ambiguous)/.exec(message);
  if (valueless !== null) return `option '${valueless[1]}' needs a value`;
  const [first = ""] = message.split(/\. |\n/);
  return first.charAt(0).toLowerCase() + first.slice(1);
}

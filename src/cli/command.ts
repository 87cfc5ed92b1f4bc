// Owns what every command gets from main.ts: its arguments and its way to the outside. Must import nothing: start-up time counts.

/** A command's input and output; tests hand in their own. */
export interface CommandIo {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Standard input; opened when it is called for. */
  readonly stdin: () => AsyncIterable<Uint8Array>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** @returns the process exit status: 0 done, 1 wrong input or failure, 2 wrong usage. */
export type Command = (argv: readonly string[], io: CommandIo) => Promise<number>;

// Owns what the launcher (src/sluice.sh) leaves to the supervisor that it becomes, and watching the primary it started: a child of ours that Node did not
// start and so does not wait for. It stays a zombie until we end, and nobody else can get its pid. Linux only.
import { constants } from "node:os";
import { processStatus } from "../instance/process-status.ts";

/** Set by the launcher: the pid of a primary that serves; or how one ended before it served, as a shell has it; and which signals came meanwhile. */
const LAUNCHED_ENV = "SLUICE_LAUNCHED";
const ENDED_ENV = "SLUICE_ENDED";
const LATE_ENV = "SLUICE_LATE";
/** A shell's exit status for a process that a signal ended is this plus the signal's number. */
const SIGNALLED = 128;
/** Between two looks whether it is gone, while there is a reason to look, ms. */
const LOOK_MS = 25;

/** What a supervisor needs of a process, whoever started it. */
export interface PrimaryProcess {
  kill(signal: NodeJS.Signals): boolean;
}

/** Signals that mean the running configuration or its files, and would end a process that does not know them yet. */
export const LATE_SIGNALS = ["SIGHUP", "SIGUSR2"] as const;
export type LateSignal = (typeof LATE_SIGNALS)[number];

export interface Launch {
  /** The primary that serves; null: none does. */
  readonly pid: number | null;
  /** How one ended that never served. */
  readonly ended: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | null;
  /** What came while nobody could hear it. */
  readonly late: readonly LateSignal[];
}

/** @returns what the launcher left; once, so that no later process takes it for its own. */
export function takeLaunch(env: Record<string, string | undefined>): Launch {
  const { [LAUNCHED_ENV]: launched, [ENDED_ENV]: ended, [LATE_ENV]: late = "" } = env;
  for (const name of [LAUNCHED_ENV, ENDED_ENV, LATE_ENV]) delete env[name];
  const pid = Number(launched ?? Number.NaN);
  const status = Number(ended ?? Number.NaN);
  return {
    pid: Number.isInteger(pid) && processStatus(pid)?.parent === process.pid ? pid : null,
    ended: Number.isInteger(status) && status > 0 ? endOf(status) : null,
    late: LATE_SIGNALS.filter((signal) => late.split(" ").includes(signal)),
  };
}

function endOf(status: number): NonNullable<Launch["ended"]> {
  const signal = signalNames.get(status - SIGNALLED) ?? null;
  return { code: signal === null ? status : null, signal };
}

export class LaunchedPrimary implements PrimaryProcess {
  readonly #pid: number;
  readonly #exited: (code: number | null, signal: NodeJS.Signals | null) => void;
  #timer: NodeJS.Timeout | null = null;
  #ended = false;

  /** @param exited once, like the event of a child process */
  constructor(pid: number, exited: (code: number | null, signal: NodeJS.Signals | null) => void) {
    this.#pid = pid;
    this.#exited = exited;
    this.watch();
  }

  /** There is no channel (yet, or any more) by which its end would be known: look for it. */
  watch(): void {
    if (!this.#ended) this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** The channel stands, and will close when it ends. */
  rest(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  kill(signal: NodeJS.Signals): boolean {
    if (this.#ended) return false;
    return process.kill(this.#pid, signal); // a child of ours, alive or not
  }

  #look(): void {
    const status = processStatus(this.#pid);
    if (status?.ended === false) return;
    this.rest();
    this.#ended = true;
    const number = (status?.wait ?? 0) & 0x7f;
    if (number === 0) this.#exited(status === null ? null : status.wait >> 8, null);
    else this.#exited(null, signalNames.get(number) ?? null);
  }
}

/** The first name of each: SIGABRT, not SIGIOT. Linux has them in this order. */
const signalNames = new Map(
  Object.entries(constants.signals)
    .map(([name, number]) => [number, name as NodeJS.Signals] as const) // its keys are the names
    .reverse(),
);

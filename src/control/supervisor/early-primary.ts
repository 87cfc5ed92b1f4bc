// Owns watching a primary that the launcher (src/sluice.sh) started before this process became its supervisor: a child of ours that Node did not
// start and so does not wait for. It stays a zombie until we end, and nobody else can get its pid. Linux only.
import { constants } from "node:os";
import { processStatus } from "../instance/process-status.ts";

/** Set by the launcher: the pid. */
const EARLY_ENV = "SLUICE_EARLY";
/** Between two looks whether it is gone, while there is a reason to look, ms. */
const LOOK_MS = 25;

/** What a supervisor needs of a process, whoever started it. */
export interface PrimaryProcess {
  kill(signal: NodeJS.Signals): boolean;
}

/** @returns the primary's pid if the launcher left one; once, so that no later process takes it for its own. */
export function takeEarlyPrimary(env: Record<string, string | undefined>): number | null {
  const pid = Number(env[EARLY_ENV] ?? Number.NaN);
  delete env[EARLY_ENV];
  return Number.isInteger(pid) && processStatus(pid)?.parent === process.pid ? pid : null;
}

export class EarlyPrimary implements PrimaryProcess {
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

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals])); // its keys are the names

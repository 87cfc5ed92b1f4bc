// Owns taking turns: of the processes that share a directory, one at a time. Lamport's bakery (1974) with files: each process writes its own only, so that
// nothing is left to be cleared up by guesswork when one dies; a dead one is not in line. Must never wait for processes of another system.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, processStatus } from "./process-status.ts";

/** Between two looks at the others, ms. */
const LOOK_MS = 10;
const TICKET_NAME = /^(\d+)-(\d+)\.turn$/;

interface Ticket {
  readonly pid: number;
  /** 0: it is still looking for the number it takes. */
  readonly number: number;
  readonly about: readonly string[];
}

export interface TurnOptions {
  /** There, and writable by nobody else. */
  readonly directory: string;
  readonly waitMsMax: number;
  /** What the turn is about. */
  readonly about?: readonly string[];
  /** Whether turns about these cannot be at once; symmetric. By default no two turns can. */
  conflicts?(own: readonly string[], other: readonly string[]): boolean;
}

/** @returns when it is this process's turn; its disposal ends the turn, and so does the process's death. @throws Error when it takes too long, naming who holds it up */
export async function takeTurn({ directory, waitMsMax, about = [], conflicts = () => true }: TurnOptions): Promise<Disposable> {
  const name = ticketName(process.pid);
  const write = (number: number): void => {
    writeFileSync(join(directory, `${name}.new`), JSON.stringify({ number, about }), { mode: 0o600 });
    renameSync(join(directory, `${name}.new`), join(directory, name));
  };
  const leave = (): void => rmSync(join(directory, name), { force: true });
  const others = (): readonly Ticket[] => ticketsIn(directory).filter(({ pid }) => pid !== process.pid);
  // Whoever looks at us now waits until we have a number; whoever comes later gets a higher one.
  write(0);
  const number = 1 + Math.max(0, ...others().map((other) => other.number));
  write(number);
  const endMs = performance.now() + waitMsMax;
  for (;;) {
    const before = others().find(
      (other) =>
        conflicts(about, other.about) &&
        (other.number === 0 || other.number < number || (other.number === number && other.pid < process.pid)),
    );
    if (before === undefined) return { [Symbol.dispose]: leave };
    if (performance.now() >= endMs) {
      leave();
      throw new Error(`process ${before.pid} has been at it for ${Math.round(waitMsMax / 1000)} s`);
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Of this life of the pid: another one has another. */
const ticketName = (pid: number): string => `${pid}-${processStatus(pid)?.createdMs ?? 0}.turn`;

/** Of the living; those of the dead are removed. */
function ticketsIn(directory: string): Ticket[] {
  return readdirSync(directory).flatMap((name) => {
    const [, pid = ""] = TICKET_NAME.exec(name) ?? [];
    if (pid === "") return [];
    if (isAlive(Number(pid)) && ticketName(Number(pid)) === name) return readTicket(directory, name, Number(pid));
    rmSync(join(directory, name), { force: true });
    return [];
  });
}

function readTicket(directory: string, name: string, pid: number): Ticket[] {
  try {
    const { number, about } = JSON.parse(readFileSync(join(directory, name), "utf8")) as Ticket; // written above, whole, by nobody else
    return [{ pid, number, about }];
  } catch {
    return []; // it has left
  }
}

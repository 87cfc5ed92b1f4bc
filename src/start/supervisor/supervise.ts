// Owns the supervisor process: starts the primary, hands signals on, starts it again when it dies. It must stay small, hold no
// configuration of its own and import nothing heavy: what it does not do cannot kill it.
import { type ChildProcess, spawn } from "node:child_process";
import { Duplex } from "node:stream";
import { heapFlags } from "../../base/heap.ts";
import { RestartBackoff } from "../../base/restart-backoff.ts";
import { StopSignals } from "../../base/stop-signals.ts";
import type { Log } from "../../observe/log.ts";
import { type FromSupervisor, LAUNCH_ENV, type LaunchOrders, type ToSupervisor } from "../../plan/messages.ts";
import { CHANNEL_FD, Channel } from "./channel.ts";
import { filterNativeOutput } from "./native-output.ts";

/** A replacement that is not ready after this long (ms) is given up. */
const REPLACEMENT_TIMEOUT_MS = 60_000;
/** A primary that was told to stop at once and is there after this long (ms) is stuck, and killed. */
const CUT_TIMEOUT_MS = 2000;
/** So is one that was told to drain, this long (ms) after its time for that. */
const DRAIN_GRACE_MS = 15_000;
/** Time (ms) for draining of one that has not said its own. */
const DRAIN_TIMEOUT_DEFAULT_MS = 30_000;
/** Longest wait (ms) for what a primary that has ended has written. */
const LAST_WORDS_MS = 1000;
/** Signals that mean the running configuration or its files, and would end a process that does not know them yet. */
const LATE_SIGNALS = ["SIGHUP", "SIGUSR2"] as const;
type LateSignal = (typeof LATE_SIGNALS)[number];

export interface SuperviseOptions {
  /** Program and arguments after the node binary: the same entry that runs now. */
  readonly args: readonly string[];
  readonly takeover: boolean;
  readonly files: readonly string[];
  /** Those that came through a pipe, packed: kept for each primary to come, in memory only. */
  readonly piped: Readonly<Record<string, string>>;
  readonly log: Log;
  /** Called once, when the first primary is ready. */
  readonly onReady: (urls: readonly string[], version: number) => void;
}

interface Primary {
  readonly process: ChildProcess;
  /** null when it could not be started. */
  readonly channel: Channel<ToSupervisor, FromSupervisor> | null;
  readonly bornMs: number;
  ready: boolean;
  /** It has written why it ends. */
  leaving: boolean;
}

/**
 * Runs until the gateway is meant to be gone.
 * @returns the exit status: 0 after a clean drain, the primary's own (1 or 2) when it never became ready because of its input.
 */
export function supervise(options: SuperviseOptions): Promise<number> {
  return new Promise((resolve) => new Supervisor(options, resolve).begin());
}

class Supervisor {
  readonly #options: SuperviseOptions;
  readonly #finish: (code: number) => void;
  readonly #backoff = new RestartBackoff();
  readonly #replaceBackoff = new RestartBackoff();
  readonly #stopSignals = new StopSignals();
  #current: Primary | null = null;
  /** Started to take over from the current one; not ready yet. */
  #successor: Primary | null = null;
  /** Asked to drain by their successor: their end is expected. */
  readonly #retiring = new Set<Primary>();
  #restartTimer: NodeJS.Timeout | null = null;
  #successorTimer: NodeJS.Timeout | null = null;
  #replacementTimer: NodeJS.Timeout | null = null;
  /** performance.now() ms; whoever is there then is killed. */
  #killAtMs = Number.POSITIVE_INFINITY;
  /** Of the plan in force. */
  #drainTimeoutMs = DRAIN_TIMEOUT_DEFAULT_MS;
  #stopping = false;
  #everReady = false;
  /** What came before there was a primary to hear it. */
  readonly #lateSignals = new Set<LateSignal>();
  #ports: Readonly<Record<string, number>> = {};
  #lastGood: string | null = null;

  constructor(options: SuperviseOptions, finish: (code: number) => void) {
    this.#options = options;
    this.#finish = finish;
  }

  begin(): void {
    // Whatever goes wrong in here must not take the gateway down with it.
    process.on("uncaughtException", (error) => this.#options.log.error("uncaught error in the supervisor", { error }));
    process.on("SIGTERM", () => this.#stop());
    process.on("SIGINT", () => this.#stop());
    for (const signal of LATE_SIGNALS) process.on(signal, () => this.#passOn(signal));
    this.#current = this.#spawn({ takeover: this.#options.takeover, restart: false, ports: {} });
  }

  #passOn(signal: LateSignal): void {
    if (this.#current?.ready === true) this.#current.process.kill(signal);
    else this.#lateSignals.add(signal);
  }

  /** First: drain. A later one reaches the primary too, which then stops at once. Whoever does neither is killed. */
  #stop(): void {
    if (!this.#stopSignals.counts()) return;
    if (this.#restartTimer !== null) clearTimeout(this.#restartTimer);
    // A third request must not put off what the second has begun.
    this.#killLater(this.#stopping ? CUT_TIMEOUT_MS : this.#drainTimeoutMs + DRAIN_GRACE_MS);
    this.#stopping = true;
    for (const primary of this.#alive()) this.#tell(primary, { kind: "stop" });
    if (this.#alive().length > 0) return;
    this.#options.log.info("stopped while no primary ran");
    this.#finish(0);
  }

  #killLater(ms: number): void {
    const atMs = performance.now() + ms;
    if (atMs >= this.#killAtMs) return;
    this.#killAtMs = atMs;
    setTimeout(() => this.#killStuck(this.#alive()), ms);
  }

  #killStuck(primaries: readonly Primary[]): void {
    for (const { process } of primaries) {
      this.#options.log.error("the primary does not stop: killing it", { pid: process.pid });
      process.kill("SIGKILL");
    }
  }

  #alive(): Primary[] {
    return [this.#current, this.#successor, ...this.#retiring].filter((primary) => primary !== null);
  }

  #spawn(how: Pick<LaunchOrders, "takeover" | "restart" | "ports">): Primary {
    const { files, piped } = this.#options;
    const orders: LaunchOrders = { ...how, files, piped: Object.keys(piped).length > 0 };
    const child = spawn(process.execPath, [...process.execArgv, ...heapFlags(), ...this.#options.args], {
      stdio: ["inherit", "pipe", "pipe", "pipe", 1, 2], // standard-streams.ts says which is which
      env: { ...process.env, [LAUNCH_ENV]: JSON.stringify(orders) },
    });
    for (const printed of [child.stdout, child.stderr])
      if (printed !== null) filterNativeOutput(printed, (text) => process.stderr.write(text));
    const end = child.stdio[CHANNEL_FD];
    const heard = (message: ToSupervisor): void => this.#heard(primary, message);
    // A pipe beyond the standard streams goes both ways. That it closes is no news: the process's end is.
    const channel = end instanceof Duplex ? new Channel<ToSupervisor, FromSupervisor>(end, { heard, closed: () => {} }) : null;
    const primary: Primary = { process: child, channel, bornMs: performance.now(), ready: false, leaving: false };
    child.once("error", (error) => {
      this.#options.log.error("the primary could not be started", { error: error.message });
      if (child.pid === undefined) this.#gone(primary, null, null);
    });
    child.once("exit", (code, signal) => whenRead(child, () => this.#gone(primary, code, signal)));
    return primary;
  }

  #heard(primary: Primary, message: ToSupervisor): void {
    switch (message.kind) {
      case "ready":
        this.#becameReady(primary, message);
        break;
      case "good-config":
        this.#lastGood = message.config;
        this.#drainTimeoutMs = message.drainTimeoutMs;
        break;
      case "last-good?":
        this.#tell(primary, { kind: "last-good", config: this.#lastGood });
        break;
      case "piped?":
        this.#tell(primary, { kind: "piped", texts: this.#options.piped });
        break;
      case "replace-me":
        if (primary === this.#current) this.#replace(message.reason);
        break;
      case "leaving":
        primary.leaving = true;
        break;
    }
  }

  #becameReady(primary: Primary, message: Extract<ToSupervisor, { kind: "ready" }>): void {
    primary.ready = true;
    this.#ports = message.ports;
    if (primary === this.#successor) {
      if (this.#replacementTimer !== null) clearTimeout(this.#replacementTimer);
      if (this.#current !== null) this.#retire(this.#current);
      this.#current = primary;
      this.#successor = null;
    }
    if (this.#everReady) {
      this.#options.log.info("ready again", { urls: message.urls, pid: process.pid, version: message.version });
    } else {
      this.#everReady = true;
      this.#options.onReady(message.urls, message.version);
    }
    for (const signal of this.#lateSignals) this.#current?.process.kill(signal);
    this.#lateSignals.clear();
  }

  /** It was told to drain by its successor; when it is stuck it has not heard that. */
  #retire(primary: Primary): void {
    this.#retiring.add(primary);
    setTimeout(() => {
      if (this.#retiring.has(primary)) this.#killStuck([primary]);
    }, this.#drainTimeoutMs + DRAIN_GRACE_MS);
  }

  #replace(reason: string): void {
    if (this.#current === null || this.#successor !== null || this.#successorTimer !== null || this.#stopping) return;
    // One that asks to be replaced soon after it began is in a loop, like one that dies soon.
    const delayMs = this.#replaceBackoff.next(performance.now() - this.#current.bornMs);
    this.#options.log.error("replacing the primary by takeover", { reason, delayMs });
    this.#successorTimer = setTimeout(() => this.#startSuccessor(), delayMs);
  }

  #startSuccessor(): void {
    this.#successorTimer = null;
    if (this.#current === null || this.#stopping) return;
    const successor = this.#spawn({ takeover: true, restart: true, ports: this.#ports });
    this.#successor = successor;
    this.#replacementTimer = setTimeout(() => successor.process.kill("SIGKILL"), REPLACEMENT_TIMEOUT_MS);
  }

  #gone(primary: Primary, code: number | null, signal: NodeJS.Signals | null): void {
    const how = howOf(code, signal);
    if (primary === this.#successor) {
      if (this.#replacementTimer !== null) clearTimeout(this.#replacementTimer);
      this.#successor = null;
      if (this.#current !== null) this.#tell(this.#current, { kind: "replace-failed", reason: how });
      else if (!this.#stopping) this.#restart(lifeOf(primary), how);
    } else if (this.#retiring.delete(primary)) {
      this.#options.log.info("the replaced primary is gone", { how });
    } else {
      this.#current = null;
      if (!this.#stopping) this.#currentDied(primary, code, how);
    }
    // The signal of a terminal reaches a primary too, before it knows it: nothing was open.
    const interrupted = !primary.ready && (signal === "SIGINT" || signal === "SIGTERM");
    if (this.#stopping && interrupted) this.#options.log.info("stopped before it served", { how });
    if (this.#stopping && this.#alive().length === 0) this.#finish(code === 0 || interrupted ? 0 : 1);
  }

  /** Ends with it when it has ended on purpose: no gateway ends without a line that says why. */
  #currentDied(primary: Primary, code: number | null, how: string): void {
    if (code === 0 && primary.leaving) this.#finish(0);
    else if (!this.#everReady && (code === 0 || code === 1 || code === 2)) {
      if (!primary.leaving) this.#options.log.error("the primary ended before it served, and has not said why", { how });
      this.#finish(code === 0 ? 1 : code);
    } else if (this.#successor === null) this.#restart(lifeOf(primary), how);
  }

  /** @param livedMs after it was ready */
  #restart(livedMs: number, how: string): void {
    const delayMs = this.#backoff.next(livedMs);
    const looping = this.#backoff.deaths > 1;
    this.#options.log.error(looping ? "the primary keeps dying: waiting before the next start" : "the primary died: starting it again", {
      how,
      livedMs: Math.round(livedMs),
      delayMs,
      deaths: this.#backoff.deaths,
    });
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = null;
      this.#current = this.#spawn({
        takeover: this.#options.takeover && !this.#everReady,
        restart: this.#everReady,
        ports: this.#ports,
      });
    }, delayMs);
  }

  #tell(primary: Primary, message: FromSupervisor): void {
    primary.channel?.send(message); // one that died has none; its exit is handled elsewhere
  }
}

/** Its end is known before all that it wrote has been read, and that may say why. */
function whenRead(child: ChildProcess, done: () => void): void {
  const over = (): void => {
    clearTimeout(timer);
    child.off("close", closed);
    done();
  };
  const closed = (): void => void setImmediate(over); // behind all who hear of it
  const timer = setTimeout(over, LAST_WORDS_MS); // somebody else may hold its descriptors
  child.once("close", closed);
}

const howOf = (code: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `exit status ${code}` : `signal ${signal}`;

/** One that was never ready has not lived, however long it tried. */
const lifeOf = ({ ready, bornMs }: Primary): number => (ready ? performance.now() - bornMs : 0);

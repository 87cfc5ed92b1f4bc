// Owns one active health check of one endpoint: ask by a transport, judge, within its time. Must never throw and never take longer than its timeout.
import { formatStatuses, hasStatus } from "../../base/status-list.ts";
import { formatDurationMs } from "../../base/units.ts";
import type { ActiveHealthPlan } from "../../plan/plan.ts";
import { ProbeBody } from "./probe-body.ts";
import { probeByHttp1 } from "./probe-http1.ts";
import { probeByTcp } from "./probe-tcp.ts";
import type { OpenProbe, Probe, ProbeEvents, ProbeTransport } from "./probe-transport.ts";

/** What came of it. */
export interface ProbeResult {
  readonly ok: boolean;
  /** For operators: what came, and of what failed also what was expected. */
  readonly reason: string;
}

function transportOf({ check, protocol }: Probe): ProbeTransport {
  if (check.tcp) return probeByTcp;
  return protocol === "http1" ? probeByHttp1 : loadedByHttp2;
}

/** HTTP/2 is loaded with the first endpoint that speaks it. */
const loadedByHttp2: ProbeTransport = (probe, events) => {
  let open: OpenProbe | null = null;
  let closed = false;
  import("./probe-http2.ts")
    .then(({ probeByHttp2 }) => {
      if (!closed) open = probeByHttp2(probe, events);
    })
    .catch((error: Error) => events.failed(error)); // TLS material that node refuses
  return {
    close: () => {
      closed = true;
      open?.close();
    },
  };
};

/**
 * @param signal gives up at once; the result then means nothing
 * @returns always, within `check.timeoutMs`.
 */
export function probeOnce(probe: Probe, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve) => new Judge(probe, signal, resolve).begin());
}

class Judge implements ProbeEvents {
  readonly #probe: Probe;
  readonly #check: ActiveHealthPlan;
  readonly #signal: AbortSignal;
  readonly #resolve: (result: ProbeResult) => void;
  readonly #body: ProbeBody | null;
  readonly #timer: NodeJS.Timeout;
  #open: OpenProbe | null = null;
  /** Of the response; 0 for none yet. */
  #status = 0;
  #over = false;

  constructor(probe: Probe, signal: AbortSignal, resolve: (result: ProbeResult) => void) {
    const { check } = probe;
    this.#probe = probe;
    this.#check = check;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#body = check.body === null ? null : new ProbeBody(check.body);
    this.#timer = setTimeout(() => this.#timedOut(), check.timeoutMs);
  }

  begin(): void {
    this.#signal.addEventListener("abort", this.#abandoned);
    try {
      const open = transportOf(this.#probe)(this.#probe, this);
      if (this.#over) open.close();
      else this.#open = open;
    } catch (error) {
      // Synchronous for a path or TLS material that node refuses.
      this.failed(error instanceof Error ? error : new Error(String(error)));
    }
  }

  connected(): void {
    if (this.#check.tcp) this.#end(true, "connected");
  }

  head(status: number): void {
    const { statuses } = this.#check;
    this.#status = status;
    if (!hasStatus(statuses, status)) this.#end(false, `status ${status}, expected ${formatStatuses(statuses)}`);
    else if (this.#body === null) this.#end(true, `status ${status}`);
  }

  data(chunk: Buffer): void {
    if (this.#over || this.#body === null) return;
    if (this.#body.add(chunk)) this.#judgeBody(this.#body);
  }

  end(): void {
    if (!this.#over && this.#body !== null) this.#judgeBody(this.#body);
  }

  failed(error: Error): void {
    this.#end(false, `${errorReason(error)}, expected ${this.#expected}`);
  }

  #judgeBody(body: ProbeBody): void {
    if (body.fits()) this.#end(true, `status ${this.#status}, body as expected`);
    else this.#end(false, `status ${this.#status} and ${body.bytes} bytes, expected ${body.expected}`);
  }

  #timedOut(): void {
    const so = this.#status === 0 ? "" : ` (status ${this.#status}, and the body did not end)`;
    this.#end(false, `timeout after ${formatDurationMs(this.#check.timeoutMs)}${so}, expected ${this.#expected}`);
  }

  get #expected(): string {
    if (this.#check.tcp) return "a connection";
    return this.#status !== 0 && this.#body !== null ? this.#body.expected : formatStatuses(this.#check.statuses);
  }

  readonly #abandoned = (): void => this.#end(false, "given up");

  #end(ok: boolean, reason: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#signal.removeEventListener("abort", this.#abandoned);
    this.#open?.close();
    this.#resolve({ ok, reason });
  }
}

/** The code of a system or OpenSSL error says more than its message; node types it on one subclass only. */
const errorReason = (error: Error): string => ("code" in error && typeof error.code === "string" ? error.code : error.message);

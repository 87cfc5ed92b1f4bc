// Owns the skewed load of the fleet's acceptance run, and what can be said for certain of what was admitted.
import { Agent, request } from "node:http";

/** One answer: when it was asked and when it was there, ms of one clock. */
export interface Sample {
  readonly limit: string;
  readonly sentMs: number;
  readonly receivedMs: number;
  /** 0: no answer. */
  readonly status: number;
}

export interface Offered {
  /** Path and name of a limit. */
  readonly limit: string;
  /** Requests a second over the whole fleet. */
  readonly perSecond: number;
}

/** Time between two looks at what is due, ms. */
const LOOK_MS = 5;

/** Asks gateways at steady rates, the first of them most: each next one gets its share divided by its place. */
export class SkewedLoad {
  readonly samples: Sample[] = [];
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #urls: readonly string[];
  readonly #weights: readonly number[];
  readonly #due: { readonly offered: Offered; readonly perGateway: number[] }[];
  #lastMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #underWay = 0;

  constructor(urls: readonly string[], offered: readonly Offered[]) {
    this.#urls = urls;
    const raw = urls.map((_, i) => 1 / (i + 1));
    const sum = raw.reduce((a, b) => a + b, 0);
    this.#weights = raw.map((weight) => weight / sum);
    this.#due = offered.map((each) => ({ offered: each, perGateway: urls.map(() => Math.random()) }));
  }

  start(): void {
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    while (this.#underWay > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    this.#agent.destroy();
  }

  #look(): void {
    const nowMs = performance.now();
    const passedS = (nowMs - this.#lastMs) / 1000;
    this.#lastMs = nowMs;
    for (const { offered, perGateway } of this.#due)
      for (const [i, url] of this.#urls.entries()) {
        let due = (perGateway[i] ?? 0) + offered.perSecond * passedS * (this.#weights[i] ?? 0);
        for (; due >= 1; due--) this.#send(url, offered.limit);
        perGateway[i] = due;
      }
  }

  #send(url: string, limit: string): void {
    const sentMs = performance.now();
    this.#underWay++;
    const done = (status: number) => {
      this.#underWay--;
      this.samples.push({ limit, sentMs, receivedMs: performance.now(), status });
    };
    const sent = request(`${url}${limit}`, { agent: this.#agent, timeout: 10_000 }, (response) => {
      response.resume();
      response.once("end", () => done(response.statusCode ?? 0));
    });
    sent.once("error", () => done(0));
    sent.once("timeout", () => sent.destroy());
    sent.end();
  }
}

/**
 * The most units that were certainly admitted, over any stretch of time, beyond burst + rate x time: all that were sent after its beginning and
 * answered before its end. 0 or less: nothing proves that the limit was exceeded.
 */
export function certainOvershoot(samples: readonly Sample[], limit: { readonly perMs: number; readonly burst: number }): number {
  const admitted = samples.filter((sample) => sample.status === 200).sort((a, b) => a.sentMs - b.sentMs);
  const unitMs = 1 / limit.perMs;
  let arrivalMs = 0;
  let answeredMs = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (const { sentMs, receivedMs } of admitted) {
    arrivalMs = Math.max(arrivalMs, sentMs) + unitMs;
    answeredMs = Math.max(answeredMs, receivedMs);
    most = Math.max(most, (arrivalMs - answeredMs) / unitMs - limit.burst);
  }
  return most;
}

export function quantileMs(samples: readonly Sample[], q: number): number {
  const sorted = samples.map((sample) => sample.receivedMs - sample.sentMs).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

// Owns what a worker has ready of one stored response: whole heads, after the response policies, for all requests that get the same.
// Must never give out one that is of another plan, of another time (Age and Cache-Status count seconds), or of requests that policies tell apart.
import type { PreparedResponse } from "../exchange/prepared-response.ts";
import { ageOf, type Freshness } from "./rules/freshness.ts";

/** Longest text by which policies tell requests apart: clients may have chosen it. */
export const DEPENDS_ON_CHARS_MAX = 512;
/** Of one stored response; a further one takes the place of the oldest. */
const HITS_MAX = 4;
const SECOND_MS = 1000;
/** Of sums of seconds with fractions: rather a moment too early. */
const ROUNDING_MS = 0.001;

/** Stands for one route of one plan, and keeps nothing of it alive. */
export class PlanMark {}

export class ReadyHit {
  readonly mark: PlanMark;
  /** What policies tell requests apart by. */
  readonly dependsOn: string;
  /** What Age says, seconds. */
  age = 0;
  /** null: it was asked for once in this second. What is asked for so rarely is not worth getting ready. */
  response: PreparedResponse | null = null;
  /** What policies make of it cannot be kept. */
  isUnfit = false;
  /** Its bytes are; those of another second take their place. */
  isCounted = false;
  #fromMs = 0;
  #untilMs = 0;

  constructor(mark: PlanMark, dependsOn: string) {
    this.mark = mark;
    this.dependsOn = dependsOn;
  }

  /** Whether Age and the seconds of freshness that are left are still those. */
  holdsAt(nowMs: number): boolean {
    return nowMs >= this.#fromMs && nowMs < this.#untilMs;
  }

  beginAt(freshness: Freshness, nowMs: number): void {
    const age = ageOf(freshness, nowMs);
    const remaining = freshness.lifetime - age;
    this.age = Math.floor(age);
    this.response = null;
    this.isUnfit = false;
    this.#fromMs = nowMs;
    this.#untilMs = nowMs + SECOND_MS * Math.min(this.age + 1 - age, remaining - Math.floor(remaining)) - ROUNDING_MS;
  }
}

export class ReadyHits {
  readonly #count: (bytes: number) => void;
  readonly #hits: ReadyHit[] = [];
  #oldest = 0;

  /** @param count is told how many bytes are kept more, before they are */
  constructor(count: (bytes: number) => void) {
    this.#count = count;
  }

  /** @returns the one for such requests, whether or not there is anything in it */
  of(mark: PlanMark, dependsOn: string): ReadyHit {
    for (const hit of this.#hits) if (hit.mark === mark && hit.dependsOn === dependsOn) return hit;
    const hit = new ReadyHit(mark, dependsOn);
    this.#count(dependsOn.length);
    if (this.#hits.length < HITS_MAX) this.#hits.push(hit);
    else this.#hits[this.#oldest++ % HITS_MAX] = hit;
    return hit;
  }

  /** @param bytes that an engine keeps of it, about */
  put(hit: ReadyHit, response: PreparedResponse, bytes: number): void {
    if (!hit.isCounted) this.#count(bytes);
    hit.isCounted = true;
    hit.response = response;
  }
}

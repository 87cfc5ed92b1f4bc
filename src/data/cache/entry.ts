// Writes what is kept of a response beside its body as bytes, and reads it again. Owns the format; both ends are in this process, so it needs no version.
import type { HeaderList } from "../../base/header-list.ts";
import type { Freshness } from "./rules/freshness.ts";
import { OWN_FIELD } from "./rules/targeted.ts";

/** A stored head. Immutable: it is shared by all requests that it answers. */
export interface StoredHead {
  /** 0: no response, but the names that its variants are told apart by. */
  readonly status: number;
  readonly headers: HeaderList;
  /** Of its header section what no client gets, but a validation needs. */
  readonly hidden: HeaderList;
  /** Lowercase, sorted: of Vary. */
  readonly vary: readonly string[];
  /** Numbers of the tags; of the URL first. */
  readonly stamps: readonly number[];
}

/** Places of the numbers that the store keeps beside an object. */
const FACT = {
  receivedMs: 0,
  initialAge: 1,
  lifetime: 2,
  staleWhileRevalidate: 3,
  staleIfError: 4,
  flags: 5,
  hard: 6,
  soft: 7,
} as const;
const NO_CACHE = 1;
const NEVER_STALE = 2;
const IMMUTABLE = 4;

/** The counters of purges that a response was asked for under (shared/cache/stamps.ts). */
export interface PurgeStamps {
  readonly hard: number;
  readonly soft: number;
}

/** Field values have no line breaks. */
export function encodeHead({ status, headers, vary, stamps }: Omit<StoredHead, "hidden">): string {
  return [String(status), vary.join(","), stamps.join(","), ...headers].join("\n");
}

export function decodeHead(text: string): StoredHead {
  const [status = "0", vary = "", stamps = "", ...fields] = text.split("\n");
  const { headers, hidden } = partHeaders(fields.length % 2 === 0 ? fields : []);
  return {
    status: Number(status),
    vary: vary === "" ? [] : vary.split(","),
    stamps: stamps === "" ? [] : stamps.split(",").map(Number),
    headers,
    hidden,
  };
}

/** What clients get of a header section, and what they do not. */
export function partHeaders(fields: HeaderList): { readonly headers: HeaderList; readonly hidden: HeaderList } {
  const [headers, hidden]: [HeaderList, HeaderList] = [[], []];
  for (let i = 0; i < fields.length; i += 2)
    (fields[i] === OWN_FIELD ? hidden : headers).push(fields[i] as string, fields[i + 1] as string); // pairs
  return { headers, hidden };
}

export function factsOf(freshness: Freshness, { hard, soft }: PurgeStamps): readonly number[] {
  const { receivedMs, initialAge, lifetime, staleWhileRevalidate, staleIfError, noCache, neverStale, immutable } = freshness;
  const flags = (noCache ? NO_CACHE : 0) | (neverStale ? NEVER_STALE : 0) | (immutable ? IMMUTABLE : 0);
  return [receivedMs, initialAge, lifetime, staleWhileRevalidate, staleIfError, flags, hard, soft];
}

/** @param fact reads one of the numbers */
export function freshnessFrom(fact: (index: number) => number): Freshness {
  const flags = fact(FACT.flags);
  return {
    receivedMs: fact(FACT.receivedMs),
    initialAge: fact(FACT.initialAge),
    lifetime: fact(FACT.lifetime),
    staleWhileRevalidate: fact(FACT.staleWhileRevalidate),
    staleIfError: fact(FACT.staleIfError),
    noCache: (flags & NO_CACHE) !== 0,
    neverStale: (flags & NEVER_STALE) !== 0,
    immutable: (flags & IMMUTABLE) !== 0,
  };
}

export const stampsFrom = (fact: (index: number) => number): PurgeStamps => ({ hard: fact(FACT.hard), soft: fact(FACT.soft) });

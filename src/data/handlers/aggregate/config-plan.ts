// Owns the shape of a compiled `aggregate`: plain data that crosses from primary to workers. Types and bounds only; must never load zod.
import type { StatusRange } from "../../../base/status-list.ts";
import type { FeaturePlan } from "../../../plan/plan.ts";

/** Legs of one route. */
export const LEGS_MAX = 32;
/** Items that one leg may ask for. */
export const ITEMS_MAX = 1000;
/** Calls of one leg at once. */
export const CONCURRENCY_MAX = 64;

export interface AggregateConfig {
  /** Keys from `aggregate` to the legs: none in the short form. For error positions. */
  readonly legsAt: readonly string[];
  /** In the declared order, which is the order of the answer. */
  readonly legs: readonly LegConfig[];
  /** Legs whose members win over equal ones of others; the first wins over the next. */
  readonly wins: readonly string[];
  /** Member that names the failed legs; null for none. */
  readonly incomplete: string | null;
  /** The head goes out when every required leg has ended; optional legs follow. */
  readonly stream: boolean;
  /** Largest request body that is kept for legs, bytes. */
  readonly requestBytes: number;
}

/** Strings with braces are templates (routing/leg-template.ts). */
export interface LegConfig {
  readonly name: string;
  /** Name of an upstream. */
  readonly to: string;
  /** Its index in the plan; -1 until the plan is compiled. */
  readonly upstream: number;
  readonly method: string;
  /** May have a query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Names lowercase. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: LegBody | null;
  readonly required: boolean;
  /** From the leg's start to the end of its answer, retries included; null: the upstream's `total` to the head. */
  readonly timeoutMs: number | null;
  /** Further attempts; null: the upstream's. */
  readonly retryAttempts: number | null;
  readonly expect: readonly StatusRange[];
  /** Statuses that become the whole answer's when the leg fails with them. */
  readonly relay: readonly StatusRange[];
  readonly relayBody: boolean;
  /** JSON Pointer or dotted path; '' for the whole. */
  readonly select: string;
  /** Members that are taken; null for all. */
  readonly pick: readonly string[] | null;
  readonly rename: readonly { readonly from: string; readonly to: string }[];
  /** Members whose own members take their place. */
  readonly lift: readonly string[];
  /** A list of lists becomes one list. */
  readonly flattenLists: boolean;
  /** Member of the answer that holds the leg's value; null: the value's members are the answer's. */
  readonly as: string | null;
  readonly forEach: ForEach | null;
  /** Response headers that the client gets, lowercase. */
  readonly responseHeaders: readonly string[];
  /** Of the answer, bytes; of all answers of a leg with `forEach` together. */
  readonly maxBytes: number;
}

export type LegBody =
  | { readonly kind: "client" }
  /** @property value plain JSON; each text in it is a template */
  | { readonly kind: "json"; readonly value: unknown };

export interface ForEach {
  /** Template of one variable: the list of another leg. */
  readonly list: string;
  readonly concurrency: number;
  readonly itemsMax: number;
  /** A failed item leaves null in its place, and the leg is named as incomplete; else the leg fails. */
  readonly keepsGaps: boolean;
}

/** @param handler of a route's plan, or a feature of its configuration. @returns null when the route is answered otherwise */
export const legsOf = (handler: FeaturePlan): readonly LegConfig[] | null =>
  handler.name === "aggregate" ? (handler.config as AggregateConfig).legs : null; // parsed by aggregateSchema

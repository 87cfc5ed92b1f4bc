// Owns one leg of a route as a worker has it: how its request is made from templates, and what is made of a response.
// Must never send anything; what goes wrong is a LegFailure, never an exception.
import type { ErrorCode } from "../../../base/errors.ts";
import { isObject } from "../../../base/exact-json.ts";
import { getHeader, type HeaderList } from "../../../base/header-list.ts";
import { hasStatus } from "../../../base/status-list.ts";
import { compileLegTemplate, compileLegValue, type LegContext, type LegNames, type LegTemplate } from "../../routing/leg-template.ts";
import { isQuery } from "../../routing/normalise.ts";
import { normaliseMade } from "../../routing/path-rules.ts";
import { queryStart } from "../../routing/template-text.ts";
import type { CallFailure } from "../../upstream/call-request.ts";
import type { Part } from "./assemble.ts";
import type { LegConfig } from "./config-plan.ts";
import { type JsonBody, jsonBody } from "./json-body.ts";
import { readJson, type Shape, shapeOf } from "./leg-value.ts";

/** Why a leg has nothing to give. */
export interface LegFailure {
  readonly code: ErrorCode;
  /** For the log. */
  readonly detail: string;
  /** There was no response, because of this. */
  readonly cause?: CallFailure;
  /** The response that was not expected. */
  readonly response?: LegResponse;
}

export interface LegResponse {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
}

/** What a leg asks for, without what every request upstream has. */
export interface LegRequest {
  /** Normalised, with the query. */
  readonly path: string;
  /** The leg's own, flat. */
  readonly headers: HeaderList;
  /** null: none, or the client's. */
  readonly body: Buffer | null;
}

/** A usable response. */
export interface LegResult {
  readonly part: Part;
  /** The whole of it, before `select`; undefined when no leg asks for it. */
  readonly json: unknown;
}

interface NamedLegTemplate {
  readonly name: string;
  readonly template: LegTemplate;
}

const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;
const NO_HEADERS: HeaderList = [];

export class Leg {
  readonly config: LegConfig;
  /** Index in the declared order. */
  readonly place: number;
  /** Legs that must have ended before, each once. */
  readonly needs: readonly number[];
  /** Those of them that must have answered: nothing stands in for what this leg wants of them. */
  readonly sources: readonly number[];
  /** The list of `forEach`; null without. */
  readonly list: LegTemplate | null;
  /** Set by whoever knows all legs: another one uses the JSON. */
  keepsJson = false;
  readonly #path: LegTemplate;
  /** Of the path's own query; null for none. */
  readonly #pathQuery: LegTemplate | null;
  readonly #query: readonly NamedLegTemplate[];
  readonly #headers: readonly NamedLegTemplate[];
  readonly #json: JsonBody | null;
  readonly #shape: Shape | null;
  /** The bytes of an answer go on as they came. */
  readonly #passesBytes: boolean;
  /** The request, when nothing in it depends on anything. */
  #constant: LegRequest | null = null;
  readonly #isConstant: boolean;

  /** @throws Error when the primary accepted what can't be compiled: a defect, and the plan is refused */
  constructor(config: LegConfig, place: number, names: LegNames) {
    const compiled = (text: string): LegTemplate => orThrow(compileLegTemplate(text, names), config.name);
    const named = (map: Readonly<Record<string, string>>): readonly NamedLegTemplate[] =>
      Object.entries(map).map(([name, template]) => ({ name, template: compiled(template) }));
    const end = queryStart(config.path);
    this.config = config;
    this.place = place;
    this.#path = compiled(config.path.slice(0, end));
    this.#pathQuery = end === config.path.length ? null : compiled(config.path.slice(end + 1));
    this.#query = named(config.query).map(({ name, template }) => ({ name: encodeURIComponent(name), template }));
    this.#headers = named(config.headers);
    this.#json = config.body?.kind === "json" ? jsonBody(config.body.value, compiled) : null;
    // Of a list of answers, it is their list that is flattened.
    this.#shape = shapeOf(config.forEach === null ? config : { ...config, flattenLists: false });
    this.#passesBytes = this.#shape === null && config.as !== null && !(config.forEach !== null && config.flattenLists);
    this.list = config.forEach === null ? null : orThrow(compileLegValue(config.forEach.list, { ...names, hasItem: false }), config.name);
    const templates = [
      this.#path,
      ...(this.#pathQuery === null ? [] : [this.#pathQuery]),
      ...[...this.#query, ...this.#headers].map(({ template }) => template),
    ];
    const all = [...templates, ...(this.#json?.templates ?? []), ...(this.list === null ? [] : [this.list])];
    this.needs = [...new Set(all.flatMap(({ legs }) => legs))];
    this.sources = [...new Set(all.flatMap(({ sources }) => sources))];
    this.#isConstant =
      templates.every(({ constant }) => constant !== null) && (this.#json?.templates ?? []).every(({ constant }) => constant !== null);
  }

  /** @param spellings of the client's path: its parameters may stand in this one */
  request(context: LegContext, spellings: number): LegRequest | LegFailure {
    if (this.#constant !== null) return this.#constant;
    const made = this.#made(context, spellings);
    if (this.#isConstant && !("code" in made)) this.#constant = made;
    return made;
  }

  #made(context: LegContext, spellings: number): LegRequest | LegFailure {
    const target = this.#target(context, spellings);
    if (typeof target !== "string") return target;
    let headers = NO_HEADERS;
    for (const { name, template } of this.#headers) {
      const value = template.renderHeader(context);
      if (value === null) return missing(`header ${name}`, template, context);
      if (headers === NO_HEADERS) headers = [];
      headers.push(name, value);
    }
    if (this.#json === null) return { path: target, headers, body: null };
    const text = this.#json.render(context);
    if (typeof text !== "string") return missing("body", text.missing, context);
    return { path: target, headers, body: Buffer.from(text, "utf8") };
  }

  #target(context: LegContext, spellings: number): string | LegFailure {
    const rendered = this.#path.renderPath(context);
    if (rendered === null) return missing("path", this.#path, context);
    // Values may have made a dot segment where the template has none: resolving it would leave the place the operator chose.
    const path = DOT_SEGMENT.test(rendered) ? null : normaliseMade(rendered, spellings);
    if (path === null) return unsafe(this.#path);
    let query = "";
    if (this.#pathQuery !== null) {
      const own = this.#pathQuery.renderQuery(context);
      if (own === null) return missing("query", this.#pathQuery, context);
      query = own;
    }
    for (const { name, template } of this.#query) {
      const value = template.renderQuery(context);
      if (value === null) return missing(`query ${name}`, template, context);
      if (value !== "") query += `${query === "" ? "" : "&"}${name}=${value}`;
    }
    if (!isQuery(query)) return unsafe(this.#path);
    return query === "" ? path : `${path}?${query}`;
  }

  /** What a response gives, or why it gives nothing. */
  result({ status, headers, body }: LegResponse): LegResult | LegFailure {
    const { config } = this;
    if (!hasStatus(config.expect, status)) return { code: "leg_status", detail: `status ${status}`, response: { status, headers, body } };
    const coding = getHeader(headers, "content-encoding");
    if (coding !== undefined && coding !== "identity") return invalid(`the answer is encoded (${coding}), which was not asked for`);
    const read = readJson(status, body, config.method === "HEAD");
    if ("fault" in read) return invalid(`the answer ${read.fault}`);
    const json = this.keepsJson ? read.value : undefined;
    if (this.#passesBytes) return { part: { kind: "raw", json: read.raw }, json };
    const shaped = this.#shape === null ? read : this.#shape(read.value);
    if ("fault" in shaped) return invalid(`the answer ${shaped.fault}`);
    const value = config.as === null && shaped.value === null ? NOTHING : shaped.value;
    if (config.as === null && !isObject(value)) return invalid("the answer is no object, whose members could be merged");
    return { part: { kind: "value", value }, json };
  }

  /** Whether the client gets the status of this response. */
  relays(status: number): boolean {
    return hasStatus(this.config.relay, status);
  }
}

/** Of an answer without body. */
const NOTHING: Readonly<Record<string, unknown>> = {};

const invalid = (detail: string): LegFailure => ({ code: "leg_invalid", detail });

function missing(where: string, template: LegTemplate, context: LegContext): LegFailure {
  const { client, detail } = template.fault(context);
  return { code: client ? "bad_path" : "leg_invalid", detail: `${where}: ${detail}` };
}

/** Only a client's value, or only a service's, can be at fault where no other is in it. */
const unsafe = ({ isOfRequest }: LegTemplate): LegFailure =>
  isOfRequest
    ? { code: "bad_path", detail: "The path is unsafe in what this route asks for." }
    : { code: "leg_invalid", detail: "the path is unsafe with what another leg answered" };

function orThrow<T extends object>(made: T | { readonly error: string }, leg: string): T {
  if ("error" in made) throw new Error(`leg ${leg}: ${made.error}`);
  return made;
}

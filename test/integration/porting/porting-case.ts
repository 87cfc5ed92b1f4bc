// Owns the form of a case: a small configuration that has the settings of a row of docs/porting.md, and requests that show what they do.
// Cases share a gateway, so names end in `@`, which stands for what makes them the case's own.
import { load } from "js-yaml";
import type { RecordingService } from "../../support/recording-service.ts";

export interface Ask {
  /** Method and path, or method, host and path: `GET /x`, `GET a.example/x`. Without a host, the case's own. */
  readonly send: string;
  /** Field lines. */
  readonly fields?: readonly string[];
  readonly body?: string;
  /** 0: the connection is closed without an answer. */
  readonly status: number;
  /** Header fields of the answer; null: none of the name. */
  readonly answer?: Readonly<Record<string, string | RegExp | null>>;
  readonly text?: RegExp;
  /** What the service got: method and target. null: nothing. */
  readonly served?: string | null;
  /** Header fields that it got; null: none of the name. */
  readonly sent?: Readonly<Record<string, string | RegExp | null>>;
  /** Which of the services: the first unless written. */
  readonly by?: 1 | 2;
  /** Sent while the service holds its answer back, which it then gives. */
  readonly meanwhile?: Ask;
  /** The service does not answer before the client has an answer. */
  readonly held?: true;
  /** Index of the only listener that it is sent to. */
  readonly listener?: number;
  /** Bytes in front of the request. */
  readonly prologue?: Buffer;
  /** Statuses of the service's next answers. */
  readonly statuses?: readonly number[];
  /** What the second service gets besides: method and target. */
  readonly copy?: string;
}

export interface PortingCase {
  /** The second column of its rows. */
  readonly here: string;
  readonly config: string;
  readonly asks: readonly Ask[];
  /** Has settings of the whole instance, so it has a gateway of its own. */
  readonly alone?: true;
  /** Listeners of its own, in place of one on each engine. */
  readonly listeners?: string;
  /** Its requests leave something behind, so they are sent once, not on each engine. */
  readonly once?: true;
  /** What `validate` warns of. */
  readonly warnings?: readonly RegExp[];
  /** What is refused instead, as the row says. */
  readonly refuses?: readonly Refusal[];
  /** Of the services of the case: what they got that no request caused. */
  readonly eventually?: (first: RecordingService, second: RecordingService) => boolean;
}

/** A configuration that does not load. */
export interface Refusal {
  readonly config: string;
  /** What the problems say. */
  readonly problem: RegExp;
}

/** Of a row whose second column says so. */
export interface RefusedCase extends Refusal {
  /** Product and first column. */
  readonly row: string;
}

/** Upstreams that every case may name. */
const SERVICES = "{ u@: { targets: [{ url: ORIGIN1 }] }, other@: { targets: [{ url: ORIGIN2 }] } }";

export type Tree = Record<string, unknown>;

/** @returns the configuration of a case as the doc writes it: without what makes its names its own */
export const asWritten = ({ config }: Refusal | PortingCase): Tree => load(config.replaceAll("@", "")) as Tree; // cases are maps

/**
 * A case in a gateway that it may share.
 * @param id what `@` stands for
 * @param urls of its services
 */
export function ownPart({ config }: Pick<PortingCase, "config">, id: string, urls: readonly string[]): Tree {
  const own = load(config.replaceAll("@", id)) as Tree; // cases are maps
  const routes = (own["routes"] as readonly Tree[]).map((route, i) => ({
    name: `r${i}${id}`,
    ...(hasAuth(route, own) ? {} : { auth: "none" }),
    ...route,
    match: withHost(route["match"] as Tree | undefined, id),
  }));
  return withServices({ ...own, routes }, id, urls);
}

/** A configuration with the services that every case has. */
export function withServices(own: Tree, id: string, urls: readonly string[]): Tree {
  const services = load(SERVICES.replaceAll("@", id)) as Tree; // a map of ours
  const text = JSON.stringify({ ...own, upstreams: { ...services, ...(own["upstreams"] as Tree | undefined) } });
  return JSON.parse(text.replaceAll(/ORIGIN([123])/g, (_, n: string) => urls[Number(n) - 1] ?? "")) as Tree; // just written
}

const hasAuth = (route: Tree, { defaults }: Tree): boolean => "auth" in route || "auth" in ((defaults as Tree | undefined) ?? {});

const withHost = (match: Tree | undefined, id: string): Tree =>
  match === undefined || Object.keys(match).length === 0 ? {} : { hosts: [hostOf(id)], ...match };

/** The Host of requests that name none. */
export const hostOf = (id: string): string => `case-${id}.example`;

/** Several parts as one configuration. */
export function together(parts: readonly Tree[]): Tree {
  const all: Tree = {};
  for (const part of parts) {
    for (const [key, value] of Object.entries(part)) {
      const before = all[key];
      all[key] = Array.isArray(value) ? [...((before as unknown[]) ?? []), ...value] : { ...((before as Tree) ?? {}), ...(value as Tree) };
    }
  }
  return all;
}

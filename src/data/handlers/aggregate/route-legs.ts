// Owns what is the same for each exchange of an aggregated route: its legs, compiled, who waits for whom, and whose headers win.
import { getHeader } from "../../../base/header-list.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import type { LegNames } from "../../routing/leg-template.ts";
import { Layout } from "./assemble.ts";
import type { AggregateConfig } from "./config-plan.ts";
import { Leg } from "./leg.ts";
import type { LegRun } from "./leg-run.ts";

export class RouteLegs {
  readonly legs: readonly Leg[];
  /** By place: slots of the metric cells; 0 counts as the overflow. */
  readonly slots: readonly number[];
  /** By place: legs that wait for this one. */
  readonly dependents: readonly (readonly number[])[];
  /** How many are. */
  readonly required: number;
  readonly layout: Layout;
  readonly stream: boolean;
  readonly wantsBody: boolean;
  readonly requestBytes: number;
  /** Legs that give headers, in the declared order. */
  readonly headers: readonly { readonly place: number; readonly names: readonly string[] }[];
  readonly #ranks: readonly number[];

  /** @throws Error when the primary accepted what can't be built: a defect, and the plan is refused */
  constructor(config: AggregateConfig, { name, paramNames, resources: { plan } }: PolicyRoute) {
    const { legs, wins } = config;
    const names = legs.map((leg) => leg.name);
    const lists = new Set(legs.flatMap((leg) => (leg.forEach === null ? [] : [leg.name])));
    this.legs = legs.map(
      (leg, place) => new Leg(leg, place, { params: paramNames, legs: names, lists, hasItem: leg.forEach !== null } satisfies LegNames),
    );
    for (const { needs } of this.legs) for (const place of needs) if (this.legs[place] !== undefined) this.legs[place].keepsJson = true;
    this.slots = names.map((leg) => plan.legSlots[`${name} ${leg}`] ?? 0);
    this.dependents = this.legs.map(({ place }) => this.legs.filter(({ needs }) => needs.includes(place)).map((leg) => leg.place));
    this.required = legs.filter(({ required }) => required).length;
    this.layout = new Layout(config);
    this.stream = config.stream;
    this.wantsBody = legs.some(({ body }) => body?.kind === "client");
    this.requestBytes = config.requestBytes;
    this.headers = legs.flatMap(({ responseHeaders }, place) => (responseHeaders.length === 0 ? [] : [{ place, names: responseHeaders }]));
    this.#ranks = names.map((leg, i) => (wins.includes(leg) ? wins.indexOf(leg) : wins.length + i));
  }

  /** Those of a leg's named headers that no leg gives which wins over it; cookies of all legs go side by side. */
  ownHeaders(place: number, names: readonly string[], runs: readonly LegRun[]): readonly string[] {
    if (this.headers.length === 1) return names;
    const rank = this.#ranks[place] ?? 0;
    return names.filter(
      (name) =>
        name === "set-cookie" ||
        !this.headers.some(
          (other) =>
            (this.#ranks[other.place] ?? 0) < rank &&
            other.names.includes(name) &&
            getHeader(runs[other.place]?.headers ?? [], name) !== undefined,
        ),
    );
  }
}

// Owns where a credential may stand in a request, by configuration: finding it in one of its places, and taking it out of what goes upstream.
// Must never change the request itself, and never choose between two credentials: nobody can say which of them a service would read.

import type { HeaderList } from "../../../base/header-list.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { CredentialPlace } from "../../exchange/identity/authenticator.ts";
import type { PlaceConfig } from "./config-places.ts";
import {
  NONE,
  type Reading,
  readCookie,
  readHeader,
  readQuery,
  readScheme,
  SEVERAL,
  stripCookie,
  stripHeader,
  stripQuery,
  stripScheme,
} from "./reading.ts";

/** One place. */
export interface Place extends CredentialPlace {
  /** In the words of an answer: `header x-api-key`. */
  readonly shown: string;
  find(x: Exchange): Reading;
}

export function placeOf({ in: where, name, scheme }: PlaceConfig): Place {
  const id = `${where} ${name}`;
  const shown = where === "query" ? `query parameter ${name}` : id;
  switch (where) {
    case "cookie":
      return { id, shown, find: (x) => readCookie(x, name), stripHeaders: (headers) => stripCookie(headers, name), stripPath: null };
    case "query":
      return { id, shown, find: (x) => readQuery(x, name), stripHeaders: () => {}, stripPath: (path) => stripQuery(path, name) };
    case "header": {
      if (scheme === null)
        return { id, shown, find: (x) => readHeader(x, name), stripHeaders: (headers) => stripHeader(headers, name), stripPath: null };
      // RFC 9110 section 11.4; RFC 6750 section 2.1. Another scheme is somebody else's credential.
      const lower = scheme.toLowerCase();
      return {
        id: `${id} ${lower}`,
        shown: `${id} (${scheme})`,
        find: (x) => readScheme(x, name, lower),
        stripHeaders: (headers) => stripScheme(headers, name, lower),
        stripPath: null,
      };
    }
  }
}

/** All places of one authenticator. */
export class Places {
  readonly all: readonly Place[];
  /** In the words of an answer: `header x-api-key or the cookie key`. */
  readonly shown: string;
  /** The only one, if it is. */
  readonly #only: Place | null;

  /** @param configs at least one */
  constructor(configs: readonly PlaceConfig[]) {
    this.all = configs.map(placeOf);
    this.shown = this.all.map(({ shown }) => shown).join(" or the ");
    this.#only = this.all.length === 1 ? (this.all[0] ?? null) : null;
  }

  /** {@link SEVERAL} also when two places hold one each, even the same. */
  find(x: Exchange): Reading {
    if (this.#only !== null) return this.#only.find(x);
    let found: Reading = NONE;
    for (const place of this.all) {
      const reading = place.find(x);
      if (reading === NONE) continue;
      if (reading === SEVERAL || found !== NONE) return SEVERAL;
      found = reading;
    }
    return found;
  }
}

/** See {@link Authenticator.takes}, for tokens. */
export function tokenTakes({ all, shown }: Places, configs: readonly PlaceConfig[]): string {
  const scheme = configs[0]?.scheme ?? null;
  // As RFC 6750 has it.
  return all.length === 1 && scheme !== null ? `a ${scheme} token in the header ${configs[0]?.name}` : `a token in the ${shown}`;
}

/** Takes credentials out of what goes upstream. */
export function stripPlaces(places: readonly CredentialPlace[], request: { path: string; readonly headers: HeaderList }): void {
  for (const place of places) {
    place.stripHeaders(request.headers);
    if (place.stripPath !== null) request.path = place.stripPath(request.path);
  }
}

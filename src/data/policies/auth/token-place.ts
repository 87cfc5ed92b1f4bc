// Owns where a bearer token stands in a request, by configuration (jwt, introspection): finding it, and taking it out of what goes upstream. Must never change the request itself.
import type { Exchange, HeaderList } from "../../exchange/exchange.ts";
import {
  type Reading,
  readAuthorization,
  readCookie,
  readHeader,
  readQuery,
  stripAuthorization,
  stripCookie,
  stripHeader,
  stripQuery,
} from "./reading.ts";

export interface TokenPlaceConfig {
  readonly in: "header" | "cookie" | "query";
  /** Of the header (lowercase), cookie or query parameter. */
  readonly name: string;
}

export interface TokenPlace {
  /** See {@link Authenticator.takes}. */
  readonly takes: string;
  /** See {@link Authenticator.place}. */
  readonly place: string;
  find(x: Exchange): Reading;
  stripHeaders(headers: HeaderList): void;
  readonly stripPath: ((pathAndQuery: string) => string) | null;
}

export function tokenPlace({ in: where, name }: TokenPlaceConfig): TokenPlace {
  const place = `${where} ${name}`;
  const takes = `a token in the ${where === "query" ? "query parameter" : where} ${name}`;
  if (where === "cookie")
    return { takes, place, find: (x) => readCookie(x, name), stripHeaders: (headers) => stripCookie(headers, name), stripPath: null };
  // RFC 6750 section 2.3.
  if (where === "query")
    return { takes, place, find: (x) => readQuery(x, name), stripHeaders: () => {}, stripPath: (path) => stripQuery(path, name) };
  // RFC 6750 section 2.1. Another scheme is somebody else's credential.
  if (name === "authorization")
    return {
      takes: "a Bearer token in the header authorization",
      place: `${place} bearer`,
      find: (x) => readAuthorization(x, "bearer"),
      stripHeaders: (headers) => stripAuthorization(headers, "bearer"),
      stripPath: null,
    };
  return { takes, place, find: (x) => readHeader(x, name), stripHeaders: (headers) => stripHeader(headers, name), stripPath: null };
}

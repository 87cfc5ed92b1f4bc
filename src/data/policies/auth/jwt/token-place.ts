// Owns where a token stands in a request: finding it, and taking it out of what goes upstream. Must never change the request itself.
import type { Exchange, HeaderList } from "../../../exchange.ts";
import { removeHeader } from "../../header-list.ts";
import type { JwtConfig } from "./config.ts";

/** Found instead of a credential when there are several: which of them is meant nobody can know. No header value can be this. */
export const SEVERAL = "\0";

/** Where tokens are looked for. */
export interface TokenPlace {
  /** The credential as it stands there, by which it is remembered; null for none, {@link SEVERAL} for more than one. Allocates nothing in the usual place. */
  find(x: Exchange): string | null;
  /** The token in what was found; '' for none. */
  token(found: string): string;
  stripHeaders(headers: HeaderList): void;
  readonly stripPath: ((pathAndQuery: string) => string) | null;
}

export function tokenPlace(config: Pick<JwtConfig, "in" | "name">): TokenPlace {
  if (config.in === "cookie") return cookiePlace(config.name);
  if (config.in === "query") return queryPlace(config.name);
  return config.name === "authorization" ? BEARER : headerPlace(config.name);
}

const nothing = (): void => {};
const same = (found: string): string => found;

/** RFC 6750 section 2.1. Another scheme is somebody else's credential. */
const BEARER: TokenPlace = {
  find: (x) => {
    const value = onlyHeader(x.headers, "authorization");
    return value === null || value === SEVERAL || isBearer(value) ? value : null;
  },
  token: (found) => found.slice(BEARER_CHARS).trimStart(),
  stripHeaders: (headers) => {
    for (let i = headers.length - 2; i >= 0; i -= 2)
      if (headers[i] === "authorization" && isBearer(headers[i + 1] ?? "")) headers.splice(i, 2);
  },
  stripPath: null,
};

const BEARER_CHARS = 6;

/** Scheme names know no case (RFC 9110 section 11.1); nearly all write it so. */
const isBearer = (value: string): boolean =>
  value.startsWith("Bearer ") ||
  ((value.length === BEARER_CHARS || value.charCodeAt(BEARER_CHARS) === 0x20) && value.slice(0, BEARER_CHARS).toLowerCase() === "bearer");

function headerPlace(name: string): TokenPlace {
  return { find: (x) => onlyHeader(x.headers, name), token: same, stripHeaders: (headers) => removeHeader(headers, name), stripPath: null };
}

function onlyHeader(headers: HeaderList, name: string): string | null {
  let found: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (found !== null) return SEVERAL;
    found = headers[i + 1] ?? "";
  }
  return found;
}

/** RFC 6265 section 4.2: `a=1; b=2`. */
function cookiePlace(name: string): TokenPlace {
  const isMine = (pair: string): boolean => pair.startsWith(name) && pair.charCodeAt(name.length) === 0x3d;
  return {
    find: (x) => {
      let found: string | null = null;
      for (let i = 0; i < x.headers.length; i += 2) {
        if (x.headers[i] !== "cookie") continue;
        for (const pair of cookiePairs(x.headers[i + 1] ?? "")) {
          if (!isMine(pair)) continue;
          if (found !== null) return SEVERAL;
          found = pair.slice(name.length + 1);
        }
      }
      return found;
    },
    token: same,
    stripHeaders: (headers) => {
      for (let i = headers.length - 2; i >= 0; i -= 2) {
        const value = headers[i + 1] ?? "";
        if (headers[i] !== "cookie" || !value.includes(name)) continue;
        const kept = cookiePairs(value).filter((pair) => !isMine(pair));
        if (kept.length === 0) headers.splice(i, 2);
        else headers[i + 1] = kept.join("; ");
      }
    },
    stripPath: null,
  };
}

const cookiePairs = (value: string): string[] =>
  value
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "");

/** RFC 6750 section 2.3. A token needs no percent-encoding, so none is undone. */
function queryPlace(name: string): TokenPlace {
  const isMine = (pair: string): boolean => pair === name || (pair.startsWith(name) && pair.charCodeAt(name.length) === 0x3d);
  return {
    find: (x) => {
      if (!x.query.includes(name)) return null;
      const mine = x.query.split("&").filter(isMine);
      return mine.length > 1 ? SEVERAL : (mine[0]?.slice(name.length + 1) ?? null);
    },
    token: same,
    stripHeaders: nothing,
    stripPath: (pathAndQuery) => {
      const mark = pathAndQuery.indexOf("?");
      if (mark < 0) return pathAndQuery;
      const kept = pathAndQuery
        .slice(mark + 1)
        .split("&")
        .filter((pair) => !isMine(pair));
      return kept.length === 0 ? pathAndQuery.slice(0, mark) : `${pathAndQuery.slice(0, mark)}?${kept.join("&")}`;
    },
  };
}

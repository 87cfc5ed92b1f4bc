// Owns finding what other gateways write in texts that mean something else here: their variables in templates, and `/a/` for all that is below `/a`.
// Warns only: each is a text that somebody might mean.
import type { PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";

/** nginx, Kong and APISIX: `$remote_addr`, `$(headers.x)`; HAProxy: `%[src]`; Envoy: `%REQ(X-A)%`. */
const VARIABLE =
  /\$\((?:headers|query_params)\.([\w-]+)\)|\$([a-z]+(?:_[a-z0-9_]+)?)\b|%\[([^\]]{1,100})\]|%([A-Z][A-Z_]{1,60}(?:\([^)]{0,100}\))?)%/g;

/** Their names -> ours. */
const MEANT: Readonly<Record<string, string>> = {
  remote_addr: "client.ip",
  realip_remote_addr: "client.ip",
  host: "host",
  http_host: "host",
  hostname: "host",
  scheme: "scheme",
  request_method: "method",
  request_uri: "request.path",
  uri: "request.path",
  request_id: "request.id",
  src: "client.ip",
  method: "method",
  path: "request.path",
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: "client.ip",
  DOWNSTREAM_REMOTE_ADDRESS: "client.ip",
  PROTOCOL: "scheme",
};

/** Of values by name: `$http_x_tenant`, `%[req.hdr(x-tenant)]`, `%REQ(X-TENANT)%`. */
function byName(variable: string): string | null {
  const header = /^http_([a-z0-9_]+)$/.exec(variable)?.[1]?.replaceAll("_", "-") ?? /^(?:req\.f?hdr|REQ)\(([\w-]+)/.exec(variable)?.[1];
  if (header !== undefined) return header.toLowerCase() === "host" ? "host" : `header.${header.toLowerCase()}`;
  const query = /^arg_([a-z0-9_]+)$/.exec(variable)?.[1] ?? /^url_param\(([\w-]+)/.exec(variable)?.[1];
  return query === undefined ? null : `query.${query}`;
}

/** Another program's variable in a template is a text. */
export function warnOfForeignVariables(text: string, place: readonly PathPart[], { warn }: Findings): void {
  for (const [written, kong, dollar, haproxy, envoy] of text.matchAll(VARIABLE)) {
    const theirs = dollar ?? haproxy ?? envoy ?? "";
    const ours = kong === undefined ? (MEANT[theirs] ?? byName(theirs)) : `${written.startsWith("$(h") ? "header" : "query"}.${kong}`;
    if (ours !== null) warn(place, `\`${written}\` is no variable here: it stands as it is written`, `did you mean \`{${ours}}\`?`);
  }
}

/** A path of a route, and where it stands. */
export interface PlacedPath {
  readonly text: string;
  readonly place: readonly PathPart[];
}

/** The paths of all routes. */
export interface KnownPaths {
  readonly paths: ReadonlySet<string>;
  /** What stands above them, each with its slash at the end: `/a/` of `/a/b` and of `/a/**`. */
  readonly above: ReadonlySet<string>;
}

export function knownPaths(texts: readonly string[]): KnownPaths {
  const above = new Set<string>();
  for (const path of texts)
    for (let end = path.lastIndexOf("/", path.length - 2); end > 0; end = path.lastIndexOf("/", end - 1)) above.add(path.slice(0, end + 1));
  return { paths: new Set(texts), above };
}

/** Whoever writes paths below `/a/`, or `/a` too, knows what `/a/` is. */
export function warnOfLoneSlash({ text, place }: PlacedPath, { paths, above }: KnownPaths, { warn }: Findings): void {
  if (!text.endsWith("/") || text === "/" || paths.has(text.slice(0, -1)) || above.has(text)) return;
  warn(place, `\`${text}\` matches that path alone, not what is below it`, `did you mean \`${text}**\`?`);
}

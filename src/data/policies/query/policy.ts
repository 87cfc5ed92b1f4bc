// Owns what a route changes about the query on the way upstream. Behind auth, which takes credentials out of it, and rewrite, which may add to it.
// Must never change what routes match or logs show: the exchange's own query.
import { matchNames } from "../../../base/name-patterns.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory } from "../../exchange/policy.ts";
import { compiled } from "../../exchange/templates.ts";
import { decodeQuery } from "../../routing/request/query-walk.ts";
import type { QueryConfig } from "./config.ts";

/** Of one name, encoded with its `=`. */
interface Parameter {
  readonly name: string;
  readonly start: string;
  /** @returns '' for none */
  value(x: Exchange): string;
}

export const createQuery: PolicyFactory = (config, route): Policy => {
  const { allow, remove, set, setIfAbsent } = config as QueryConfig; // parsed by querySchema in the primary
  const passes = allow === undefined ? null : matchNames(allow);
  const gone = matchNames(remove);
  const replaced = new Set(Object.keys(set));
  const setting = parameters(set, route.paramNames);
  const absent = parameters(setIfAbsent, route.paramNames);
  return {
    name: "query",
    onUpstreamRequest(x, request) {
      const { path } = request;
      const mark = path.indexOf("?");
      const query = mark < 0 ? "" : path.slice(mark + 1);
      const own = ownLength(x, query);
      const kept: string[] = [];
      const names = new Set<string>();
      let at = 0;
      for (const piece of query === "" ? [] : query.split("&")) {
        const isClients = at >= own;
        at += piece.length + 1;
        if (piece === "") continue;
        const equals = piece.indexOf("=");
        const name = decodeQuery(equals < 0 ? piece : piece.slice(0, equals));
        if (isClients && passes !== null && !passes(name)) continue;
        if (replaced.has(name) || gone(name)) continue;
        names.add(name);
        // To services that read `;` as `&`, parameters would stand in it that nobody has judged.
        kept.push(isClients && piece.includes(";") ? piece.replaceAll(";", "%3B") : piece);
      }
      for (const { start, value } of setting) add(kept, start, value(x));
      for (const { name, start, value } of absent) if (!names.has(name)) add(kept, start, value(x));
      const base = mark < 0 ? path : path.slice(0, mark);
      request.path = kept.length === 0 ? base : `${base}?${kept.join("&")}`;
    },
  };
};

function add(kept: string[], start: string, value: string): void {
  if (value !== "") kept.push(start + value);
}

function parameters(written: Readonly<Record<string, string>>, paramNames: readonly string[]): readonly Parameter[] {
  return Object.entries(written).map(([name, text]) => {
    const template = compiled(text, paramNames);
    // A text without variables is encoded as their values are.
    const constant = template.constant === null ? null : encoded(template.constant);
    return { name, start: `${encoded(name)}=`, value: (x) => constant ?? template.renderQuery(x) };
  });
}

/** Nothing in it can end the parameter, for readers to whom `;`, `'` or `+` mean something too. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/**
 * How much of the query in front of the client's own is the route's (`rewrite`); 0 when that cannot be told, for what is the client's is judged.
 * @param query as it would go upstream: credentials may have been taken out of it
 */
function ownLength({ upstreamPath, query: clients }: Exchange, query: string): number {
  const mark = upstreamPath.indexOf("?");
  if (mark < 0 || !upstreamPath.endsWith(clients)) return 0;
  const before = upstreamPath.slice(mark + 1, upstreamPath.length - clients.length);
  if (before === "") return 0;
  if (clients === "") return query === before ? query.length + 1 : 0;
  const own = before.endsWith("&") ? before.slice(0, -1) : "";
  return own !== "" && (query === own || query.startsWith(before)) ? before.length : 0;
}

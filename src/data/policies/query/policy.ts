// Owns what a route changes about the query on the way upstream. Behind auth, which takes credentials out of it, and rewrite, which may add to it.
// Must never change what routes match or logs show: the exchange's own query. A condition that does not hold must never let through what the change would
// have replaced, nor one that cannot be evaluated what it would have removed.
import { matchNames } from "../../../base/name-patterns.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, UpstreamRequest } from "../../exchange/policy.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import { compiled } from "../../exchange/templates.ts";
import { decodeQuery } from "../../routing/request/query-walk.ts";
import { compileConditions, isDone, isUndecided } from "../conditional.ts";
import { changesIn, setOnCondition } from "../config-changes.ts";
import type { QueryConfig } from "./config.ts";

type Change = Exclude<QueryConfig, readonly unknown[]>;
type Changes = Pick<Change, "remove" | "set" | "setIfAbsent">;

/** Of one name, encoded with its `=`. */
interface Parameter {
  readonly name: string;
  readonly start: string;
  /** @returns '' for none */
  value(x: Exchange): string;
}

export const createQuery: PolicyFactory = (config, route): Policy => {
  const list = changesIn(config as QueryConfig).map(({ change }) => change); // parsed by querySchema in the primary
  const [only] = list;
  const onUpstreamRequest =
    only !== undefined && list.length === 1 && only.when === undefined
      ? compileChange(only, { paramNames: route.paramNames, passes: passesOf(list), isJudged: false })
      : inOrder(list, route);
  return { name: "query", onUpstreamRequest };
};

type Step = (x: Exchange, request: UpstreamRequest) => void;

/** All conditions are looked at before the first change; what the client sent is judged once, before all of them. */
function inOrder(list: readonly Change[], { name, paramNames }: PolicyRoute): Step {
  const judge = compileChange(NO_CHANGES, { paramNames, passes: passesOf(list), isJudged: false });
  const judged: Terms = { paramNames, passes: null, isJudged: true };
  const steps = list.map((change) => ({
    all: compileChange(change, judged),
    removal: change.remove.length === 0 ? null : compileChange({ ...NO_CHANGES, remove: change.remove }, judged),
  }));
  const decide = compileConditions(list, "request", `route ${name}: query`);
  return (x, request) => {
    const decision = decide(x);
    judge(x, request);
    for (let i = 0; i < steps.length; i++) {
      if (isDone(decision, i)) steps[i]?.all(x, request);
      else if (isUndecided(decision, i)) steps[i]?.removal?.(x, request);
    }
  };
}

const NO_CHANGES: Changes = { remove: [], set: {}, setIfAbsent: {} };

/** @returns which of the client's parameters go upstream, by their decoded names; null for all */
function passesOf(list: readonly Change[]): ((name: string) => boolean) | null {
  const allowed = list.flatMap(({ allow }) => (allow === undefined ? [] : [matchNames(allow)]));
  const withheld = setOnCondition(list);
  if (withheld.size === 0 && allowed.length < 2) return allowed[0] ?? null;
  return (name) => !withheld.has(name) && allowed.every((has) => has(name));
}

interface Terms {
  readonly paramNames: readonly string[];
  /** What goes of the client's own; null for all. */
  readonly passes: ((name: string) => boolean) | null;
  /** The client's own was judged before. */
  readonly isJudged: boolean;
}

function compileChange({ remove, set, setIfAbsent }: Changes, { paramNames, passes, isJudged }: Terms): Step {
  const gone = matchNames(remove);
  const replaced = new Set(Object.keys(set));
  const setting = parameters(set, paramNames);
  const absent = parameters(setIfAbsent, paramNames);
  return (x, request) => {
    const { path } = request;
    const mark = path.indexOf("?");
    const query = mark < 0 ? "" : path.slice(mark + 1);
    const own = isJudged ? query.length + 1 : ownLength(x, query);
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
  };
}

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

// Owns which requests a bench sends: those its operator names, or one guessed for each route. A guess must take the route it is made
// for, and must be safe: only GET and HEAD are guessed, because the services behind the gateway are real.
import { OperatorError } from "../../base/errors.ts";
import { isMethod, parseAuthority } from "../../base/http.ts";
import { type ProbedRequest, RouteProbe } from "../../control/config/check/route-probe.ts";
import { isQuery, normalisePath } from "../../data/routing/normalise.ts";
import { parsePattern, samplePath as sampleOf } from "../../data/routing/pattern.ts";
import { versionedPath } from "../../data/routing/versioned-paths.ts";
import type { Plan, RoutePlan } from "../../plan/plan.ts";
import type { ClientTypePlan, ValueMatch, VersioningPlan } from "../../plan/routing-terms.ts";
import type { BenchArguments } from "./bench-arguments.ts";

/** One request to send again and again. */
export interface BenchRequest extends ProbedRequest {
  /** Name of the route it takes. */
  readonly route: string;
  /** Host header; '' for the target's own. */
  readonly authority: string;
  readonly body: string;
}

/** A route that is not driven, and why. */
export interface Skipped {
  readonly route: string;
  readonly reason: string;
}

/** Routes driven in one run: more would get too few requests each. */
export const REQUESTS_MAX = 100;
const METHODS_WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "OPTIONS"]);

/** By built-in client type. */
const USER_AGENTS: Readonly<Record<string, string>> = {
  mobile: "sluice-bench Mobi",
  desktop: "sluice-bench-desktop",
  bot: "sluice-bench bot",
};

/** @throws OperatorError for a --url that is none, or that no route takes. */
export function benchRequests(plan: Plan, { urls, headers, body }: Pick<BenchArguments, "urls" | "headers" | "body">) {
  const probe = new RouteProbe(plan.routes, plan);
  if (urls.length > REQUESTS_MAX) throw new OperatorError(`--url: at most ${REQUESTS_MAX} at once`, 2);
  if (urls.length > 0) return { requests: urls.map((url) => named(url, probe, { headers, body, entry: entryOf(plan) })), skipped: [] };
  const requests: BenchRequest[] = [];
  const skipped: Skipped[] = [];
  for (const route of plan.routes) {
    const guess =
      requests.length < REQUESTS_MAX
        ? guessed(route, probe, { plan, headers })
        : `only ${REQUESTS_MAX} routes are driven at once; name it with --url`;
    if (typeof guess === "string") skipped.push({ route: route.name, reason: guess });
    else requests.push(guess);
  }
  return { requests, skipped };
}

/** `POST https://api.example.com/orders?x=1` or any end of it. */
function named(
  text: string,
  probe: RouteProbe<RoutePlan>,
  given: { readonly headers: readonly string[]; readonly body: string; readonly entry: Entry },
): BenchRequest {
  const [, method = "GET", url = ""] = /^(?:([A-Za-z]+) +)?(\S+)$/.exec(text) ?? [];
  const whole = url.startsWith("/") ? `http://host${url}` : url;
  if (!URL.canParse(whole) || !isMethod(method))
    throw new OperatorError(`--url: expected "[METHOD ]/path" or "[METHOD ]http://host/path", not "${text}"`, 2);
  const written = whole.slice(whole.indexOf("/", whole.indexOf("//") + 2));
  const target = written.startsWith("/") ? written : "/";
  const [path = "/", query = ""] = [target.split("?")[0], target.split("?").slice(1).join("?")];
  const normal = normalisePath(path);
  if (normal === null || !isQuery(query)) throw new OperatorError(`--url: the gateway refuses the path of "${text}"`, 2);
  const authority = url.startsWith("/") ? "" : new URL(whole).host;
  const host = hostOf(given.headers, authority);
  const request = { method: method.toUpperCase(), host, path: normal, query, headers: given.headers, ...given.entry };
  const route = probe.routeOf(request);
  if (route === null)
    throw new OperatorError(
      `--url: no route takes "${text}"${host === "" ? "; a route with hosts needs a whole URL" : ""}; see \`sluice routes\``,
      2,
    );
  return { ...request, route: route.name, authority, body: METHODS_WITHOUT_BODY.has(request.method) ? "" : given.body };
}

/** A Host header of the operator's stands above all. */
function hostOf(headers: readonly string[], authority: string): string {
  const at = headers.indexOf("host");
  const text = at >= 0 && at % 2 === 0 ? (headers[at + 1] ?? "") : authority;
  return text === "" ? "" : (parseAuthority(text)?.host ?? text);
}

/** @returns a request that takes the route, or why none can be guessed */
function guessed(
  route: RoutePlan,
  probe: RouteProbe<RoutePlan>,
  { plan, headers: given }: { readonly plan: Plan; readonly headers: readonly string[] },
): BenchRequest | string {
  const { match } = route;
  const method = ["GET", "HEAD"].find((each) => match.methods.length === 0 || match.methods.includes(each));
  if (method === undefined)
    return `it takes only ${match.methods.join(", ")}, which may change something; name a request with --url "${match.methods[0]} ..."`;
  const query = values(match.query);
  const fields = values(match.headers);
  const entry = entryOf(plan);
  if (match.listeners.length > 0 && !match.listeners.includes(entry.listener))
    return `it is for the listener ${match.listeners.join(" or ")}; only the first is driven`;
  if (match.scheme !== null && match.scheme !== entry.scheme)
    return `it is for ${match.scheme}, and the first listener speaks ${entry.scheme}`;
  if (query === null || fields === null) return "it asks for a value that matches a pattern; name a request with --url and --header";
  const client = match.client === null ? [] : clientHeaders(match.client, plan.clients);
  if (client === null) return "its client type asks for a value that matches a pattern; name a request with --url and --header";
  const [version = ""] = match.versions;
  const authority = hostOf(given, "") === "" ? (match.hosts[0] ?? "").replace(/^\*\./, "sluice-bench.") : "";
  let reason = "";
  for (const path of match.paths) {
    const named = version === "" || plan.versioning === null ? NO_VERSION : versionOf(version, path, plan.versioning);
    const request = {
      method,
      host: hostOf(given, authority),
      path: samplePath(named.path ?? path),
      ...entry,
      query: [...query, ...named.query].map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&"),
      headers: [...given, ...fields.flat(), ...client, ...named.headers],
    };
    const taken = probe.routeOf(request);
    if (taken?.name === route.name) return { ...request, route: route.name, authority, body: "" };
    reason ||= `${method} ${request.path} goes to ${taken?.name ?? "no route"}; name a request with --url`;
  }
  return reason;
}

type Entry = Pick<ProbedRequest, "listener" | "scheme">;

/** Where the bench comes in: at a listener like the first. */
function entryOf({ listeners: [first] }: Plan): Entry {
  return { listener: first?.name ?? "", scheme: first == null || first.tls === null ? "http" : "https" };
}

/** @returns the headers of a client of a type, flat; null when they cannot be guessed */
function clientHeaders(name: string, clients: readonly ClientTypePlan[]): string[] | null {
  const type = clients.find((each) => each.name === name);
  if (type === undefined) return ["user-agent", USER_AGENTS[name] ?? ""];
  const fields = values(type.headers);
  const glob = type.userAgents.find(({ kind }) => kind === "glob");
  if (fields === null || (type.userAgents.length > 0 && glob === undefined)) return null;
  return [...fields.flat(), ...(glob === undefined ? [] : ["user-agent", glob.value.replaceAll("*", "")])];
}

/** How a request says its version. */
interface NamedVersion {
  readonly headers: readonly string[];
  readonly query: readonly (readonly [string, string])[];
  /** Pattern instead of the route's; null: the route's. */
  readonly path: string | null;
}

const NO_VERSION: NamedVersion = { headers: [], query: [], path: null };

function versionOf(version: string, path: string, versioning: VersioningPlan): NamedVersion {
  const { header, query, accept } = versioning;
  if (header !== null) return { ...NO_VERSION, headers: [header, version] };
  if (query !== null) return { ...NO_VERSION, query: [[query, version]] };
  if (accept !== null) return { ...NO_VERSION, headers: ["accept", `*/*;${accept.parameter}=${version}`] };
  return { ...NO_VERSION, path: versioning.path === null ? null : versionedPath(path, versioning.path, version) };
}

/** @returns a name and value for each condition, or null when one cannot be guessed */
function values(conditions: readonly ValueMatch[]): (readonly [string, string])[] | null {
  if (conditions.some(({ kind }) => kind === "regex")) return null;
  return conditions.map((condition) => [condition.name, condition.kind === "present" ? "1" : condition.value]);
}

/** A path that a pattern matches: `1` for a parameter (or the shortest text that its constraint takes), `x` for `*` and below `**`. */
export function samplePath(pattern: string): string {
  const parsed = parsePattern(pattern);
  if ("error" in parsed) return pattern; // a plan has none
  return sampleOf(
    parsed,
    (segment) => (segment.kind === "single" && segment.name === null ? "x" : "1"),
    parsed.segments.length > 0 ? ["x"] : [],
  );
}

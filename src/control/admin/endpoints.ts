// Owns what each admin path answers. Must change nothing except through AdminDeps.
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from "../../observe/prometheus.ts";
import { breakers } from "./breakers.ts";
import { cacheView, purge, warm } from "./cache.ts";
import type { AdminDeps } from "./deps.ts";
import { type AdminAnswer, json, problem } from "./problem.ts";
import { STATUS_PAGE, statusPagePolicy } from "./status-page.ts";
import { breakersView, identityKeysView, limitsView, routesView, statusView, upstreamsView, workersView } from "./views.ts";

interface AdminRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  /** An operator calls. */
  readonly proven: boolean;
}

type Endpoint = (deps: AdminDeps, request: AdminRequest) => AdminAnswer | Promise<AdminAnswer>;

/** Path -> method -> endpoint. HEAD is answered as GET without body. */
const ENDPOINTS: ReadonlyMap<string, Readonly<Record<string, Endpoint>>> = new Map(
  Object.entries({
    "/": { GET: () => statusPage() },
    "/healthz": { GET: () => json({ status: "ok" }) },
    "/readyz": { GET: readiness },
    "/metrics": {
      GET: (deps) => ({ status: 200, type: PROMETHEUS_CONTENT_TYPE, body: renderPrometheus(deps.totals, deps.state()) }),
    },
    "/config": { GET: (deps) => json(deps.config()) },
    "/identity/jwks": { GET: (deps) => json(identityKeysView(deps.plan())) },
    "/routes": { GET: (deps) => json(routesView(deps.plan())) },
    "/breakers": { GET: (deps) => json(breakersView(deps.breakers(), deps.state())) },
    "/fleet": { GET: (deps) => json(deps.state().fleet) },
    "/upstreams": { GET: (deps) => json(upstreamsView(deps.state(), deps.totals)) },
    "/workers": { GET: (deps) => json(workersView(deps.state(), deps.totals)) },
    "/limits": { GET: (deps) => json(limitsView(deps.state(), deps.totals)) },
    "/cache": { GET: (deps, { query }) => cacheView(deps, query) },
    "/cache/purge": { POST: (deps, { query }) => purge(deps, query) },
    "/cache/warm": { POST: (deps, { query }) => warm(deps, query) },
    "/status": { GET: (deps) => json(statusView(deps.state(), deps.totals, deps.plan())) },
    "/reload": { POST: reload },
    "/drain": { POST: (deps) => ({ ...json({ status: "draining" }, 202), afterwards: () => deps.drain() }) },
  } satisfies Record<string, Record<string, Endpoint>>),
);

/** @returns the answer to a request that the guard let through. Rejects only for a bug. */
export async function answer(deps: AdminDeps, method: string, request: AdminRequest): Promise<AdminAnswer> {
  if (request.path.startsWith("/debug/")) return debug(deps, method, request);
  if (request.path.startsWith("/breakers/")) return breakers(deps, method, request.path);
  const methods = ENDPOINTS.get(request.path);
  if (methods === undefined) return problem("not_found");
  const endpoint = methods[method === "HEAD" ? "GET" : method];
  if (endpoint !== undefined && Object.hasOwn(methods, method === "HEAD" ? "GET" : method)) return endpoint(deps, request);
  const allow = Object.keys(methods).flatMap((m) => (m === "GET" ? ["GET", "HEAD"] : [m]));
  return problem("method_not_allowed", {}, { allow: allow.join(", ") });
}

/** Probes carry no token: they are told what is wrong, but no names, addresses or causes. */
function readiness(deps: AdminDeps, { proven }: AdminRequest): AdminAnswer {
  const { phase, concerns, planVersion, insecure } = deps.state();
  const ready = phase === "serving";
  const told = [...new Set(concerns.map(({ summary, detail }) => (proven ? detail : summary)))];
  const opened = proven && insecure.length > 0 ? { insecure } : {};
  return json({ status: ready ? "ready" : phase, planVersion, concerns: told, ...opened }, ready ? 200 : 503);
}

async function reload(deps: AdminDeps): Promise<AdminAnswer> {
  const result = await deps.reload();
  if (!result.ok) return problem("reload_refused", { problems: result.problems.map((p) => (typeof p === "string" ? { message: p } : p)) });
  const { version, changes, warnings } = result;
  return json({ version, changes, warnings });
}

async function debug(deps: AdminDeps, method: string, request: AdminRequest): Promise<AdminAnswer> {
  if (method !== "POST" || deps.debug === undefined) return problem("not_found");
  const done = deps.debug(request.path.slice("/debug/".length), request.query);
  return done === null ? problem("not_found") : json({ result: (await done) ?? null });
}

function statusPage(): AdminAnswer {
  return { status: 200, type: "text/html; charset=utf-8", body: STATUS_PAGE, headers: { "content-security-policy": statusPagePolicy() } };
}

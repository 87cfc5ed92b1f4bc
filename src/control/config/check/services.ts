// Owns the checks of services that decide about requests (introspection, forwardAuth): upstreams that must exist, what must not go in the clear, and
// gateways that would call themselves. Must never resolve a name.

import { formatDurationMs } from "../../../base/units.ts";
import type { IntrospectionConfig } from "../../../data/policies/auth/introspection/config.ts";
import { isPrivateTarget } from "../../../data/policies/config-service.ts";
import type { CacheConfig, SubrequestConfig } from "../../../data/policies/config-subrequest.ts";
import { BREAKER_UPSTREAMS_MAX } from "../../../shared/breaker-layout.ts";
import type { Draft } from "../schema/sections.ts";
import { suggest } from "../source/problem.ts";
import type { Findings } from "./references.ts";
import { type ServiceUser, serviceUsers } from "./service-of.ts";

export function checkServices(draft: Draft, findings: Findings): void {
  checkBreakers(draft, findings);
  const said = new Set<string>();
  for (const each of serviceUsers(draft)) {
    checkName(each, draft, findings);
    // Routes have most of it from the defaults: it is told once.
    const key = JSON.stringify(each.config);
    if (said.has(key)) continue;
    said.add(key);
    checkTimeout(each, draft, findings);
    if (each.kind === "introspection") checkClear(each, draft, findings);
    else {
      checkOwnAddress(each, draft, findings);
      checkSubrequest(each, draft, findings);
    }
  }
}

/** Of routes this is checked with what else they name. */
function checkName({ path, service }: ServiceUser, { upstreamNames }: Draft, { report }: Findings): void {
  if (path[0] !== "auth" || service.own !== null || upstreamNames.includes(service.upstream)) return;
  report([...path, "to"], `there is no upstream named ${service.upstream}`, suggest(service.upstream, upstreamNames, "upstreams"));
}

/** What a policy does takes no longer than limits.policyTimeout lets it. */
function checkTimeout({ path, config }: ServiceUser, { sections }: Draft, { warn }: Findings): void {
  const { timeoutMs } = config as { readonly timeoutMs: number }; // output of every schema with a service
  const mostMs = sections.limits?.policyTimeoutMs ?? timeoutMs;
  if (timeoutMs <= mostMs) return;
  const bound = `\`limits.policyTimeout\` (${formatDurationMs(mostMs)})`;
  warn([...path, "timeout"], `${bound} ends before \`timeout: ${formatDurationMs(timeoutMs)}\` does`, "lower it, or raise that one");
}

const WAY_OUT = "; in a network that you trust, add `insecure: [http-introspection]`";

/** Whoever can read the exchange with a provider has the gateway's secret and every token. */
function checkClear({ path, service, config }: ServiceUser, { upstreams }: Draft, { report }: Findings): void {
  const upstream = service.own === null ? upstreams.find(({ name }) => name === service.upstream) : undefined;
  if (upstream === undefined) return;
  const { insecure } = config as IntrospectionConfig; // output of its schema
  if (insecure.length > 0) {
    if (upstream.tls?.verify !== false && upstream.targets.every(({ url }) => isPrivateTarget(url)))
      report([...path, "insecure"], `http-introspection opens nothing: ${upstream.name} has verified or local targets only`, "remove it");
    return;
  }
  const open = upstream.targets.find(({ url }) => !isPrivateTarget(url));
  if (open !== undefined)
    report(
      [...path, "to"],
      `the secret and the tokens would go to ${open.url} in the clear`,
      `use https targets: only a provider on this machine may be called in the clear${WAY_OUT}`,
    );
  if (upstream.tls?.verify === false)
    report([...path, "to"], `the upstream ${upstream.name} does not verify its targets`, `remove \`tls-unverified\` there${WAY_OUT}`);
}

const LOOPBACK = /^(127(\.\d{1,3}){3}|\[::1\]|localhost)$/;
const ANY = new Set(["0.0.0.0", "::"]);

/** Each subrequest would cause the next. */
function checkOwnAddress({ path, service }: ServiceUser, { listeners, upstreams, routes }: Draft, { warn }: Findings): void {
  const targets =
    service.own === null ? (upstreams.find(({ name }) => name === service.upstream)?.targets ?? []) : [{ url: service.own.target }];
  const hosts = new Set(routes.flatMap(({ match }) => match.hosts));
  for (const { url } of targets) {
    const [, host = "", port = ""] = /^https?:\/\/(.*?)(?::(\d+))?$/.exec(url) ?? [];
    const own = listeners.find(
      (each) =>
        each.port > 0 &&
        String(each.port) === port &&
        (hosts.has(host) ||
          host === each.host ||
          host === `[${each.host}]` ||
          (LOOPBACK.test(host) && (ANY.has(each.host) || LOOPBACK.test(each.host)))),
    );
    if (own === undefined) continue;
    warn(
      [...path, service.own === null ? "to" : "url"],
      `${url} is the gateway's own listener ${own.address}: a subrequest that matches a route with \`forwardAuth\` causes another one`,
      "name the service's own address",
    );
    return;
  }
}

const WHO: readonly string[] = ["header", "cookie", "consumer", "ip"];

function checkSubrequest({ path, config }: ServiceUser, { sections }: Draft, { warn }: Findings): void {
  const { cache, requestHeaders } = config as SubrequestConfig; // output of both schemas
  if (cache !== null && !namesCaller(cache))
    warn(
      [...path, "cache", "key"],
      "nothing in the key says who is calling: all callers share a decision",
      "add header.NAME, cookie.NAME or consumer",
    );
  const names = new Set(sections.identity?.protectedNames);
  for (const [i, name] of requestHeaders.entries())
    if (names.has(name))
      warn(
        [...path, "requestHeaders", i],
        "no request has this header: it is removed from what clients send",
        "the service receives who is calling in any case",
      );
}

const namesCaller = ({ key }: CacheConfig): boolean => key === null || key.some(({ kind }) => WHO.includes(kind));

/** As compile/implicit-upstreams.ts makes upstreams of them: routes with the same service share one. */
function checkBreakers(draft: Draft, { report }: Findings): void {
  const own = serviceUsers(draft).filter(({ service }) => service.own !== null);
  const ofRoutes = own.filter(({ path }) => path[0] === "routes");
  const implicit = own.length - ofRoutes.length + new Set(ofRoutes.map(({ service }) => JSON.stringify(service))).size;
  if (implicit > 0 && implicit + draft.upstreams.filter(({ breaker }) => breaker !== undefined).length > BREAKER_UPSTREAMS_MAX)
    report(
      ["routes"],
      `more than ${BREAKER_UPSTREAMS_MAX} upstreams have a breaker, those of services at a URL included`,
      "use the same `forwardAuth` for routes with the same service, or `to`",
    );
}

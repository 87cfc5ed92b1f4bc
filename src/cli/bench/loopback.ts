// Owns the rule that a load stays on this machine unless its operator says otherwise.
import { OperatorError } from "../../base/errors.ts";
import type { Plan } from "../../plan/plan.ts";

/** @param host as in a URL: a name, an IPv4 address, or an IPv6 address in brackets */
export function isLoopback(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, "").toLowerCase();
  return plain === "localhost" || plain === "::1" || /^127(\.\d{1,3}){3}$/.test(plain);
}

/** Hosts beyond this machine that a load would reach: the target itself, and upstreams of the routes that are driven. */
export function remoteHosts(plan: Plan, routes: ReadonlySet<string>, target: URL | null): readonly string[] {
  const hosts = new Set<string>();
  if (target !== null) hosts.add(target.hostname);
  for (const route of plan.routes) {
    if (!routes.has(route.name)) continue;
    for (const index of route.upstreams) {
      for (const { url } of plan.upstreams[index]?.targets ?? []) hosts.add(hostIn(url));
    }
  }
  return [...hosts].filter((host) => !isLoopback(host));
}

/** @throws OperatorError naming them when there are any. */
export function refuseRemote(hosts: readonly string[]): void {
  if (hosts.length === 0) return;
  throw new OperatorError(
    `the load would leave this machine: ${hosts.join(", ")}. A bench can bring a service down; point the configuration at local services, or say --allow-remote if all of them are yours to load`,
  );
}

/** Also of `http+srv://_http._tcp.name`, which is never local: a name server says where it leads. */
function hostIn(url: string): string {
  return url.includes("+srv://") ? url : new URL(url).hostname;
}

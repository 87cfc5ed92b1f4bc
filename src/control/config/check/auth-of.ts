// Owns what a route's configuration says about who may call it. Must not load the schema: the plan is compiled without.
import type { AuthConfig } from "../../../data/policies/auth/config.ts";
import type { RouteConfig } from "../schema/route.ts";

/** What a route says under `auth`; undefined when it says nothing. */
export function authOf(route: RouteConfig): AuthConfig | undefined {
  return route.policies.find((policy) => policy.name === "auth")?.config as AuthConfig | undefined; // parsed by authSchema
}

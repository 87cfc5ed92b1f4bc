// Owns what a route's configuration says about who may call it. Must not load the schema: the plan is compiled without.
import type { AuthConfig, AuthTree } from "../../../data/policies/auth/config.ts";
import type { RouteConfig } from "../schema/route.ts";

/** What a route says under `auth`; undefined when it says nothing. */
export function authOf(route: RouteConfig): AuthConfig | undefined {
  return route.policies.find((policy) => policy.name === "auth")?.config as AuthConfig | undefined; // parsed by authSchema
}

/** Names of the authenticators that a route's tree has. */
export function authenticatorsOf(route: RouteConfig): readonly string[] {
  const tree = authOf(route)?.tree ?? null;
  return tree === null ? [] : leavesOf(tree);
}

function leavesOf(tree: AuthTree): readonly string[] {
  if (tree.kind === "one") return [tree.name];
  return tree.kind === "optional" ? leavesOf(tree.of) : tree.of.flatMap(leavesOf);
}

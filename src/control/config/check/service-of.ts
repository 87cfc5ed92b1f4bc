// Owns how the configurations of policies and authenticators that call a service are found. Must not load a schema: the plan is compiled without.
import type { ServiceRef } from "../../../plan/service-ref.ts";
import type { Draft } from "../schema/sections.ts";
import type { PathPart } from "../source/problem.ts";

/** The one policy that calls a service; others may use the key `service` for something else. */
export const FORWARD_AUTH = "forwardAuth";

/** @returns the service that a configuration refers to; null for none. @param config output of a schema */
export function serviceOf(config: unknown): ServiceRef | null {
  if (typeof config !== "object" || config === null || !("service" in config)) return null;
  return config.service as ServiceRef; // every kind that calls a service has it under this name
}

/** Whoever calls a service. */
export interface ServiceUser {
  readonly path: readonly PathPart[];
  readonly kind: string;
  readonly config: unknown;
  readonly service: ServiceRef;
}

/** All of them, authenticators first. */
export function serviceUsers(draft: Draft): ServiceUser[] {
  const found: ServiceUser[] = [];
  const add = (path: readonly PathPart[], kind: string, config: unknown): void => {
    const service = serviceOf(config);
    if (service !== null) found.push({ path, kind, config, service });
  };
  for (const { name, kind, config } of draft.sections.auth ?? []) add(["auth", name, kind], kind, config);
  for (const [i, { policies }] of draft.routes.entries())
    for (const { name, config } of policies) if (name === FORWARD_AUTH) add(["routes", i, name], name, config);
  return found;
}

/** Configured upstreams that are called as services. */
export const serviceUpstreams = (draft: Draft): readonly string[] =>
  serviceUsers(draft).flatMap(({ service }) => (service.own === null ? [service.upstream] : []));

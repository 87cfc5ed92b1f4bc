// Owns the key `host` of upstreams and routes: what the Host of a request to a service is. Its output is the plan's.
import * as z from "zod";
import { parseAuthority } from "../../../base/http.ts";
import { parseIpv4 } from "../../../base/ip.ts";
import { once } from "../../../base/schema.ts";
import type { HostPlan } from "../../../plan/plan.ts";

export const host = once(() =>
  z
    .string()
    .transform((text, ctx): HostPlan => {
      if (text === "client" || text === "target") return text;
      const authority = parseAuthority(text);
      if (authority !== null) return { name: authority.port === -1 ? authority.host : `${authority.host}:${authority.port}` };
      ctx.addIssue({ code: "custom", message: "expected client, target, or a host such as api.internal or api.internal:8443" });
      return z.NEVER;
    })
    .meta({ pattern: /^[^\s/]+$/.source, examples: ["client", "target", "api.internal"] }),
);

/** @returns the name that TLS may ask for by SNI; null for none, as there is none for addresses (RFC 6066 section 3) */
export function serverNameOf(host: HostPlan): string | null {
  if (typeof host === "string") return null;
  const name = parseAuthority(host.name)?.host ?? "";
  return name === "" || name.startsWith("[") || parseIpv4(name) >= 0 ? null : name;
}

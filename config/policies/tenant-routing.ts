// Policy tenant-routing: sends each tenant's requests to the upstream that holds its data. The tenant is the first label of the host.
import { definePolicy } from "sluice/policy";

export default definePolicy({
  name: "tenant-routing",
  phase: "origin",
  schema: (z) =>
    z.strictObject({
      /** `.shop.example`: what follows the tenant's name. */
      domain: z.string().regex(/^\.[a-z0-9.-]+$/),
      /** Tenant -> upstream. */
      tenants: z.record(z.string(), z.string()),
    }),
  upstreams: (config) => [...new Set(Object.values(config.tenants))],
  create(config) {
    return {
      onRequest(x) {
        const tenant = x.host.endsWith(config.domain) ? x.host.slice(0, -config.domain.length) : "";
        const upstream = Object.hasOwn(config.tenants, tenant) ? config.tenants[tenant] : undefined;
        if (upstream === undefined) return { problem: "route_not_found" };
        x.sendTo(upstream);
        x.setUpstreamHeader("x-tenant", tenant);
      },
    };
  },
});

// Policy ab-cookie: splits visitors between two upstreams and keeps each where it is, by a cookie.
import { definePolicy } from "sluice/policy";

const VARIANTS = ["a", "b"] as const;
type Variant = (typeof VARIANTS)[number];

export default definePolicy({
  name: "ab-cookie",
  phase: "origin",
  schema: (z) =>
    z.strictObject({
      cookie: z.string().regex(/^[\w-]+$/),
      a: z.string(),
      b: z.string(),
      /** Of new visitors, 0 to 1. */
      shareOfB: z.number().min(0).max(1),
    }),
  upstreams: (config) => [config.a, config.b],
  create(config, route) {
    const chosen = route.slot<Variant>();
    return {
      onRequest(x) {
        const known = VARIANTS.find((variant) => variant === x.cookie(config.cookie));
        const variant = known ?? (Math.random() < config.shareOfB ? "b" : "a");
        if (known === undefined) chosen.set(x, variant);
        x.sendTo(config[variant]);
      },
      onResponse(x) {
        const variant = chosen.get(x);
        if (variant !== undefined) x.addResponseHeader("set-cookie", `${config.cookie}=${variant}; Path=/; Max-Age=2592000; SameSite=Lax`);
      },
      // Two answers to one URL: the cache to come has to keep them apart.
      cacheKey: (x) => x.cookie(config.cookie) ?? "",
    };
  },
});

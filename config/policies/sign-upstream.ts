// Policy sign-upstream: signs each attempt for a service that takes requests from this gateway only. HMAC-SHA256 over method, path, host and time.
import { createHmac } from "node:crypto";
import { definePolicy } from "sluice/policy";

export default definePolicy({
  name: "sign-upstream",
  phase: "origin",
  schema: (z) => z.strictObject({ keyId: z.string().min(1), key: z.string().min(32) }),
  create(config) {
    return {
      // Not onRequest: a retry has a time and perhaps a host of its own.
      onUpstreamRequest(x) {
        const time = new Date().toISOString();
        const text = [x.upstreamMethod, x.upstreamPath, x.upstreamHeader("host") ?? "", time].join("\n");
        x.setUpstreamHeader("x-signature-key", config.keyId);
        x.setUpstreamHeader("x-signature-time", time);
        x.setUpstreamHeader("x-signature", createHmac("sha256", config.key).update(text).digest("base64"));
      },
    };
  },
});

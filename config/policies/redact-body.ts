// Policy redact-body: takes members out of JSON that an upstream answers with, wherever they stand in it. What cannot be read as JSON is not let out.
import { definePolicy } from "sluice/policy";

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\b/i;

export default definePolicy({
  name: "redact-body",
  phase: "origin",
  schema: (z) => z.strictObject({ members: z.array(z.string()).min(1), maxBytes: z.int().min(1).max(16_777_216).default(1_048_576) }),
  create(config) {
    const hidden = new Set(config.members);
    return {
      responseBody: {
        maxBytes: config.maxBytes,
        applies: (x) => JSON_TYPE.test(x.responseHeader("content-type") ?? ""),
        change: (body) =>
          body.length === 0
            ? body
            : JSON.stringify(JSON.parse(body.toString("utf8"), (key, value) => (hidden.has(key) ? undefined : value))),
      },
    };
  },
});

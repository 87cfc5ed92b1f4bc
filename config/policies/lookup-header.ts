// Policy lookup-header: tells the upstream the plan of whoever calls, from a table beside this file. A caller that is not in the table has the default.
import { definePolicy } from "sluice/policy";
import plans from "./plans.json" with { type: "json" };

const table: Readonly<Record<string, string>> = plans;

export default definePolicy({
  name: "lookup-header",
  phase: "origin",
  schema: (z) => z.strictObject({ header: z.string().min(1), default: z.string().default("free") }),
  create(config) {
    return {
      onRequest(x) {
        const consumer = x.caller?.consumer;
        const plan = consumer !== undefined && Object.hasOwn(table, consumer) ? table[consumer] : undefined;
        // Set in each case: what the client sends under this name never reaches the upstream.
        x.setUpstreamHeader(config.header, plan ?? config.default);
      },
    };
  },
});

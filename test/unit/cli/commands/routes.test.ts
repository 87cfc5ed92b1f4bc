// `sluice routes` on routes that are answered otherwise than by one upstream.
import { expect, it } from "vitest";
import { routeTable } from "../../../../src/cli/commands/routes.ts";
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { good, withRoutes } from "../../../support/config-text.ts";

it("an aggregated route shows its legs in their order, with their upstreams, optional ones with a question mark", () => {
  const legs = "recs: { to: users, path: /r, required: false }, user: { to: users, path: /u }";
  const { config } = good([withRoutes(`  - { name: page, match: { path: /page }, aggregate: { ${legs} } }\n`)]);
  const table = routeTable(compilePlan(config, { version: 1, metricSlot: () => 0 }));
  expect(table.split("\n")[1]).toBe("0  page  *     /page  *        -           (aggregate recs?: users, user: users)  -");
});

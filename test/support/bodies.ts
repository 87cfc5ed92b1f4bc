// Owns the limits on bodies of a worker that is alone.
import { BodyLimits } from "../../src/data/exchange/body/body-limits.ts";
import { AddressBucket } from "../../src/shared/address-bucket.ts";
import { AddressCounts, addressCountsBytes } from "../../src/shared/address-counts.ts";
import { BodyBudget, bodyBudgetBytes } from "../../src/shared/body-budget.ts";

export function testBodies(): BodyLimits {
  const budget = new BodyBudget(new SharedArrayBuffer(bodyBudgetBytes(1)), 0);
  const counts = new AddressCounts(new SharedArrayBuffer(addressCountsBytes(1)), 0);
  return new BodyLimits(budget, counts, new AddressBucket(new Uint8Array(16)));
}

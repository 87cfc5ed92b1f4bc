// The admission and eviction of the response store against a plain LRU of as many bytes. bench/cache-hit-ratio.ts prints more of it.
import { expect, it } from "vitest";
import { hitRatios, TRACES } from "../../../support/cache-traces.ts";

it.each(TRACES)("hits at least as often as LRU, and more often where a scan comes between: $name", (trace) => {
  const { store, lru } = hitRatios(trace, { requests: 30_000, objects: 20_000, share: 0.1 });
  expect(store).toBeGreaterThan(lru + (trace.scan > 0 ? 0.03 : 0.01));
});

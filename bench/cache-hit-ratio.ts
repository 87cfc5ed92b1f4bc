// Prints the hit ratio of the response store beside a plain LRU of the same bytes, on traces of keys that follow Zipf's law, with and without a scan in between.
// CPU alone, one thread, nothing on the network. Run: node bench/cache-hit-ratio.ts [--requests N] [--objects N]   (default: 400000, 100000)
import { parseArgs } from "node:util";
import { hitRatios, TRACES } from "../test/support/cache-traces.ts";

const { values } = parseArgs({
  options: { requests: { type: "string", default: "400000" }, objects: { type: "string", default: "100000" } },
});
const size = { requests: Number(values.requests), objects: Number(values.objects) };

console.log("trace                       share of objects that fit   store    LRU");
for (const trace of TRACES) {
  for (const share of [0.01, 0.05, 0.1]) {
    const { store, lru } = hitRatios(trace, { ...size, share });
    console.log(`${trace.name.padEnd(28)}${`${share * 100} %`.padEnd(28)}${store.toFixed(3)}    ${lru.toFixed(3)}`);
  }
}

// What finding out who asks costs: nobody in front, and behind one trusted proxy.
import { createClientResolver } from "../../src/data/exchange/client/forwarded.ts";
import { ReadExchange } from "../../test/support/read-exchange.ts";
import type { Micro } from "./measure.ts";

function resolving(peer: string, headers: string[], expected: string): Micro["prepare"] {
  return () => {
    const resolver = createClientResolver(["10.0.0.0/8", "fd00::/8"]);
    const x = new ReadExchange({ resolver, peer, headers });
    if (resolver.resolve(x).ip !== expected) throw new Error("the wrong client");
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += resolver.resolve(x).ip.length;
      return sum;
    };
  };
}

export const MICRO: readonly Micro[] = [
  { name: "client address, nobody in front", prepare: resolving("203.0.113.7", [], "203.0.113.7") },
  { name: "client address behind a proxy", prepare: resolving("10.0.0.1", ["x-forwarded-for", "198.51.100.1"], "198.51.100.1") },
];

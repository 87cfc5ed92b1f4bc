// Measures what calling a service costs beside the call itself: making the subrequest, its keys, and reading the answer.
// Run: node bench/micro/run.ts forward-auth.
import { createClientResolver } from "../../src/data/exchange/client/forwarded.ts";
import type { Runtime } from "../../src/data/exchange/runtime.ts";
import { decisionOf } from "../../src/data/policies/decision.ts";
import { chosenKey, ReservedHeaders, subrequestHeaders, wholeKey } from "../../src/data/policies/subrequest.ts";
import { flat, TestExchange } from "../../test/support/exchange.ts";
import type { Micro } from "./measure.ts";

const HEADERS = {
  accept: "text/html",
  "accept-encoding": "gzip, br",
  "user-agent": "Mozilla/5.0",
  authorization: "Bearer abcdefghijklmnopqrstuvwxyz0123456789",
  cookie: "session=0123456789abcdef; theme=dark",
  "x-user": "root",
};
const SHOWN = ["authorization", "cookie"];
const ANSWER = { status: 200, headers: flat({ "x-user": "ann", "content-type": "text/plain", server: "x" }), body: null };
const EXPECT = { statuses: [{ min: 200, max: 299 }], headers: [] };

function exchange(): TestExchange {
  const x = new TestExchange({ path: "/shop/items/8412", query: "page=2", headers: HEADERS });
  const client = createClientResolver([]);
  const runtime: Pick<Runtime, "resolveClient" | "appendForwarding"> = {
    resolveClient: (of) => client.resolve(of),
    appendForwarding: (of, out) => client.appendForwarding(of, out),
  };
  Object.assign(x.runtime, runtime);
  return x;
}

/** @param work gives a number of which all calls' are alike */
const micro = (name: string, expected: number, work: (x: TestExchange) => number): Micro => ({
  name,
  prepare() {
    const x = exchange();
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += work(x);
      if (sum !== expected * count) throw new Error(`${name}: ${sum / count} instead of ${expected}`);
      return sum;
    };
  },
});

const guarded = new ReservedHeaders(["x-user", "x-forward-auth"]);
const KEY_CHARS = 43;
const KEY = [{ kind: "cookie", name: "session" }, { kind: "path" }] as const;

export const MICRO: readonly Micro[] = [
  micro("the headers of a subrequest", 20, (x) => subrequestHeaders(x, SHOWN, x.query).length),
  micro("the key of everything that was shown", KEY_CHARS, (x) => wholeKey(subrequestHeaders(x, SHOWN, x.query), null).length),
  micro("a key of one cookie and the path", KEY_CHARS, (x) => chosenKey(x, KEY)?.length ?? 0),
  micro("an answer that lets pass, and its header in the place of the client's", 12, (x) => {
    const headers = x.headers.slice();
    guarded.removeFrom(headers);
    const decision = decisionOf(ANSWER, EXPECT, ["x-user"]);
    return decision.kind === "allowed" ? headers.push(...decision.headers) : 0;
  }),
];

// The way of a request through the rooms of the data plane, read off the call stack where it turns: one way down, one way up, no room twice.
import { expect, it } from "vitest";
import { PlayedWorker } from "../../../support/played-worker.ts";

const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: http://a }], retry: { attempts: 1, on: [503], nonIdempotent: true, backoff: { base: 1ms, max: 1ms } } }
routes:
  - name: r
    match: {}
    to: a
    headers: { response: { set: { x-seen: "yes" } } }
    compress: { minBytes: 1B }
`;

/** Rooms on the stack, outermost first, each once in a row. */
function rooms(): string {
  const { stack = "" } = new Error("here");
  const passed = stack
    .split("\n")
    .flatMap((line) => /src\/data\/([^/]+)\//.exec(line)?.[1] ?? [])
    .reverse();
  return passed.filter((room, i) => room !== passed[i - 1]).join(" > ");
}

/** What the rooms were where a request turned: at the service's door, and when its response reached the client. */
function watched(worker: PlayedWorker): { readonly walks: string[]; readonly ask: PlayedWorker["ask"] } {
  const walks: string[] = [];
  worker.onDispatch = () => walks.push(`down: ${rooms()}`);
  const ask: PlayedWorker["ask"] = (path, request) => {
    const x = worker.ask(path, request);
    const start = x.start.bind(x);
    x.start = (...given) => {
      walks.push(`up: ${rooms()}`);
      start(...given);
    };
    return x;
  };
  return { walks, ask };
}

it("a plain GET goes down through worker, handlers and upstream, and up the same way through the route's filters", async () => {
  const worker = await PlayedWorker.start(CONFIG);
  const { walks, ask } = watched(worker);
  ask("/");
  worker.last.head(200, ["content-type", "text/plain"], 2).data("ok").end();
  expect(walks).toEqual(["down: worker > handlers > upstream", "up: upstream > exchange"]);
});

it("a POST that is retried goes down a second time from the upstream alone", async () => {
  const worker = await PlayedWorker.start(CONFIG);
  const { walks, ask } = watched(worker);
  const x = ask("/", { method: "POST", chunked: true });
  x.send("body", true);
  worker.last.head(503);
  await expect.poll(() => worker.calls.length).toBe(2);
  worker.last.head(200, ["content-type", "text/plain"], 2).data("ok").end();
  expect(walks).toEqual([
    "down: exchange > upstream", // the body's last byte begins the attempt
    "down: upstream",
    "up: upstream > exchange",
  ]);
  worker.stop();
});

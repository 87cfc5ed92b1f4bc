// Holds the sources to the walls between their rooms, and to what each thread and process loads.
import { describe, expect, it } from "vitest";
import { importsOf, listed, loadedBy } from "../support/sources.ts";

/**
 * The rooms of src/ from the ground up: room -> the rooms that it imports, types included. A room imports none that stands below it in this list. What
 * is not here fails, and what nobody uses fails too: a line here is a decision.
 */
const ROOMS = {
  base: "",
  store: "",
  plan: "base store",
  shared: "base",
  offload: "plan",
  modules: "plan",

  // The data plane, against the way of a request.
  "data/credentials": "base plan",
  "data/routing": "base plan",
  "data/load": "base plan",
  "data/upstream": "base plan shared data/routing data/load",
  "data/exchange": "base plan shared offload data/credentials data/routing data/load data/upstream",
  "data/policies": "base plan shared offload data/credentials data/routing data/upstream data/exchange",
  "data/cache/tier": "base plan shared store",
  "data/cache": "base plan shared data/routing data/upstream data/exchange data/cache/tier",
  "data/filters": "base data/exchange",
  "data/handlers": "base plan data/routing data/upstream data/exchange data/policies data/cache",
  "data/listener": "base plan shared data/routing data/exchange",
  "data/listener/uws": "base plan data/upstream data/exchange data/listener",
  "data/listener/net": "base plan data/listener",
  "data/listener/http1": "base plan shared data/exchange data/handlers data/listener data/listener/net",
  "data/listener/http2": "base plan data/exchange data/listener data/listener/net",
  "data/worker":
    "base plan shared offload modules data/credentials data/routing data/load data/upstream data/exchange data/policies data/filters data/handlers data/listener data/listener/uws data/listener/net data/listener/http1 data/listener/http2",

  observe: "base shared",

  // The control plane: the configuration, then the concerns of the primary, then the primary. Of the data plane it sees what DOORS says.
  "control/config/source": "base",
  "control/config/schema":
    "base plan shared store data/credentials data/routing data/policies data/cache data/filters data/handlers control/config/source",
  "control/config/modules": "base plan modules data/routing control/config/source control/config/schema",
  "control/config/check":
    "base plan shared data/credentials data/routing data/policies data/handlers control/config/source control/config/schema",
  "control/config/compile": "plan shared data/routing data/handlers control/config/schema control/config/check",
  "control/config/output": "base control/config/source control/config/schema",
  "control/config": "base control/config/source control/config/schema control/config/modules control/config/check",
  "control/connections": "base plan shared observe",
  "control/discovery": "base plan shared",
  "control/health": "base plan shared",
  "control/instance": "base plan observe",
  "control/keys": "plan data/credentials data/policies observe",
  "control/breakers": "base plan shared observe",
  "control/workers": "base plan shared observe",
  "control/cache": "plan shared data/routing data/cache data/handlers observe",
  "control/fleet": "base plan shared store observe control/config/schema control/breakers control/cache",
  "control/consumers": "base store observe control/config/source control/config/schema",
  "control/plan":
    "base plan data/handlers observe control/config control/config/source control/config/schema control/config/check control/config/compile control/instance control/discovery control/health control/keys control/breakers control/consumers control/workers",
  "control/admin":
    "base plan shared data/handlers observe control/config/schema control/config/output control/breakers control/cache control/fleet control/plan",
  "control/primary":
    "base plan shared observe control/config/source control/config/schema control/config/check control/config/output control/connections control/discovery control/health control/instance control/keys control/breakers control/workers control/cache control/fleet control/consumers control/plan control/admin",

  "start/supervisor": "base plan observe control/primary",
  start: "base observe control/config/source control/config/schema control/instance control/primary start/supervisor",

  // What a person types.
  cli: "base",
  "cli/bench": "base plan data/routing data/upstream control/config/source control/config/check control/instance cli",
  "cli/policy": "base control/config control/config/source control/config/schema control/config/compile cli cli/bench",
  "cli/commands":
    "base plan store observe data/credentials data/handlers control/config control/config/source control/config/schema control/config/check control/config/compile control/instance control/workers control/fleet start start/supervisor cli cli/bench cli/policy",
  "cli/demo": "base control/instance start cli cli/commands",
  main: "base control/config/source cli cli/commands cli/demo",
} as const satisfies Readonly<Record<string, string>>;

const names = Object.keys(ROOMS);
const sources = listed("src");

/** The room of a file: the longest whose folder it is in. `main` is the file above all. */
const roomOf = (file: string): string =>
  file === "src/main.ts"
    ? "main"
    : (names.filter((name) => file.startsWith(`src/${name}/`)).sort((a, b) => b.length - a.length)[0] ?? "none");

const all = sources.flatMap(importsOf);
const inside = all.filter(({ to }) => to.startsWith("src/"));
const shown = ({ from, to }: { readonly from: string; readonly to: string }): string => `${from} -> ${to}`;
const crossing = inside.filter(({ from, to }) => roomOf(from) !== roomOf(to));

describe("rooms", () => {
  const allowed = new Map(Object.entries(ROOMS).map(([room, others]) => [room, new Set(others.split(" ").filter((each) => each !== ""))]));

  it("every source stands in a room of the table", () => {
    expect(sources.filter((file) => roomOf(file) === "none")).toEqual([]);
    expect(names.filter((name) => !sources.some((file) => roomOf(file) === name))).toEqual([]);
  });

  it("a room imports no room that the table does not list for it", () => {
    expect(crossing.filter(({ from, to }) => allowed.get(roomOf(from))?.has(roomOf(to)) !== true).map(shown)).toEqual([]);
  });

  it("every import that the table lists is used", () => {
    const used = new Set(crossing.map(({ from, to }) => `${roomOf(from)}: ${roomOf(to)}`));
    const lines = [...allowed].flatMap(([room, others]) => [...others].map((other) => `${room}: ${other}`));
    expect(lines.filter((line) => !used.has(line))).toEqual([]);
  });

  it("rooms import downwards, so that none is part of a circle", () => {
    const upwards = [...allowed].flatMap(([room, others]) =>
      [...others]
        .filter((other) => names.indexOf(other) < 0 || names.indexOf(other) >= names.indexOf(room))
        .map((other) => `${room}: ${other}`),
    );
    expect(upwards).toEqual([]);
  });
});

describe("doors", () => {
  /** What the control plane may see of the data plane: languages, credentials, the face of a feature that is made for it, and how stored responses are read. */
  const DOORS =
    /^src\/data\/((credentials|routing)\/|(policies|handlers|filters|cache)\/(.*\/)?(config(-[a-z]+)?|schemas)\.ts$|cache\/(entry|rules\/freshness)\.ts$)/;
  const isFeature = (file: string): boolean => /^src\/data\/(policies|handlers|filters)\/[^/]+\//.test(file);

  it("the control plane sees of the data plane only languages, credentials and what features make for it", () => {
    expect(
      inside.filter(({ from, to }) => from.startsWith("src/control/") && to.startsWith("src/data/") && !DOORS.test(to)).map(shown),
    ).toEqual([]);
  });

  it("what the control plane sees of a feature loads nothing that serves requests", () => {
    const doors = sources.filter((file) => isFeature(file) && DOORS.test(file));
    const serving = /^src\/data\/(worker|listener|exchange|upstream)\/|\/(policy|handler|filter|authenticator)\.ts$/;
    expect(doors.flatMap((door) => [...loadedBy(door)].filter(([file]) => serving.test(file)).map(([, way]) => way))).toEqual([]);
    expect(
      doors
        .flatMap(importsOf)
        .filter(({ to }) => serving.test(to))
        .map(shown),
    ).toEqual([]);
  });

  it("policies, handlers and filters never import each other, but for a handler and the policy of its own name", () => {
    const strays = inside.filter(({ from, to }) => isFeature(from) && isFeature(to) && from.split("/")[3] !== to.split("/")[3]);
    expect(strays.map(shown)).toEqual([]);
  });

  it.each<[string, RegExp, RegExp]>([
    ["only the store imports ioredis", /^ioredis(\/|$)/, /^src\/store\//],
    ["only conditions import the CEL library", /^@marcbachmann\/cel-js$/, /^src\/data\/routing\/expression\//],
    ["only the uws engine imports uWebSockets.js", /^uWebSockets\.js$/, /^src\/data\/listener\/uws\//],
    ["on the data plane only a pool imports undici", /^undici(\/|$)/, /^src\/(control|cli)\/|^src\/data\/upstream\/transport\/undici\//],
    [
      "what other instances of a fleet say never reaches a breaker",
      /breaker-(table|admin|layout|control)\.ts$/,
      /^src\/(?!control\/fleet\/)/,
    ],
  ])("%s", (_, wanted, allowed) => {
    expect(all.filter(({ from, to }) => wanted.test(to) && !allowed.test(from)).map(shown)).toEqual([]);
  });
});

describe("circles", () => {
  /** Files that import each other, types included, over however many others. */
  function circles(): string[][] {
    const next = new Map(sources.map((file) => [file, new Set<string>()]));
    for (const { from, to } of inside) next.get(from)?.add(to);
    const reach = (start: string): Set<string> => {
      const seen = new Set(next.get(start));
      for (const file of seen) for (const to of next.get(file) ?? []) seen.add(to);
      return seen;
    };
    const reached = new Map(sources.map((file) => [file, reach(file)]));
    const inCircle = sources.filter((file) => reached.get(file)?.has(file));
    return [
      ...Map.groupBy(inCircle, (file) =>
        inCircle.filter((other) => reached.get(file)?.has(other) && reached.get(other)?.has(file)).join(" "),
      ).values(),
    ];
  }

  it("files import each other in circles nowhere but in the rooms of the exchange and of upstreams", () => {
    expect(circles().filter((circle) => !circle.every((file) => /^src\/data\/(exchange|upstream)\//.test(file)))).toEqual([]);
  });
});

describe("loading", () => {
  it.each<readonly [entry: string, unwanted: string]>([
    ["src/data/worker/worker.ts", "zod"],
    ["src/data/worker/worker.ts", "yaml"],
    ["src/data/worker/worker.ts", "@marcbachmann/cel-js"],
    ["src/control/primary/primary.ts", "@marcbachmann/cel-js"],
    ["src/main.ts", "undici"],
    ["src/main.ts", "ioredis"],
    ["src/start/supervisor/supervise.ts", "zod"],
    ["src/start/supervisor/supervise.ts", "yaml"],
    ["src/control/primary/primary.ts", "ioredis"],
    ["src/control/workers/warm-worker-pool.ts", "node:net"],
    // What Node itself takes long to load comes with whoever needs it, after the first answer.
    ...["node:http2", "node:zlib"].map((each) => ["src/data/worker/worker.ts", each] as const),
    ...["node:tls", "node:https", "node:http2", "node:zlib"].map((each) => ["src/control/primary/primary.ts", each] as const),
    ...["node:tls", "node:https", "node:http"].map((each) => ["src/control/config/load.ts", each] as const),
  ])("%s does not load %s", (entry, unwanted) => {
    const reached = loadedBy(entry, entry.startsWith("src/data/"));
    expect(sources).toContain(entry);
    expect(reached.get(unwanted)).toBeUndefined();
  });

  it("a worker loads no schema", () => {
    expect([...loadedBy("src/data/worker/worker.ts").keys()].filter((file) => /^src\/data\/.*\/(config|schemas)\.ts$/.test(file))).toEqual(
      [],
    );
  });
});

// Owns the servers that are programs of this repository (peers/programs/), each in a process of its own: the floors and other Node proxies.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { launch } from "./launch.ts";
import { type PeerKind, refusal } from "./peer.ts";

const DIRECTORY = path.join(import.meta.dirname, "programs");
const ONE_PROGRAM = "a program of a few lines that only does the plain cases";

function program(
  name: string,
  rest: Pick<PeerKind, "title" | "role" | "note"> & {
    readonly cache?: boolean;
    /** It does nothing else. */
    readonly aggregates?: boolean;
    readonly packageName: string | null;
  },
): PeerKind {
  const { cache = false, aggregates = false, packageName, ...words } = rest;
  const file = path.join(DIRECTORY, `${name}.ts`);
  return {
    name,
    ...words,
    needs: [],
    refuses: (setup) => {
      if (aggregates && !setup.aggregate) return "a program that only aggregates";
      return refusal(setup, {
        tls: ONE_PROGRAM,
        guarded: ONE_PROGRAM,
        routes: ONE_PROGRAM,
        workers: ONE_PROGRAM,
        webSocket: ONE_PROGRAM,
        forwardAuth: ONE_PROGRAM,
        ...(cache ? {} : { cache: "it has no cache" }),
        ...(aggregates ? { aggregate: "" } : {}),
      });
    },
    start: async ({ directory, freePort, originPort }) => {
      const port = await freePort();
      const args = [file, String(port), String(originPort)];
      const environment = { ...process.env, NODE_ENV: "production" };
      return launch({
        name,
        directory,
        port,
        command: process.execPath,
        arguments: args,
        environment,
        configuration: fs.readFileSync(file, "utf8"),
      });
    },
    version: () => (packageName === null ? process.versions.node : versionOf(packageName)),
  };
}

export const NODE_PROGRAMS: readonly PeerKind[] = [
  program("uws-hello", {
    title: "bare uWebSockets.js, hello",
    role: "floor",
    note: "answers by itself: what reading a request and writing an answer costs at least",
    cache: true,
    packageName: "uWebSockets.js",
  }),
  program("uws-answer", {
    title: "uWebSockets.js, a whole answer",
    role: "floor",
    note: "answers by itself, having read all header fields and the client's address, with as many fields as a cache hit: what a cache on it costs at least",
    cache: true,
    packageName: "uWebSockets.js",
  }),
  program("net-answer", {
    title: "node:net, a whole answer",
    role: "floor",
    note: "the same on Node's own sockets, each reading into one shared buffer",
    cache: true,
    packageName: null,
  }),
  program("uws-undici", {
    title: "bare uWebSockets.js + undici",
    role: "floor",
    note: "forwards with undici's pool and copies the headers; checks nothing, bounds nothing, counts nothing",
    packageName: "undici",
  }),
  program("uws-net", {
    title: "bare uWebSockets.js + node:net",
    role: "floor",
    note: "forwards over plain sockets and copies the headers; believes every answer, checks nothing, bounds nothing, counts nothing",
    packageName: "uWebSockets.js",
  }),
  program("net-floor", {
    title: "node:net both ways",
    role: "floor",
    note: "plain sockets on both sides, each side reading into one shared buffer; believes every request and answer, checks nothing, bounds nothing, counts nothing",
    packageName: null,
  }),
  program("fastify-http-proxy", { title: "@fastify/http-proxy", role: "peer", note: "", packageName: "@fastify/http-proxy" }),
  program("fastify-aggregate", {
    title: "fastify + undici, by hand",
    role: "peer",
    note: "a service of forty lines, as teams write them for one page: asks with undici's pool, parses the answers and writes one; counts nothing, bounds nothing",
    aggregates: true,
    packageName: "fastify",
  }),
  program("http-proxy-3", { title: "http-proxy-3", role: "peer", note: "", packageName: "http-proxy-3" }),
];

function versionOf(name: string): string {
  const require = createRequire(import.meta.url);
  for (const directory of require.resolve.paths(name) ?? []) {
    const manifest = path.join(directory, name, "package.json");
    if (!fs.existsSync(manifest)) continue;
    const read: unknown = JSON.parse(fs.readFileSync(manifest, "utf8"));
    if (typeof read === "object" && read !== null && "version" in read && typeof read.version === "string") return read.version;
  }
  return "";
}

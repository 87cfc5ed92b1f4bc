// Owns the way from files to a configuration that is right in every part, or to the list of everything that is wrong with it.
// A configuration with any mistake is refused whole: there is no partial result.

import { decodeUtf8 } from "../../base/utf8.ts";
import { checkAuth } from "./check/auth.ts";
import { checkAuthorize } from "./check/authorize.ts";
import { checkBodies } from "./check/bodies.ts";
import { checkCache } from "./check/cache.ts";
import { checkClients } from "./check/clients.ts";
import { checkConditions } from "./check/conditions.ts";
import { checkConsumers } from "./check/consumers.ts";
import { checkErrorPages, pageFiles } from "./check/error-pages.ts";
import { checkFallThrough } from "./check/fall-through.ts";
import { checkGrants } from "./check/grants.ts";
import { checkIdentity } from "./check/identity.ts";
import { checkLimits } from "./check/limits.ts";
import { checkListeners } from "./check/listeners.ts";
import { checkLog } from "./check/log.ts";
import { checkOverload } from "./check/overload.ts";
import { checkPaths } from "./check/paths.ts";
import { checkPolicySets } from "./check/policy-sets.ts";
import { checkRedis } from "./check/redis.ts";
import { checkReferences, Findings } from "./check/references.ts";
import { checkRewrites } from "./check/rewrites.ts";
import { checkRoutes } from "./check/routes.ts";
import { checkServices } from "./check/services.ts";
import { checkThreads } from "./check/threads.ts";
import { checkTimeouts } from "./check/timeouts.ts";
import { checkTls } from "./check/tls.ts";
import { checkWarmUp } from "./check/warm-up.ts";
import { checkWaysOut } from "./check/ways-out.ts";
import { allowedCpus, checkWorkers } from "./check/workers.ts";
import { loadModules } from "./modules/load-modules.ts";
import type { Config, LeftOutListener } from "./schema/schema.ts";
import { readSections } from "./schema/sections.ts";
import { withPresentNames } from "./source/aliases.ts";
import { withConsumerFiles } from "./source/consumer-files.ts";
import { notTextProblem, readDocument } from "./source/document.ts";
import { ConfigFiles } from "./source/files.ts";
import type { Env } from "./source/interpolate.ts";
import { layFiles } from "./source/layers.ts";
import type { LocatedMap } from "./source/located.ts";
import { type PipedTexts, pipeName } from "./source/piped.ts";
import { addAll, type ConfigProblem, firstProblems, formatProblem, type Position, PROBLEMS_MAX, sortProblems } from "./source/problem.ts";
import { type RedisConsumerSet, withRedisConsumers } from "./source/redis-consumers.ts";
import { resolveFiles } from "./source/secrets.ts";

/**
 * @property files everything the configuration was made of: what to watch for a reload (also when it failed)
 */
export type LoadResult =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly warnings: readonly ConfigProblem[];
      readonly files: readonly string[];
      /** What was read, before `defaults` and policy sets were merged under the routes: says where settings come from. Holds secrets. */
      readonly tree: LocatedMap;
    }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly files: readonly string[] };

/** Addresses, as listeners have them. */
export type MayLeaveOut = readonly string[] | "any";
const NONE: MayLeaveOut = [];

/**
 * Loads a configuration from files; later files are laid over earlier ones, see layers.ts.
 * Never throws; reads nothing but these files and those they name.
 * @param options.content what was read before stays as it was then
 * @param options.redisConsumers what Redis holds, for a configuration that asks for it
 * @param options.piped those of the files that came through a pipe: they are not read
 * @param options.leaveOut which listeners may be left out when their certificates cannot be used, as long as others are left
 */
export function loadConfig(options: {
  readonly files: readonly string[];
  readonly env: Env;
  readonly content?: ConfigFiles;
  readonly redisConsumers?: RedisConsumerSet | null;
  readonly leaveOut?: MayLeaveOut;
  readonly piped?: PipedTexts;
}): LoadResult {
  const files = options.content ?? new ConfigFiles();
  const texts: { file: string; text: string }[] = [];
  const unreadable: ConfigProblem[] = [];
  for (const file of options.files) {
    const piped = options.piped?.get(file);
    const content = piped === undefined ? files.read(files.resolve(`${process.cwd()}/.`, file)) : asBuffer(piped);
    const name = piped === undefined ? file : pipeName(file);
    const text = content instanceof Error ? content : decodeUtf8(content);
    if (typeof text === "string") texts.push({ file: name, text });
    else if (text instanceof Error)
      unreadable.push({
        at: start(file),
        path: "",
        message: `can't read the configuration: ${text.message}`,
        remedy: "check the path after -c",
      });
    else unreadable.push(notTextProblem(name, text));
  }
  if (unreadable.length > 0) return { ok: false, problems: unreadable, files: files.paths };
  return parseConfig({
    texts,
    env: options.env,
    files,
    redisConsumers: options.redisConsumers ?? null,
    leaveOut: options.leaveOut ?? NONE,
  });
}

const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer => Buffer.from(buffer, byteOffset, byteLength);

/** As {@link loadConfig}, from texts. File names serve for positions and as the base of relative paths. */
export function parseConfig(options: {
  readonly texts: readonly { readonly file: string; readonly text: string }[];
  readonly env?: Env;
  readonly files?: ConfigFiles;
  readonly redisConsumers?: RedisConsumerSet | null;
  readonly leaveOut?: MayLeaveOut;
  /** CPUs that this process may use. */
  readonly cpus?: () => readonly number[] | null;
}): LoadResult {
  const { texts, env = {}, files = new ConfigFiles(), redisConsumers = null, leaveOut = NONE, cpus = allowedCpus } = options;
  const names = texts.map((text) => text.file);
  const read = texts.map((text) => readDocument(text, env));
  const problems = read.flatMap((result) => result.problems);
  const named = read.flatMap((result) => (result.root === null ? [] : withPresentNames(result.root)));
  for (const each of named) addAll(problems, each.problems);
  const roots = named.map((each) => each.root);
  const refuse = (): LoadResult => ({ ok: false, problems: firstProblems(sortProblems(problems, names)), files: files.paths });
  const [first] = roots;
  if (first === undefined || roots.length < texts.length) return refuse();
  const layered = layFiles(first, roots.slice(1));
  const gathered = withConsumerFiles(layered.root, files, env);
  const resolved = resolveFiles(gathered.root, files);
  // After files were read: what Redis holds names none.
  const remote = withRedisConsumers(resolved.root, redisConsumers);
  for (const { problems: more } of [layered, gathered, resolved, remote]) addAll(problems, more);
  for (const { names: more } of [gathered, remote]) addAll(names, more);
  const { root, draft: written, problems: found } = readSections(remote.root, files);
  if (problems.length + found.length > PROBLEMS_MAX) {
    addAll(problems, found);
    return refuse(); // those are more than are told
  }
  const modules = loadModules(written, root, files);
  const draft = { ...written, routes: modules.routes, complete: written.complete && { ...written.complete, routes: modules.routes } };
  const findings = new Findings(root, draft);
  checkReferences(draft, findings);
  checkPolicySets(draft, findings);
  checkRoutes(draft, findings);
  checkRewrites(draft, findings);
  checkCache(draft, findings);
  checkWarmUp(draft, findings);
  checkBodies(draft, findings);
  checkListeners(draft, findings);
  checkClients(draft, findings);
  checkPaths(draft, findings);
  checkTimeouts(draft, findings);
  checkAuth(draft, findings);
  checkWaysOut(draft, findings);
  checkServices(draft, findings);
  checkLimits(draft, findings);
  checkAuthorize(draft, findings);
  checkConditions(draft, findings);
  checkGrants(draft, findings);
  checkIdentity(draft, findings);
  checkTls(draft, files, findings);
  checkRedis(draft, findings);
  checkConsumers(draft, findings, resolved.plainKeys);
  checkFallThrough(draft, findings);
  checkLog(draft, findings);
  checkErrorPages(draft, files, findings);
  checkThreads(draft, env, findings);
  checkOverload(draft, findings);
  checkWorkers(draft, findings, cpus);
  const unread = new Set([...read, gathered, resolved].flatMap((result) => result.unread.map(placeKey)));
  const broken = [...findings.listeners].filter(([i]) => leaveOut === "any" || leaveOut.includes(draft.listeners[i]?.address ?? ""));
  const out = new Map(broken.length < draft.listeners.length ? broken : []);
  const ofListeners = [...findings.listeners].flatMap(([i, each]) => (out.has(i) ? [] : each));
  for (const more of [found, modules.problems, findings.problems, ofListeners])
    addAll(
      problems,
      more.filter((problem) => !unread.has(placeKey(problem.at))),
    );
  if (problems.length > 0 || draft.complete === null) return refuse();
  const listeners = draft.complete.listeners.filter((_, i) => !out.has(i));
  return {
    ok: true,
    config: {
      ...draft.complete,
      listeners,
      certificateFiles: files.contents(certificateFiles(listeners)),
      errorPageFiles: files.texts(pageFiles(draft.complete)),
      modules: modules.files,
      leftOut: draft.complete.listeners.flatMap((listener, i) => leftOut(listener, out.get(i))),
      redisConsumers: draft.complete.consumersFrom.redis && redisConsumers,
    },
    warnings: sortProblems(findings.warnings, names),
    files: files.paths,
    tree: remote.root,
  };
}

const certificateFiles = (listeners: Config["listeners"]): string[] =>
  listeners.flatMap(({ certificates, clientAuth }) => [
    ...(certificates ?? []).flatMap(({ cert, key }) => [cert, key]),
    ...(clientAuth === null ? [] : [clientAuth.ca]),
  ]);

function leftOut(
  { address, certificates, clientAuth }: Config["listeners"][number],
  problems: readonly ConfigProblem[] = [],
): LeftOutListener[] {
  if (problems.length === 0) return [];
  const clientCa = clientAuth?.ca ?? null;
  return [{ address, problem: problems.map(formatProblem).join("; "), certificates: certificates ?? [], clientCa }];
}

const placeKey = ({ file, line, column }: Position): string => `${line}:${column}:${file}`;

const start = (file: string): Position => ({ file, line: 1, column: 1 });

// Owns the life of the primary: start-up in order, who is told what, drain and end. Each part knows its own business;
// here they are only put together. Must never serve a request.
import { OperatorError } from "../../base/errors.ts";
import { StopSignals } from "../../base/stop-signals.ts";
import { AccessLog } from "../../observe/access-log.ts";
import type { Phase } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import { openLogSink, openLogSinkLater } from "../../observe/log-sink.ts";
import type { Totals } from "../../observe/totals.ts";
import type { AdminDeps, PurgeDone } from "../admin/deps.ts";
import type { PurgeOrder } from "../cache/purge-order.ts";
import { TierLog } from "../cache/tier-log.ts";
import { redactConfig } from "../config/output/redact.ts";
import type { Config } from "../config/schema/schema.ts";
import type { PipedTexts } from "../config/source/piped.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { boundAddress, checkAddressesFree, listenerUrl, REMEDIES } from "../instance/addresses.ts";
import { InstanceDir, instanceDirectory } from "../instance/instance-dir.ts";
import { turnToStart } from "../instance/start-turn.ts";
import { takeOver } from "../instance/takeover.ts";
import { FileWatch } from "../plan/file-watch.ts";
import { packConfig } from "../plan/packed-config.ts";
import type { PlanSource } from "../plan/plan-source.ts";
import { Reloader, type ReloadResult } from "../plan/reload.ts";
import type { WarmWorkerPool } from "../workers/warm-worker-pool.ts";
import { AccessLogWatch } from "./access-log-watch.ts";
import { AdminEndpoint } from "./admin-endpoint.ts";
import type { FirstConfig } from "./first-config.ts";
import { instanceState } from "./instance-status.ts";
import { retryLeftOut } from "./left-out.ts";
import { assembleParts, type Parts } from "./parts.ts";
import type { PrimaryIo, SupervisorLink } from "./surroundings.ts";
import { testActions } from "./test-hooks.ts";

/** Time between two looks at the heartbeats, ms. */
const WATCH_MS = 500;
/** Longest wait (ms) for the access log to be written out at the end. */
const LOG_CLOSE_MS = 2000;
/** Wait (ms) before a replacement that failed is asked for again. */
const REPLACE_RETRY_MS = 30_000;
/** Longest drain (ms) of a process with a blocked worker. */
const BLOCKED_DRAIN_MS = 5000;
/** Reason of a reload that reads no file. */
const CONSUMERS_CHANGED = "the consumers in Redis changed";

export interface PrimaryOptions {
  readonly files: readonly string[];
  /** Those of the files that came through a pipe. */
  readonly piped: PipedTexts;
  readonly io: PrimaryIo;
  readonly link: SupervisorLink;
  readonly threads: WarmWorkerPool;
  readonly log: Log;
  /** Prints the ready line; only used without a supervisor. */
  readonly onReady: (urls: readonly string[], version: number) => void;
}

export class Primary {
  readonly #options: PrimaryOptions;
  readonly #log: Log;
  readonly #source: PlanSource;
  readonly #parts: Parts;
  readonly #reloader: Reloader;
  readonly #files: FileWatch;
  readonly #directory: InstanceDir;
  readonly #adminEndpoint: AdminEndpoint;
  readonly #stopSignals = new StopSignals();
  readonly #startedAtMs = Date.now();
  #accessLog: AccessLog | null = null;
  #fleet: Fleet | null = null;
  readonly #accessLogWatch = new AccessLogWatch();
  #watchTimer: NodeJS.Timeout | null = null;
  #stopRetrying = (): void => {};
  #phase: Phase = "starting";
  #stopping = false;
  /** 1: drain. 2: cut what is under way. */
  #stopRequests = 0;
  #end: (code: number) => void = () => {};
  #beginServing: () => void = () => {};
  /** Resolves when the first plan is in force and everything around it stands. */
  readonly #started = new Promise<void>((resolve) => {
    this.#beginServing = resolve;
  });
  /** Resolves when a worker serves the first plan. */
  readonly #listening = Promise.withResolvers<void>();
  readonly #ended = new Promise<number>((resolve) => {
    this.#end = resolve;
  });

  constructor(options: PrimaryOptions, source: PlanSource, config: Config) {
    const { log, io, link, threads } = options;
    const testHooks = io.env["SLUICE_TEST_HOOKS"] === "1";
    this.#options = options;
    this.#log = log;
    this.#source = source;
    this.#directory = new InstanceDir(instanceDirectory(io.env));
    this.#parts = assembleParts({
      config,
      source,
      threads,
      log,
      testHooks,
      onListening: () => this.#listening.resolve(),
      onInForce: ({ config, plan }) => link.send({ kind: "good-config", config: packConfig(config), drainTimeoutMs: plan.drainTimeoutMs }),
      onChanged: (numbers) => this.#fleet?.tellChanged(numbers),
      onConsumers: () => void this.#reloader.request(CONSUMERS_CHANGED),
      replace: (reason) => this.#replaceMyself(reason),
    });
    this.#reloader = new Reloader((reasons) => this.#reload(reasons));
    this.#files = new FileWatch({
      changed: (changed) => void this.#reloader.request(`changed: ${changed.join(", ")}`),
    });
    this.#adminEndpoint = new AdminEndpoint({ log, deps: this.#adminDeps(config, testHooks) });
  }

  /** @param first the configuration until one is in force */
  #adminDeps(first: Config, testHooks: boolean): AdminDeps {
    const { breakers, cache, control, cells, warmUp, workers } = this.#parts;
    const config = () => control.inForce?.config ?? first;
    return {
      token: () => config().admin?.token ?? null,
      state: () => this.#state(),
      totals: cells.totals,
      plan: () => control.inForce?.plan ?? null,
      config: () => redactConfig(config()),
      reload: () => this.#reloader.request("POST /reload"),
      drain: () => this.#drainForTakeover("POST /drain"),
      breakers: () => breakers.states(),
      cache,
      purge: (order) => this.#purge(order),
      warmUp,
      forceBreaker: (upstream, target, order) => breakers.force(upstream, target, order),
      ...(testHooks ? { debug: testActions(workers) } : {}),
    };
  }

  /** The others are told whatever becomes of it here. */
  async #purge(order: PurgeOrder): Promise<PurgeDone> {
    const publish = this.#fleet?.beginPurge(order);
    const [here, fleet] = await Promise.allSettled([this.#parts.cache.purge(order), publish?.() ?? null]);
    this.#log.info("purged", { ...order });
    if (here.status === "rejected") throw here.reason;
    return { ...here.value, fleet: fleet.status === "fulfilled" ? fleet.value : null };
  }

  async #reload(reasons: readonly string[]): Promise<ReloadResult> {
    await this.#started;
    if (reasons.every((reason) => reason === CONSUMERS_CHANGED)) return await this.#parts.control.takeConsumers(reasons);
    this.#files.pause();
    const result = await this.#parts.control.reload(reasons);
    this.#files.update(this.#source.watched);
    if (result.ok) this.#announce();
    return result;
  }

  get totals(): Totals {
    return this.#parts.cells.totals;
  }

  breakerSlot(upstream: string): number {
    return this.#parts.cells.breakerSlot(upstream);
  }

  overloadSlot(upstream: string): number {
    return this.#parts.cells.overloadSlot(upstream);
  }

  async run(first: FirstConfig): Promise<number> {
    this.#obeySignals();
    try {
      await this.#start(first);
    } catch (error) {
      this.#options.threads.discardIdle();
      this.#directory.withdraw();
      await this.#parts.workers.drain(0);
      await this.#adminEndpoint.close();
      throw error;
    }
    return await this.#ended;
  }

  async #start(first: FirstConfig): Promise<void> {
    const { link, threads } = this.#options;
    this.#parts.consumers.restore(first.known);
    const loaded = await this.#parts.control.withConsumers(first);
    const { config } = loaded;
    const plan = await this.#source.compile(config, 1);
    using _turn = await turnToStart(this.#directory, plan.listeners.map(boundAddress), link.orders);
    const before = link.orders.takeover ? this.#directory.holders(plan.listeners.map(boundAddress)) : [];
    const [leftOut] = config.leftOut;
    // What serves there now has a certificate: it must not be replaced by nobody.
    if (before.length > 0 && leftOut !== undefined && !link.orders.restart)
      throw new OperatorError(`no takeover: the certificate of ${leftOut.address} cannot be used: ${leftOut.problem}`);
    await checkAddressesFree(
      plan.listeners,
      before.flatMap((instance) => instance.addresses),
      link.orders.takeover ? REMEDIES.takeover : REMEDIES.start,
    );
    await this.#enterFleet(config);
    const serving = this.#parts.control.first(loaded, plan);
    const around = this.#openAround(config, before.length > 0);
    await Promise.all([serving, around]);
    threads.discardIdle();
    this.#fleet?.start();
    for (const instance of before) await takeOver(instance, this.#log);
    if (before.length > 0) await this.#adminEndpoint.listen(config.admin?.address ?? null, "handover");
    this.#announce();
    this.#stopRetrying = retryLeftOut(
      () => this.#parts.control.inForce?.config.leftOut ?? [],
      () => void this.#reloader.request("a certificate can be used again"),
    );
    this.#watchTimer = setInterval(() => {
      this.#lookAtWorkers();
      this.#accessLogWatch.look(this.#accessLog, this.#log);
      this.#parts.cells.limitWatch.look(this.#log);
      this.#parts.pins?.look(this.#parts.workers.status());
    }, WATCH_MS);
    this.#phase = "serving";
    this.#beginServing();
    const urls = plan.listeners.map(listenerUrl);
    link.send({ kind: "ready", urls, version: plan.version, ports: this.#source.picked });
    if (!link.supervised) this.#options.onReady(urls, plan.version);
    this.#parts.pins?.look(this.#parts.workers.status());
    if (this.#stopping) this.#drain();
    else this.#parts.warmUp.ready();
  }

  /** What stands around the data plane: access log, control socket, file watch, admin listener. The first worker comes first. */
  async #openAround(config: Config, taking: boolean): Promise<void> {
    await this.#listening.promise;
    // Whoever starts a gateway wants to know what is wrong; one that has served goes on serving.
    const { restart } = this.#options.link.orders;
    const sink = await (restart ? openLogSinkLater(config.log.file) : openLogSink(config.log.file));
    this.#accessLog = new AccessLog(this.#parts.cells.readers, sink);
    this.#accessLog.start();
    const how = restart ? "later" : "once";
    await this.#adminEndpoint.listenUnix(this.#directory.socket, how);
    this.#files.update(this.#source.watched);
    if (!taking) await this.#adminEndpoint.listen(config.admin?.address ?? null, how);
  }

  /** Whoever has no Redis loads nothing of it. */
  async #enterFleet({ redis }: Config): Promise<void> {
    if (redis === null) return;
    const { Fleet } = await import("../fleet/fleet.ts");
    const { breakers, cache, cells } = this.#parts;
    const { pid } = this.#options.link;
    this.#fleet = new Fleet({
      redis,
      table: cells.limits,
      pid,
      breakers: () => breakers.notClosed(),
      purge: (order) => cache.purge(order),
      tier: cells.tier === null ? null : new TierLog(cells.tier.purges, cache),
      log: this.#log,
    });
  }

  #announce(): void {
    const plan = this.#parts.control.inForce?.plan;
    if (plan === undefined) return;
    const { pid } = this.#options.link;
    try {
      this.#directory.announce({
        pid: process.pid,
        signalPid: pid,
        addresses: plan.listeners.map(boundAddress),
        socket: this.#directory.socket,
      });
    } catch (error) {
      this.#log.error("the run directory cannot be written: a takeover will not find this instance", { error });
    }
  }

  #obeySignals(): void {
    const { link } = this.#options;
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#signalled(signal));
    link.onStop(() => this.#requestStop("the supervisor was told to"));
    process.on("SIGHUP", () => void this.#reloader.request("SIGHUP"));
    process.on("SIGUSR2", () => {
      this.#accessLog?.reopen().catch((error: unknown) => this.#log.error("the access log cannot be reopened", { error }));
    });
    process.on("uncaughtException", (error) => this.#broken(error));
    process.on("unhandledRejection", (error) => this.#broken(error));
    link.onLost(() => this.#stop("the supervisor is gone"));
    link.onReplaceFailed((reason) => {
      this.#log.error("the replacement could not start", { reason });
      setTimeout(() => this.#parts.watchdog.retry(), REPLACE_RETRY_MS).unref();
    });
  }

  /** An error nobody expected: workers serve on, but what the control plane remembers may be wrong. */
  #broken(error: unknown): void {
    this.#log.error("uncaught error in the primary", { error });
    if (this.#phase === "serving") this.#replaceMyself("uncaught error in the primary");
    // Half started, nothing to save: whoever started this process starts another.
    else if (this.#phase === "starting") process.kill(process.pid, "SIGKILL");
  }

  #replaceMyself(reason: string): void {
    if (this.#options.link.supervised) this.#options.link.send({ kind: "replace-me", reason });
    else {
      this.#log.error("draining, so that whoever started this process starts it again", { reason });
      this.#drain(1);
    }
  }

  #lookAtWorkers(): void {
    const beats = this.#parts.workers.status().filter((each) => each.state === "ready");
    this.#parts.watchdog.look(beats.map(({ seat, cells }) => ({ seat, ...this.#parts.cells.beat(cells) })));
  }

  #state() {
    return instanceState({
      phase: this.#phase,
      startedAtMs: this.#startedAtMs,
      pid: this.#options.link.pid,
      cells: this.#parts.cells,
      cache: this.#parts.cache,
      control: this.#parts.control,
      workers: this.#parts.workers,
      pins: this.#parts.pins,
      endpoints: this.#parts.discovery.endpoints,
      keySources: this.#parts.keys.states(),
      failedChecks: this.#parts.probes.troubles(),
      accessLog: this.#accessLog,
      blocked: this.#parts.watchdog.blocked,
      adminTrouble: this.#adminEndpoint.trouble,
      fleet: this.#fleet?.state() ?? null,
      redisConsumers: this.#parts.consumers.state(),
    });
  }

  /** Under a supervisor a signal to the whole group says nothing that the supervisor will not say itself, but that we should drain. */
  #signalled(signal: string): void {
    if (this.#options.link.supervised) this.#stop(signal);
    else if (this.#stopSignals.counts()) this.#requestStop(signal);
  }

  /** The first request drains, the second cuts what is under way. */
  #requestStop(reason: string): void {
    this.#stopRequests++;
    if (this.#stopRequests === 1) return this.#stop(reason);
    this.#log.warn("stopping at once", { reason });
    if (this.#phase === "draining") void this.#parts.workers.drain(0, this.#parts.watchdog.blocked);
  }

  /** Drain as soon as start-up is over. Idempotent. */
  #stop(reason: string): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log.info("stopping", { reason });
    if (this.#phase === "serving") this.#drain();
  }

  /** Another instance takes over: the admin address is the first thing it needs. */
  #drainForTakeover(reason: string): void {
    void this.#adminEndpoint.close();
    this.#stop(reason);
  }

  #drain(exitCode = 0): void {
    if (this.#phase === "draining") return;
    this.#phase = "draining";
    this.#options.link.send({ kind: "leaving" }); // while there is time for it to arrive
    this.#directory.withdraw();
    this.#parts.warmUp.stop();
    this.#files.stop();
    void this.#reloader.stop();
    this.#parts.probes.stop();
    this.#parts.breakers.stop();
    this.#parts.discovery.stop();
    this.#parts.keys.stop();
    this.#parts.consumers.stop();
    if (this.#watchTimer !== null) clearInterval(this.#watchTimer);
    this.#stopRetrying();
    const drainMs = this.#parts.control.inForce?.plan.drainTimeoutMs ?? 0;
    // A blocked worker still owns a listening socket: new connections wait there in vain until this process ends.
    const timeoutMs = this.#parts.watchdog.blocked.length > 0 ? Math.min(drainMs, BLOCKED_DRAIN_MS) : drainMs;
    void this.#finish(this.#stopRequests > 1 ? 0 : timeoutMs, exitCode);
  }

  async #finish(timeoutMs: number, exitCode: number): Promise<void> {
    const { cut, stuck } = await this.#parts.workers.drain(timeoutMs, this.#parts.watchdog.blocked);
    await this.#fleet?.stop();
    await this.#accessLog?.stop(LOG_CLOSE_MS);
    await this.#adminEndpoint.close();
    const ended = await this.#source.end();
    if (stuck.length > 0 || !ended) {
      // A thread with a live native app cannot be ended alone, and exiting with it aborts: this is the quiet way.
      this.#log.error("ended with blocked workers", { workers: stuck });
      process.kill(process.pid, "SIGKILL");
    }
    this.#log.info("stopped", { cut });
    this.#end(exitCode);
  }
}

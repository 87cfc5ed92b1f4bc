// Thread entry of a worker: receives plans from the primary, brings them to life, owns this thread's listeners and its end.
// Must never import control/, and must never end with a listener open: a live uWebSockets.js app aborts the whole process.
import { randomBytes } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { FromWorker, PlanBundle, ToWorker, WorkerData } from "../../plan/messages.ts";
import { MODULE_SCHEME } from "../../plan/module-plan.ts";
import type { EndpointPlan } from "../../plan/plan.ts";
import { Heartbeat } from "../../shared/heartbeat.ts";
import { ROUTE_SLOT_OVERFLOW } from "../../shared/metric-layout.ts";
import { applyEndpoints, buildRuntime, type OwnedRuntime, retireRuntime } from "./build-runtime.ts";
import { openListener } from "./engines.ts";
import { kernelThreadId } from "./kernel-thread.ts";
import { fingerprint, OpenListener } from "./open-listener.ts";
import { OrphanWatch } from "./orphan-watch.ts";
import { WorkerServices } from "./services.ts";
import { warm } from "./warm-up.ts";

/** Time between two signs of life, ms. */
const HEARTBEAT_MS = 200;
/** How often retired runtimes and closing listeners are looked at, ms. */
const SWEEP_MS = 200;
/** How often a draining worker looks whether it is done, ms. */
const DRAIN_POLL_MS = 10;
/** A draining worker keeps idle connections this long (ms) after the last request, so that a request on its way is answered, not cut. */
const DRAIN_QUIET_MS = 500;
/** Open WebSockets are told 1001 this long (ms) before the time for draining is up, so that both ends can say goodbye. */
const WS_CLOSE_GRACE_MS = 1000;
/** How long (ms) a worker with an uncaught error finishes what is under way. */
const FAILED_DRAIN_MS = 5000;

type Init = Extract<ToWorker, { kind: "init" }>;

interface Prepared {
  readonly version: number;
  readonly runtime: OwnedRuntime;
  /** Opened for this plan only, by fingerprint. */
  readonly opened: ReadonlyMap<string, OpenListener>;
  /** Everything this plan listens on, by fingerprint. */
  readonly wanted: ReadonlySet<string>;
  readonly keySources: ReadonlySet<string>;
}

class WorkerThread {
  readonly #init: Init;
  readonly #send: (message: FromWorker) => void;
  readonly #heartbeat: Heartbeat;
  readonly #services: WorkerServices;
  /** Open and accepting, by fingerprint. */
  readonly #listeners = new Map<string, OpenListener>();
  /** No longer accepting; their connections finish. */
  readonly #closing = new Set<OpenListener>();
  readonly #retired = new Set<OwnedRuntime>();
  #runtime: OwnedRuntime | null = null;
  /** See {@link ListenerHost.ticketKeys}. */
  ticketKeys: Uint8Array;
  #prepared: Prepared | null = null;
  /** Plan messages are obeyed one after the other. */
  #queue: Promise<void> = Promise.resolve();
  draining = false;

  constructor(init: Init, send: (message: FromWorker) => void) {
    this.#init = init;
    this.ticketKeys = init.ticketKeys;
    this.#send = send;
    this.#heartbeat = new Heartbeat(init.shared.heartbeat);
    this.#services = new WorkerServices(
      init.shared,
      (message) => send({ kind: "warning", message }),
      (source) => send({ kind: "unknown-key", source }),
      (worker) => send({ kind: "link", worker }),
    );
    this.#services.countConnections = () => this.#connections();
    this.#services.tellChanged = (numbers) => send({ kind: "changed", numbers });
    setInterval(() => this.#heartbeat.beat(init.shared.workerIndex), HEARTBEAT_MS);
    setInterval(() => this.#sweep(), SWEEP_MS);
    process.on("exit", () => this.#closeAll());
    process.on("uncaughtException", (error) => (isOfPolicy(error) ? this.#strayed(error) : this.#fail(error)));
    // Where there are policies of the user's own, a promise that nobody looks at is one of theirs: it concerns no exchange.
    process.on("unhandledRejection", (reason) => (this.#services.modules.size > 0 ? this.#strayed(reason) : this.#fail(reason)));
  }

  /** The runtime that new requests belong to. Only called by listeners, which exist only once there is one. */
  get runtime(): OwnedRuntime {
    if (this.#runtime === null) throw new Error("a listener asked for a runtime before there was one");
    return this.#runtime;
  }

  /** Responses say `Connection: close`: only once nothing is accepted here any more, or clients would come straight back and be lost. */
  get closesConnections(): boolean {
    return this.#services.draining;
  }

  /** See {@link ListenerHost.admitsPeer}: over all listeners. */
  admitsPeer(peer: string): boolean {
    const refusal = this.#services.connections.refusal(this.runtime, peer, { open: this.#connections(), workers: this.#init.workers });
    if (refusal !== null) this.#services.recordRefusedConnection(refusal);
    return refusal === null;
  }

  /** See {@link ListenerHost.admitProxied}. */
  admitProxied(client: string): (() => void) | null {
    const over = this.#services.connections.admitProxied(this.runtime, client);
    if (over === null) this.#services.recordRefusedConnection("address");
    return over;
  }

  onMessage(message: ToWorker): void {
    switch (message.kind) {
      case "drain":
        void this.#drain(message.timeoutMs, "draining", 0);
        break;
      // At once, not behind a plan that is being prepared: sets know which is the newer.
      case "keys":
        this.#services.keys.update(message.sets);
        break;
      case "keys-checked":
        this.#services.keys.answered(message.source, message.ok, message.restMs);
        break;
      case "linked":
        this.#services.links.linked(message.worker, message.port);
        break;
      case "ticket-keys":
        this.ticketKeys = message.keys;
        for (const each of this.#everyListener()) each.listener?.useTicketKeys(message.keys);
        break;
      case "warm":
        warm(this.draining ? null : this.#runtime, message.request, (outcome) => this.#send({ kind: "warmed", id: message.id, outcome }));
        break;
      case "crash":
        if (this.#init.testHooks) setImmediate(() => crash());
        break;
      case "block":
        if (this.#init.testHooks) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, message.ms);
        break;
      default:
        this.#queue = this.#queue.then(() => this.#handle(message));
    }
  }

  async #handle(message: Extract<ToWorker, { kind: "init" | "prepare" | "activate" | "discard" | "endpoints" }>): Promise<void> {
    switch (message.kind) {
      case "init":
        if (await this.#prepare(message.bundle)) this.#activate(message.bundle.plan.version, "ready");
        break;
      case "prepare":
        if (await this.#prepare(message.bundle)) this.#send({ kind: "prepared", version: message.bundle.plan.version });
        break;
      case "activate":
        this.#activate(message.version, "activated");
        break;
      case "discard":
        this.#discard(message.version);
        break;
      case "endpoints":
        this.#endpoints(message.upstream, message.endpoints);
        break;
    }
  }

  /** Builds the runtime and opens what is new. @returns false when refused; then nothing has changed. */
  async #prepare(bundle: PlanBundle): Promise<boolean> {
    const { plan, endpoints, keys } = bundle;
    if (this.draining) {
      this.#send({ kind: "refused", version: plan.version, message: "the worker is draining" });
      return false;
    }
    if (this.#prepared !== null) this.#discard(this.#prepared.version);
    const opened = new Map<string, OpenListener>();
    const wanted = new Set<string>();
    let runtime: OwnedRuntime | null = null;
    try {
      await this.#services.prepare(plan);
      this.#services.keys.update(keys);
      runtime = buildRuntime({ plan, endpoints, services: this.#services });
      // The first listener of all may get its first request before activate(): there must be a runtime to serve it.
      this.#runtime ??= runtime;
      for (const listener of plan.listeners.filter((each) => this.#isMine(each))) {
        const key = fingerprint(listener, plan.limits);
        wanted.add(key);
        if (!this.#listeners.has(key)) opened.set(key, await this.#open(listener, runtime));
      }
    } catch (error) {
      for (const each of opened.values()) each.listener?.close();
      if (runtime !== null && runtime !== this.#runtime) this.#retired.add(runtime);
      this.#send({ kind: "refused", version: plan.version, message: error instanceof Error ? error.message : String(error) });
      return false;
    }
    this.#prepared = { version: plan.version, runtime, opened, wanted, keySources: new Set(keys.keys()) };
    return true;
  }

  /** A Unix socket can be bound once only, so one worker serves it; TCP ports are shared by all (SO_REUSEPORT). */
  #isMine(listener: ListenerPlan): boolean {
    return listener.unixPath === null || this.#init.seat === 0;
  }

  async #open(plan: ListenerPlan, runtime: OwnedRuntime): Promise<OpenListener> {
    const host = new OpenListener(this, plan);
    host.opening = runtime;
    if (plan.unixPath === null) host.listener = await openListener(plan, host);
    else {
      host.unixTemporary = `${plan.unixPath}~${randomBytes(4).toString("hex")}`; // bounded by UNIX_PATH_BYTES_MAX
      host.listener = await openListener({ ...plan, unixPath: host.unixTemporary }, host);
    }
    host.opening = null;
    host.listener.useTicketKeys(this.ticketKeys); // they may have been exchanged meanwhile
    return host;
  }

  #activate(version: number, answer: "ready" | "activated"): void {
    const prepared = this.#prepared;
    if (prepared === null || prepared.version !== version) return;
    this.#prepared = null;
    if (this.#runtime !== null && this.#runtime !== prepared.runtime) this.#retired.add(this.#runtime);
    this.#runtime = prepared.runtime;
    this.#services.load.use(prepared.runtime.plan.overload);
    this.#services.keys.keepOnly(prepared.keySources);
    for (const [key, each] of prepared.opened) {
      this.#listeners.set(key, each);
      this.#takePlace(each);
    }
    for (const [key, each] of this.#listeners) {
      if (prepared.wanted.has(key)) continue;
      this.#listeners.delete(key);
      const { address, port } = each.listener?.plan ?? { address: "", port: 0 };
      each.succeededBy(prepared.runtime.plan.listeners.find((other) => other.address === address && other.port === port) ?? null);
      this.#retireListener(each, prepared.runtime.plan.drainTimeoutMs);
    }
    if (!this.draining) this.#heartbeat.setState(this.#init.shared.workerIndex, "serving");
    this.#send(answer === "ready" ? { kind: answer, version, thread: kernelThreadId() } : { kind: answer, version });
  }

  /** Gives a Unix socket its name. What was there is dead or goes: the primary made sure that nobody else answers there. */
  #takePlace({ unixTemporary }: OpenListener): void {
    if (unixTemporary === null) return;
    try {
      renameSync(unixTemporary, unixTemporary.slice(0, unixTemporary.lastIndexOf("~")));
    } catch (error) {
      this.#send({ kind: "warning", message: `a Unix socket cannot be put in place: ${error instanceof Error ? error.message : error}` });
    }
  }

  #retireListener(each: OpenListener, drainTimeoutMs: number): void {
    each.closeAtMs = performance.now() + drainTimeoutMs;
    this.#closing.add(each);
    void accepted().then(() => {
      each.listener?.stopAccepting();
      each.closing = true; // in this order: see closesConnections
      each.listener?.drain();
    });
  }

  #discard(version: number): void {
    const prepared = this.#prepared;
    if (prepared === null || prepared.version !== version) return;
    this.#prepared = null;
    // Somebody may have connected already: such requests are served by the plan in force and the connection then closes.
    for (const each of prepared.opened.values()) {
      this.#retireListener(each, prepared.runtime.plan.drainTimeoutMs);
      if (each.unixTemporary !== null) rmSync(each.unixTemporary, { force: true });
    }
    this.#retired.add(prepared.runtime);
  }

  #endpoints(upstream: string, endpoints: readonly EndpointPlan[]): void {
    for (const runtime of [this.#runtime, this.#prepared?.runtime, ...this.#retired]) {
      if (runtime !== null && runtime !== undefined) applyEndpoints(runtime, upstream, endpoints);
    }
  }

  #reportCalls(): void {
    const calls = this.#services.takeDeprecatedCalls();
    if (calls !== null) this.#send({ kind: "deprecated-calls", calls });
  }

  /** Lets go of what is no longer used, and reports what was counted. */
  #sweep(): void {
    this.#reportCalls();
    for (const runtime of this.#retired) {
      if (runtime.inFlight > 0) continue;
      this.#retired.delete(runtime);
      retireRuntime(runtime);
    }
    for (const each of this.#closing) {
      if (!each.closing) continue;
      const leftMs = each.closeAtMs - performance.now();
      if (leftMs <= WS_CLOSE_GRACE_MS) each.listener?.endWebSockets();
      if ((each.listener?.connections ?? 0) > 0 && leftMs > 0) continue;
      this.#closing.delete(each);
      each.listener?.close();
    }
  }

  /** A policy of the user's own has failed where no exchange waits for it: in a timer, in a promise. */
  #strayed(error: unknown): void {
    this.#services.policies.failed(ROUTE_SLOT_OVERFLOW, "a policy of the user's own failed outside of its hooks", {
      error,
      requestId: "-",
    });
  }

  #fail(error: unknown): void {
    if (this.draining) return;
    this.#send({ kind: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    void this.#drain(FAILED_DRAIN_MS, "failed", 1);
  }

  /** Stops accepting, waits for what is under way, closes everything and ends the thread. */
  async #drain(timeoutMs: number, state: "draining" | "failed", exitCode: number): Promise<void> {
    const again = this.draining;
    this.draining = true;
    this.#heartbeat.setState(this.#init.shared.workerIndex, state);
    if (!again && timeoutMs > 0) {
      await accepted();
      for (const each of this.#everyListener()) each.listener?.stopAccepting();
      this.#services.draining = true; // in this order: see closesConnections
      for (const each of this.#everyListener()) each.listener?.drain();
      await this.#quiet(timeoutMs);
    } else if (again && timeoutMs > 0) return;
    const cut = this.#inFlight();
    this.#closeAll();
    this.#reportCalls();
    this.#send({ kind: "drained", cut });
    process.exit(exitCode);
  }

  /** @returns when nothing is under way and no connection is left (or none has asked for anything for a while), or time is up. */
  async #quiet(timeoutMs: number): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    const farewellAtMs = endMs - Math.min(WS_CLOSE_GRACE_MS, timeoutMs / 2);
    let busyMs = performance.now();
    for (;;) {
      const now = performance.now();
      if (now >= farewellAtMs) for (const each of this.#everyListener()) each.listener?.endWebSockets();
      if (this.#inFlight() > 0) busyMs = now;
      else if (this.#connections() === 0 || now - busyMs >= DRAIN_QUIET_MS) return;
      if (now >= endMs) return;
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }

  #inFlight(): number {
    let sum = this.#runtime?.inFlight ?? 0;
    for (const runtime of this.#retired) sum += runtime.inFlight;
    return sum;
  }

  #everyListener(): OpenListener[] {
    return [...this.#listeners.values(), ...(this.#prepared?.opened.values() ?? []), ...this.#closing];
  }

  #connections(): number {
    return this.#everyListener().reduce((sum, each) => sum + (each.listener?.connections ?? 0), 0);
  }

  #closeAll(): void {
    for (const each of this.#everyListener()) each.listener?.close();
    this.#listeners.clear();
    this.#closing.clear();
    this.#prepared = null;
  }
}

/**
 * @returns when everything that had connected by now is accepted, and so the accept queues are as empty as they can be: what is still in one
 * when its socket closes is lost. One poll for new connections may be over already, so it is the second that counts.
 */
async function accepted(): Promise<void> {
  for (let polls = 0; polls < 2; polls++) await new Promise((resolve) => setImmediate(resolve));
}

/** Thrown by the code of a policy module, called by nobody here: what the gateway calls is guarded. */
const isOfPolicy = (error: unknown): boolean => error instanceof Error && error.stack?.includes(MODULE_SCHEME) === true;

function crash(): never {
  throw new Error("crash asked for by a test");
}

const port = parentPort;
if (port === null) throw new Error("worker.ts is the entry of a worker thread, not of a process");
const orphanWatch = new OrphanWatch((workerData as WorkerData | null)?.supervisor ?? null); // by WarmWorkerPool
let worker: WorkerThread | null = null;
port.on("message", (message: ToWorker) => {
  if (message.kind === "drain") orphanWatch.rest();
  if (message.kind === "init") worker = new WorkerThread(message, (answer) => port.postMessage(answer));
  if (worker !== null) worker.onMessage(message);
  else if (message.kind === "drain") process.exit(0); // never listened
});

// Owns the listeners' addresses before workers see them: free ports picked, ports of others refused.
// SO_REUSEPORT would let two gateways share a port by mistake: so each address is first listened on exclusively, for a moment.
import { accessSync, constants, lstatSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname } from "node:path";
import { OperatorError } from "../../base/errors.ts";
import type { ListenerPlan } from "../../plan/listener-plan.ts";
import type { Plan } from "../../plan/plan.ts";
import { overlaps } from "./instance-dir.ts";
import { portHolder } from "./port-holder.ts";

/** Ports that are looked at for one listener: then all are taken by others of this gateway, which is refused where it is seen. */
const PICKS_MAX = 1000;

/** Ports picked for addresses with port 0, by {@link portKey}. */
export type PickedPorts = Readonly<Record<string, number>>;

/**
 * @param picked ports picked before (an earlier plan or an earlier life): kept
 * @returns the plan with every port known, and the ports picked
 */
export async function resolvePorts(plan: Plan, picked: PickedPorts): Promise<{ readonly plan: Plan; readonly picked: PickedPorts }> {
  const now: Record<string, number> = {};
  const listeners: ListenerPlan[] = [];
  const taken = new Set([...Object.values(picked), ...plan.listeners.map(({ port }) => port)]);
  for (const [index, listener] of plan.listeners.entries()) {
    if (listener.unixPath !== null || listener.port !== 0) {
      listeners.push(listener);
      continue;
    }
    const key = portKey(plan.listeners, index);
    const port = picked[key] ?? (await pickPort(listener.host, taken));
    taken.add(port);
    now[key] = port;
    listeners.push({ ...listener, port });
  }
  return { plan: { ...plan, listeners }, picked: now };
}

/** The system may give the same port again: nobody listens there yet. @param taken ports of other listeners. @throws OperatorError */
async function pickPort(host: string, taken: ReadonlySet<number>): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = await listenOnce(host, 0);
    if (!taken.has(port) || tries >= PICKS_MAX) return port;
  }
}

/** `127.0.0.1:0#0`, `127.0.0.1:0#1`...: the n-th listener with the same text. */
function portKey(listeners: readonly ListenerPlan[], index: number): string {
  const { address } = listeners[index] ?? { address: "" };
  return `${address}#${listeners.slice(0, index).filter((each) => each.address === address).length}`;
}

/** `host:port` with the real port, or `unix:/path`. */
export function boundAddress(listener: ListenerPlan): string {
  if (listener.unixPath !== null) return `unix:${listener.unixPath}`;
  return `${listener.host.includes(":") ? `[${listener.host}]` : listener.host}:${listener.port}`;
}

/** What a client would type to reach it. */
export function listenerUrl(listener: ListenerPlan): string {
  const address = boundAddress(listener);
  return listener.unixPath === null ? `${listener.tls === null ? "http" : "https"}://${address}` : address;
}

/**
 * Refuses addresses that another process listens on.
 * @param ours bound addresses (see {@link boundAddress}) that our own workers hold, or the instance to be replaced: not checked
 * @param remedy for an address in use, one of {@link REMEDIES}
 * @throws OperatorError naming address, holder and remedy
 */
export async function checkAddressesFree(
  listeners: readonly ListenerPlan[],
  ours: readonly string[],
  remedy: string = REMEDIES.start,
): Promise<void> {
  const seen = new Set<string>();
  for (const listener of listeners) {
    const address = boundAddress(listener);
    if (seen.has(address)) throw new OperatorError(`listeners: ${address} stands there twice; remove one`);
    seen.add(address);
    if (ours.some((held) => overlaps(held, address))) continue;
    if (listener.unixPath === null) await listenOnce(listener.host, listener.port, remedy);
    else await claimSocketPath(listener.unixPath, remedy);
  }
}

/** What to do about an address in use. */
export const REMEDIES = {
  start: "stop it, choose another address, or use --takeover if it is the Sluice to be replaced",
  takeover: "it is no Sluice of this user and SLUICE_RUN_DIR, so it can't be taken over: stop it, or choose another address",
  reload: "stop it, or choose another address",
} as const;

/** @returns the port, or a free one for 0. @throws OperatorError when nobody may listen there */
async function listenOnce(host: string, port: number, remedy: string = REMEDIES.start): Promise<number> {
  const claimed = await claimPort(host, port);
  if (claimed instanceof Error) throw new OperatorError(explain(host, port, claimed, remedy));
  return claimed;
}

/** Whether nobody listens there, not even sharing it. @returns the port, or a free one for 0; or why it cannot be had */
export async function claimPort(host: string, port: number): Promise<number | Error> {
  const free = isSurelyOurs(host) ? await listenExclusively(null, port) : null;
  return typeof free === "number" ? free : await listenExclusively(host, port);
}

/**
 * Any address, or one of loopback: it exists, so that a port on which nobody listens, whatever the address, is free there. Asking so saves a
 * start 10 ms and more, which Node takes to compile the regular expression that it checks a listener's address with.
 */
const isSurelyOurs = (host: string): boolean => host === "0.0.0.0" || /^127\.\d+\.\d+\.\d+$/.test(host);

/** Without SO_REUSEPORT, for a moment. @param host null: all addresses */
function listenExclusively(host: string | null, port: number): Promise<number | Error> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ ...(host === null ? {} : { host }), port, exclusive: true, backlog: 1 }, () => {
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}

function explain(host: string, port: number, error: Error, remedy: string): string {
  const where = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const code = "code" in error ? error.code : "";
  if (code === "EADDRINUSE") {
    const holder = portHolder(port);
    const who = holder === null ? "another process" : `process ${holder.pid}${holder.command === "" ? "" : ` (${holder.command})`}`;
    return `cannot listen on ${where}: ${who} holds the port; ${remedy}`;
  }
  if (code === "EACCES") return `cannot listen on ${where}: not permitted; use a port from 1024 up, or grant CAP_NET_BIND_SERVICE`;
  if (code === "EADDRNOTAVAIL") return `cannot listen on ${where}: this machine has no such address; use one of its own, or 0.0.0.0`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `cannot listen on ${where}: the name is unknown; write an IP address`;
  return `cannot listen on ${where}: ${error.message}`;
}

/** A socket file that nobody answers on is removed; one in use is refused, and so is what is no socket: a worker would overwrite it. */
async function claimSocketPath(path: string, remedy: string): Promise<void> {
  const refused = (why: string): OperatorError => new OperatorError(`cannot listen on unix:${path}: ${why}`);
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw refused(
      missing ? `there is no directory ${dirname(path)}; create it` : `this user may not create files in ${dirname(path)}; allow it`,
    );
  }
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw refused("there is something other than a socket; remove it, or choose another path");
  if (!(await clearStaleSocket(path))) throw refused(`another process listens there; ${remedy}`);
}

/** @returns false when somebody answers there. */
function clearStaleSocket(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error) => {
      if ("code" in error && error.code === "ECONNREFUSED") rmSync(path, { force: true });
      resolve(true); // anything else (no file, no permission) shows when the worker binds it
    });
  });
}

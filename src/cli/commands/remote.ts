// Owns `sluice status`, `reload` and `drain`: what an operator asks of a running gateway through its admin interface, and how the answer reads.
import { formatProblem } from "../../control/config/source/problem.ts";
import { CONFIG_OPTIONS, readArguments } from "../arguments.ts";
import type { Command, CommandIo } from "../command.ts";
import { type AdminReply, askAdmin, type Door, findDoor, refusedBy } from "./admin-door.ts";

export const OPTIONS = { ...CONFIG_OPTIONS, admin: { type: "string" }, json: { type: "boolean" } } as const;

/** @returns 0 when it serves, 1 when it does not. @throws OperatorError when it does not answer */
export const statusCommand: Command = (argv, io) =>
  remote("status", argv, io, async (door, json) => {
    const ready = await askAdmin(door, "GET", "/readyz");
    const status = await succeeded(door, "GET", "/status");
    io.stdout(json ? asJson(status.body) : statusText(ready.body as Readiness, status.body as Status));
    return ready.status === 200 ? 0 : 1;
  });

/** @returns 0 when the configuration is in force, 1 when it was refused. @throws OperatorError when it does not answer */
export const reloadCommand: Command = (argv, io) =>
  remote("reload", argv, io, async (door, json) => {
    const reply = await askAdmin(door, "POST", "/reload");
    if (reply.status !== 200 && reply.status !== 422) throw refusedBy(door, reply);
    if (json) io.stdout(asJson(reply.body));
    else if (reply.status === 200) sayReloaded(reply.body as Reloaded, io);
    else sayProblems(reply.body as RefusedReload, io);
    return reply.status === 200 ? 0 : 1;
  });

/** @returns 0. @throws OperatorError when it does not answer */
export const drainCommand: Command = (argv, io) =>
  remote("drain", argv, io, async (door, json) => {
    const { body } = await succeeded(door, "POST", "/drain");
    io.stdout(json ? asJson(body) : `draining: ${door.name}\n`);
    return 0;
  });

type Asking = (door: Door, json: boolean) => Promise<number>;

async function remote(command: string, argv: readonly string[], io: CommandIo, asking: Asking): Promise<number> {
  const { values, files } = readArguments(argv, { command, options: OPTIONS, positional: "file" });
  return await asking(await findDoor(command, { files, admin: values.admin }, io), values.json === true);
}

async function succeeded(door: Door, method: "GET" | "POST", path: string): Promise<AdminReply> {
  const reply = await askAdmin(door, method, path);
  if (reply.status >= 300) throw refusedBy(door, reply);
  return reply;
}

const asJson = (body: unknown): string => `${JSON.stringify(body, null, 2)}\n`;

// What follows are parts of the admin interface's own answers, of this program's version or another's.

interface Readiness {
  readonly status: string;
  readonly planVersion: number;
  readonly concerns: readonly string[];
}

interface Status {
  readonly instance: { readonly release: string; readonly pid: number; readonly startedAtMs: number };
  readonly workers: readonly { readonly state: string }[];
  readonly upstreams: readonly {
    readonly name: string;
    readonly targets: readonly { readonly key: string; readonly healthy: boolean; readonly reason: string }[];
  }[];
}

function statusText({ status, planVersion, concerns }: Readiness, { instance, workers, upstreams }: Status): string {
  const ready = workers.filter(({ state }) => state === "serving").length;
  const since = new Date(instance.startedAtMs).toISOString();
  const lines = [`${status}, plan ${planVersion}, since ${since}, pid ${instance.pid}, release ${instance.release}`];
  lines.push(`workers: ${ready} of ${workers.length} serving`);
  for (const { name, targets } of upstreams) {
    lines.push(`upstream ${name}: ${targets.filter(({ healthy }) => healthy).length} of ${targets.length} targets healthy`);
    for (const { key, healthy, reason } of targets) if (!healthy) lines.push(`  ${key}: ${reason}`);
  }
  return `${[...lines, ...concerns.map((concern) => `concern: ${concern}`)].join("\n")}\n`;
}

interface Reloaded {
  readonly version: number;
  readonly changes: readonly string[];
  readonly warnings: readonly string[];
}

function sayReloaded({ version, changes, warnings }: Reloaded, io: CommandIo): void {
  for (const warning of warnings) io.stderr(`warning: ${warning}\n`);
  io.stdout(`reloaded: plan ${version} is in force\n${changes.map((change) => `  ${change}\n`).join("")}`);
}

interface RefusedReload {
  readonly problems: readonly {
    readonly message: string;
    readonly at?: { readonly file: string; readonly line: number; readonly column: number };
    readonly path?: string;
    readonly remedy?: string;
  }[];
}

function sayProblems({ problems }: RefusedReload, io: CommandIo): void {
  for (const { message, at, path = "", remedy = "" } of problems)
    io.stderr(`${at === undefined ? message : formatProblem({ at, path, message, remedy })}\n`);
  io.stderr(
    `the reload was refused: ${problems.length} ${problems.length === 1 ? "error" : "errors"}; the old configuration stays in force\n`,
  );
}

// Owns how a command finds and asks the admin interface of a running gateway. Must never send a token anywhere but to the address that it belongs to.
import { OperatorError } from "../../base/errors.ts";
import { InstanceDir, instanceDirectory } from "../../control/instance/instance-dir.ts";
import { wrongUsage } from "../arguments.ts";
import type { CommandIo } from "../command.ts";
import { commandConfig } from "./command-config.ts";

/** A reload may wait for name servers, identity providers and Redis. */
const ANSWER_MS_MAX = 60_000;
const ANSWER_BYTES_MAX = 64 * 1024 ** 2;
const TOKEN_VARIABLE = "SLUICE_ADMIN_TOKEN";

/** Where the admin interface is. */
export interface Door {
  /** For messages. */
  readonly name: string;
  readonly to: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly token: string | null;
}

export interface AdminReply {
  readonly status: number;
  readonly body: unknown;
}

/**
 * @param command for messages
 * @param admin as written on the command line
 * @throws OperatorError when there is none, or no single one
 */
export async function findDoor(
  command: string,
  { files, admin }: { readonly files: readonly string[]; readonly admin: string | undefined },
  io: CommandIo,
): Promise<Door> {
  if (admin !== undefined) return doorAt(command, admin, io.env[TOKEN_VARIABLE] ?? null);
  const { result } = await commandConfig(files, io);
  if (!result.ok) return controlSocket(io, "the configuration cannot be loaded");
  const { admin: configured } = result.config;
  if (configured === null || configured.address.port === 0)
    return controlSocket(io, "the configuration has no admin listener of a known port");
  const { address, host, port } = configured.address;
  return { name: address, to: { host: reachable(host), port }, token: configured.token };
}

/** Any address of this machine -> one of them. */
const reachable = (host: string): string => (host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host);

function doorAt(command: string, text: string, token: string | null): Door {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== "http:" || url.username !== "" || !["", "/"].includes(url.pathname))
    throw wrongUsage(command, `--admin: expected http://host:port, not "${text.replace(/\/\/[^/]*@/, "//***@")}"`);
  return {
    name: url.origin,
    to: { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 80) },
    token: token === "" ? null : token,
  };
}

/** @param why it is looked for */
function controlSocket(io: CommandIo, why: string): Door {
  const directory = instanceDirectory(io.env);
  const sockets = new InstanceDir(directory).instances().map(({ socket }) => socket);
  const [socket] = sockets;
  if (socket === undefined || sockets.length > 1)
    throw new OperatorError(
      `${why}, and in the run directory ${directory} ${sockets.length === 0 ? "no gateway is" : `${sockets.length} gateways are`} running; name the admin listener by --admin http://host:port`,
    );
  return { name: socket, to: { socketPath: socket }, token: null };
}

/** @throws OperatorError when nobody answers, or not as an admin listener does */
export async function askAdmin(door: Door, method: "GET" | "POST", path: string): Promise<AdminReply> {
  const { status, text } = await ask(door, method, path).catch((error: unknown) => {
    throw new OperatorError(
      `no answer from the admin interface at ${door.name}: ${error instanceof Error ? error.message : String(error)}; is the gateway running?`,
    );
  });
  try {
    return { status, body: JSON.parse(text) as unknown };
  } catch {
    throw new OperatorError(`what answers at ${door.name} is no admin interface (status ${status})`);
  }
}

async function ask(door: Door, method: string, path: string): Promise<{ readonly status: number; readonly text: string }> {
  const { request } = await import("node:http");
  return new Promise((resolve, reject) => {
    const headers = door.token === null ? {} : { authorization: `Bearer ${door.token}` };
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    const call = request({ ...door.to, method, path, headers, agent: false, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (more: string) => {
        text += more;
        if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error("the answer is too long"));
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.once("error", reject);
    });
    call.once("error", reject);
    call.end();
  });
}

/** A problem document (RFC 9457) as admin/problem.ts makes it. */
export function refusedBy(door: Door, { status, body }: AdminReply): OperatorError {
  const { title = `status ${status}`, remedy = "", detail = "", parameter = "" } = body as Readonly<Record<string, string | undefined>>; // of this program's version or another's
  const what = [title, ...(parameter === "" ? [] : [parameter]), ...(detail === "" ? [] : [detail])].join(": ");
  return new OperatorError(`the admin interface at ${door.name} refused: ${what}${remedy === "" ? "" : `; ${remedy}`}`);
}

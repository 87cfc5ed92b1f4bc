// Owns how a primary that serves calls the launcher (src/sluice.sh) to become its supervisor, and how the two find each other: a Unix socket in the run
// directory, for as long as it takes to connect. Must never let anybody else in: the primary hands over its configuration there, secrets included.
import { readlinkSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { InstanceDir, instanceDirectory } from "../instance/instance-dir.ts";

/** Between two calls for the supervisor, and tries to find it, ms. */
const RETRY_MS = 10;
/** What the launcher waits for. Ignored by every process that does not ask for it, as the supervisor does not. */
const CALL = "SIGURG";

type Env = Readonly<Record<string, string | undefined>>;

/** Of this supervisor alone: containers may share the directory, and have pids alike. @throws OperatorError when the run directory will not do */
function placeOf(supervisor: number, env: Env): string {
  const namespace = /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "";
  return join(new InstanceDir(instanceDirectory(env)).path, `${supervisor}-${namespace}.sock`);
}

export interface Waiting {
  connected(socket: Socket): void;
  /** Nobody can be met here. */
  failed(error: Error): void;
}

/** The supervisor's side: lets one primary in. @returns lets go of the place. */
export function waitForPrimary(env: Env, waiting: Waiting, own = process.pid): () => void {
  const server = createServer();
  server.once("error", (error) => waiting.failed(error));
  server.once("connection", (socket) => {
    server.close(); // the name goes too
    waiting.connected(socket);
  });
  try {
    const place = placeOf(own, env);
    rmSync(place, { force: true }); // left over from a process that had our pid
    // Binding is synchronous, so the narrow umask lasts for nothing else.
    const before = process.umask(0o177);
    server.listen(place);
    process.umask(before);
  } catch (error) {
    setImmediate(() => waiting.failed(error instanceof Error ? error : new Error(String(error))));
  }
  return () => void server.close();
}

export interface Going {
  connected(socket: Socket): void;
  /** The supervisor is gone. */
  lost(): void;
}

/** The primary's side. When there is no way, it waits to be told or killed by the supervisor, which has seen so too. */
export function goToSupervisor(supervisor: number, env: Env, going: Going): void {
  const again = (): void => void setTimeout(() => attempt(), RETRY_MS);
  const attempt = (): void => {
    if (process.ppid !== supervisor) return going.lost();
    process.kill(supervisor, CALL); // our parent: alive, and nobody else has its pid
    const place = usablePlace(supervisor, env);
    if (place === null) return again();
    const socket = connect(place, () => {
      socket.off("error", retry);
      going.connected(socket);
    });
    const retry = (): void => {
      socket.destroy();
      again();
    };
    socket.once("error", retry);
  };
  attempt();
}

function usablePlace(supervisor: number, env: Env): string | null {
  try {
    return placeOf(supervisor, env);
  } catch {
    return null;
  }
}

// Owns the directory where instances of one user on one machine find each other: a record and a control socket for each.
// Must never trust a directory that somebody else could write to.
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { OperatorError } from "../../base/errors.ts";
import { readRegularFile } from "../../base/read-file.ts";
import { isAlive } from "./process-status.ts";

/** What an instance says about itself. */
export interface InstanceRecord {
  /** The primary. */
  readonly pid: number;
  /** The process to signal: the supervisor, or the primary itself. */
  readonly signalPid: number;
  /** `host:port` or `unix:/path`, ports resolved. */
  readonly addresses: readonly string[];
  /** Unix socket of its admin interface. */
  readonly socket: string;
}

/** sockaddr_un.sun_path, without the closing NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
const OTHERS_MAY_WRITE = 0o022;
/** Records looked at; more than this many instances of one user are not expected. */
const RECORDS_MAX = 1000;
const RECORD_BYTES_MAX = 1024 ** 2;

/** @returns `$SLUICE_RUN_DIR`, else `$XDG_RUNTIME_DIR/sluice`, else `/tmp/sluice-UID`. */
export function instanceDirectory(env: Readonly<Record<string, string | undefined>>): string {
  if (env["SLUICE_RUN_DIR"]) return env["SLUICE_RUN_DIR"];
  if (env["XDG_RUNTIME_DIR"]) return join(env["XDG_RUNTIME_DIR"], "sluice");
  return `/tmp/sluice-${process.getuid?.() ?? 0}`;
}

export class InstanceDir {
  readonly path: string;
  readonly #pid: number;

  /**
   * Makes the directory (mode 0700). One that is there stays as it is: records and sockets have narrow modes of their own, and it may be one that
   * others need, such as /run. @throws OperatorError when it cannot be made, or others could put something there.
   */
  constructor(path: string, pid = process.pid) {
    this.path = path;
    this.#pid = pid;
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      const stat = lstatSync(path);
      if (!stat.isDirectory()) throw new Error("it is not a directory");
      if (process.getuid !== undefined && stat.uid !== process.getuid()) throw new Error(`it belongs to user ${stat.uid}`);
      if ((stat.mode & OTHERS_MAY_WRITE) !== 0) throw new Error("other users may write to it (chmod go-w it)");
    } catch (error) {
      throw new OperatorError(
        `run directory ${path}: ${error instanceof Error ? error.message : String(error)}; set SLUICE_RUN_DIR to a directory of your own`,
      );
    }
    if (Buffer.byteLength(this.socket) > SOCKET_PATH_BYTES_MAX) {
      throw new OperatorError(`run directory ${path}: the path is too long for a Unix socket; set SLUICE_RUN_DIR to a shorter one`);
    }
  }

  /** Path of this instance's own control socket. */
  get socket(): string {
    return join(this.path, `${this.#pid}.sock`);
  }

  /** Announces this instance; replaces what it said before. */
  announce(record: InstanceRecord): void {
    const file = join(this.path, `${this.#pid}.json`);
    writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  /** Takes back what announce() said and removes the socket. */
  withdraw(): void {
    for (const name of [`${this.#pid}.json`, `${this.#pid}.sock`]) rmSync(join(this.path, name), { force: true });
  }

  /** @returns the other living instances that listen on one of these addresses. Records of dead ones are removed. */
  holders(addresses: readonly string[]): readonly InstanceRecord[] {
    return this.#others().filter((record) => record.addresses.some((held) => addresses.some((wanted) => overlaps(held, wanted))));
  }

  /** @returns the other living instances. Records of dead ones are removed. */
  instances(): readonly InstanceRecord[] {
    return this.#others();
  }

  #others(): readonly InstanceRecord[] {
    const records: InstanceRecord[] = [];
    for (const name of readdirSync(this.path).slice(0, RECORDS_MAX)) {
      const pid = Number(/^(\d+)\.json$/.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(pid) || pid === this.#pid) continue;
      if (!isAlive(pid)) {
        for (const gone of [`${pid}.json`, `${pid}.sock`]) rmSync(join(this.path, gone), { force: true });
        continue;
      }
      const record = readRecord(join(this.path, name));
      if (record !== null) records.push(record);
    }
    return records;
  }
}

/** Whether two listeners could not both be bound without sharing: same port and same host, or one of them any host. */
export function overlaps(a: string, b: string): boolean {
  if (a === b) return true;
  const [hostA, portA] = split(a);
  const [hostB, portB] = split(b);
  return portA !== "" && portA === portB && (isWildcard(hostA) || isWildcard(hostB));
}

function split(address: string): readonly [string, string] {
  const colon = address.lastIndexOf(":");
  return address.startsWith("unix:") ? [address, ""] : [address.slice(0, colon), address.slice(colon + 1)];
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "[::]";
}

function readRecord(file: string): InstanceRecord | null {
  try {
    const found = readRegularFile(file, RECORD_BYTES_MAX);
    if (found instanceof Error) return null;
    const value: unknown = JSON.parse(found.bytes.toString("utf8"));
    if (typeof value !== "object" || value === null) return null;
    const { pid, signalPid, addresses, socket } = value as Partial<Record<keyof InstanceRecord, unknown>>; // checked below
    if (typeof pid !== "number" || typeof signalPid !== "number" || typeof socket !== "string" || !Array.isArray(addresses)) return null;
    return { pid, signalPid, socket, addresses: addresses.filter((address) => typeof address === "string") };
  } catch {
    return null; // gone or half-written: not an instance we can talk to
  }
}

// Reads who is connected to some ports of this machine from the kernel's lists of TCP sockets (Linux, proc_net_tcp.txt). Pure reading.
import { existsSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { formatIpBytes } from "../../base/ip.ts";

/** Of IPv4, then of IPv6. */
const FILES: readonly string[] = ["/proc/net/tcp", "/proc/net/tcp6"];
const CHUNK_BYTES = 64 * 1024;
/** `sl: local:port remote:port state`, numbers in hex. */
const LINE = /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]{8}(?:[0-9A-F]{24})?):[0-9A-F]{4} ([0-9A-F]{2}) /;
/** ESTABLISHED, and CLOSE_WAIT: the peer has said goodbye, the connection is still there. */
const OPEN_STATES: ReadonlySet<string> = new Set(["01", "08"]);

/** Whether this system has the lists. */
export const canListPeers = (files = FILES): boolean => existsSync(files[0] ?? "");

/**
 * Calls back for each open connection to one of the ports, whoever holds it, with the peer's address in canonical text.
 * @param files of the kernel's form; the first must be there
 * @throws Error when the lists cannot be read
 */
export async function listPeers(ports: ReadonlySet<number>, visit: (peer: string) => void, files = FILES): Promise<void> {
  for (const [i, file] of files.entries()) {
    const handle = await openList(file, i > 0);
    if (handle === null) continue;
    try {
      await readLines(handle, (line) => {
        const peer = peerOf(line, ports);
        if (peer !== null) visit(peer);
      });
    } finally {
      await handle.close();
    }
  }
}

/** @returns null for a system without IPv6 */
async function openList(file: string, mayBeMissing: boolean): Promise<FileHandle | null> {
  try {
    return await open(file);
  } catch (error) {
    if (!mayBeMissing || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // node's own errors carry a code
    return null;
  }
}

async function readLines(handle: FileHandle, line: (text: string) => void): Promise<void> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let rest = "";
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, null);
    if (bytesRead === 0) return;
    const lines = (rest + buffer.toString("latin1", 0, bytesRead)).split("\n");
    rest = lines.pop() ?? "";
    for (const each of lines) line(each);
  }
}

/** @returns null for a socket that is no open connection to one of the ports */
export function peerOf(line: string, ports: ReadonlySet<number>): string | null {
  const [, port = "", address = "", state = ""] = LINE.exec(line) ?? [];
  if (!OPEN_STATES.has(state) || !ports.has(Number.parseInt(port, 16))) return null;
  return formatIpBytes(inNetworkOrder(Buffer.from(address, "hex")));
}

/** The kernel prints words of 32 bits as numbers, which are little-endian on the machines we run on. */
const inNetworkOrder = (bytes: Buffer): Buffer => bytes.swap32();

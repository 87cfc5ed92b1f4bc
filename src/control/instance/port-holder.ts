// Owns the question who listens on a TCP port (Linux: /proc). Best effort, for error messages only.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** State of a listening socket in /proc/net/tcp. */
const TCP_LISTEN = "0A";

/** @returns the process that listens on this TCP port, on any address; null when it cannot be told (not Linux, another user's process). */
export function portHolder(port: number): { readonly pid: number; readonly command: string } | null {
  const inodes = new Set([...listeningInodes("/proc/net/tcp", port), ...listeningInodes("/proc/net/tcp6", port)]);
  if (inodes.size === 0) return null;
  for (const name of quietly(() => readdirSync("/proc"), [])) {
    if (!/^\d+$/.test(name)) continue;
    for (const fd of quietly(() => readdirSync(`/proc/${name}/fd`), [])) {
      const link = quietly(() => readlinkSync(`/proc/${name}/fd/${fd}`), "");
      const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      return { pid: Number(name), command: commandOf(name) };
    }
  }
  return null;
}

/** Longest command shown, characters. */
const COMMAND_CHARS_MAX = 80;

/** The command line, since the short name of every Node.js program is `MainThread`; "" when it cannot be told. */
function commandOf(pid: string): string {
  const words = quietly(() => readFileSync(`/proc/${pid}/cmdline`, "utf8"), "").split("\0");
  const text = words.join(" ").trim();
  return text.length <= COMMAND_CHARS_MAX ? text : `${text.slice(0, COMMAND_CHARS_MAX)}...`;
}

function listeningInodes(file: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return quietly(() => readFileSync(file, "utf8"), "")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(wanted) && columns[3] === TCP_LISTEN)
    .flatMap((columns) => columns[9] ?? []);
}

function quietly<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise; // a process ended meanwhile, or is not ours to look into
  }
}

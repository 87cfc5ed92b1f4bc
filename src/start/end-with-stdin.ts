// Owns ending a process with the one that started it and holds the other end of its standard input: also when that one was killed and could say nothing.

/** Set to 1 by whoever started this process for as long as it lives itself. */
export const END_WITH_STDIN = "SLUICE_END_WITH_STDIN";

/** The end of the input is a SIGTERM. */
export function endWithStdin(env: Readonly<Record<string, string | undefined>>): void {
  if (env[END_WITH_STDIN] !== "1") return;
  process.stdin.on("error", () => {}); // `close` follows
  process.stdin.once("close", () => process.kill(process.pid, "SIGTERM"));
  process.stdin.resume();
}

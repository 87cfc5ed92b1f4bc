// Owns the conversation of a new instance with the one it replaces: ask it, over its control socket, to drain.
// Must never touch an instance of another user: the socket's directory and mode see to that.
import { readFileSync } from "node:fs";
import type { Log } from "../../observe/log.ts";
import type { InstanceRecord } from "./instance-dir.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation (some 60 ms).
const http = () => process.getBuiltinModule("node:http");

/** Longest wait (ms) for the old instance's answer. */
const ASK_TIMEOUT_MS = 10_000;
const MIGRATE_SETTING = "/proc/sys/net/ipv4/tcp_migrate_req";

/** This instance serves beside another, which may go. */
export async function takeOver(instance: InstanceRecord, log: Log): Promise<void> {
  const warning = migrationWarning();
  if (warning !== null) log.warn(warning);
  try {
    await askToDrain(instance);
    log.info("took over: the old instance drains", { pid: instance.pid });
  } catch (error) {
    log.error("the old instance does not drain: stop it by hand", { pid: instance.signalPid, error });
  }
}

/** POST /drain: the old instance closes its admin listener, answers, and drains. @throws Error when it does not accept. */
function askToDrain(instance: InstanceRecord): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = http().request({
      socketPath: instance.socket,
      method: "POST",
      path: "/drain",
      headers: { host: "localhost" },
      timeout: ASK_TIMEOUT_MS,
    });
    asked.once("response", (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      if (status >= 200 && status < 300) resolve();
      else reject(new Error(`process ${instance.pid} answered ${status} when it was asked to drain`));
    });
    asked.once("timeout", () => asked.destroy(new Error(`process ${instance.pid} did not answer within ${ASK_TIMEOUT_MS / 1000} s`)));
    asked.once("error", reject);
    asked.end();
  });
}

/**
 * Connections that wait in the accept queue of a socket being closed are reset by Linux unless net.ipv4.tcp_migrate_req is 1.
 * @returns a sentence for the log, or null when all is well or unknown
 */
function migrationWarning(): string | null {
  try {
    if (readFileSync(MIGRATE_SETTING, "utf8").trim() !== "0") return null;
  } catch {
    return null; // not Linux, or older than 5.14
  }
  return "net.ipv4.tcp_migrate_req is 0: connections waiting to be accepted by the old instance may be reset when it stops; run `sysctl -w net.ipv4.tcp_migrate_req=1` before a takeover";
}

// Owns what the gateway's log says of the access log: once when it fails, and once when it goes on.
import type { AccessLog } from "../../observe/access-log.ts";
import type { Log } from "../../observe/log.ts";

export class AccessLogWatch {
  /** As last said. */
  #failure: string | null = null;

  /** Call now and then. */
  look(accessLog: AccessLog | null, log: Log): void {
    const failure = accessLog?.failure ?? null;
    if (failure === this.#failure) return;
    this.#failure = failure;
    if (failure === null) log.info("the access log can be written again", { dropped: accessLog?.dropped ?? 0 });
    else log.error("the access log cannot be written: lines are dropped", { reason: failure });
  }
}

// Owns where the admin listener is reachable: its TCP address and the instance's control socket. What it answers is admin/'s business, and
// loaded only when the first of them opens: requests are served before.
import type { Log } from "../../observe/log.ts";
import type { AdminDeps } from "../admin/deps.ts";
import type { Admin } from "../admin/server.ts";
import type { ListenAddress } from "../config/address.ts";

/** Time (ms) between two tries to bind an address that the old instance is about to let go. */
const RETRY_MS = 50;
/** Longest such wait, ms. */
const RETRY_MS_MAX = 10_000;

export class AdminDoor {
  readonly #deps: AdminDeps;
  readonly #log: Log;
  #admin: Promise<Admin> | null = null;
  #closed = false;
  /** Why the TCP address does not answer; null when it does or none is wanted. */
  trouble: string | null = null;

  constructor(options: { readonly log: Log; readonly deps: AdminDeps }) {
    this.#log = options.log;
    this.#deps = options.deps;
  }

  async listenUnix(path: string): Promise<void> {
    const admin = await this.#open();
    await admin.listenUnix(path);
  }

  /**
   * @param address null for none
   * @param how once: an address in use is an error (OperatorError); retry: it is waited for, and without it we go on
   */
  async listen(address: ListenAddress | null, how: "once" | "retry"): Promise<void> {
    if (address === null) return;
    const endMs = performance.now() + (how === "once" ? 0 : RETRY_MS_MAX);
    for (;;) {
      try {
        await this.#bind(address);
        this.trouble = null;
        return;
      } catch (error) {
        this.trouble = error instanceof Error ? error.message : String(error);
        if (how === "once") throw error;
        if (performance.now() >= endMs || this.#closed) break;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.#log.error("the admin listener is not reachable", { reason: this.trouble });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#admin)?.close();
  }

  #open(): Promise<Admin> {
    const onError = (error: unknown): void => this.#log.error("the admin listener failed to answer", { error });
    return (this.#admin ??= import("../admin/server.ts").then(({ createAdmin }) => createAdmin(this.#deps, onError)));
  }

  async #bind(address: ListenAddress): Promise<void> {
    const admin = await this.#open();
    if (address.unixPath !== null) {
      await admin.listenUnix(address.unixPath);
      this.#log.info("admin listens", { url: address.address });
      return;
    }
    const { host, port } = await admin.listen(address.address);
    this.#log.info("admin listens", { url: `http://${host.includes(":") ? `[${host}]` : host}:${port}` });
  }
}

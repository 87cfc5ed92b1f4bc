// Owns where the admin listener is reachable: its TCP address and the instance's control socket. What it answers is admin/'s business, and
// loaded only when the first of them opens: requests are served before.
import type { Log } from "../../observe/log.ts";
import type { AdminDeps } from "../admin/deps.ts";
import type { Admin } from "../admin/server.ts";
import type { ListenAddress } from "../config/source/address.ts";

/** Time (ms) between two tries to bind an address that the old instance is about to let go; and longest such wait. */
const HANDOVER_MS = 50;
const HANDOVER_MS_MAX = 10_000;
/** Time (ms) between two tries to bind what somebody else holds, for as long as the process lives. */
const RETRY_MS = 2000;

/**
 * once: an address in use is an error (OperatorError), for a start that an operator looks at;
 * handover: it is waited for, as the old instance lets it go, and then we go on as with `later`;
 * later: we serve without it and try again, for a restart, where the data plane must not wait for it.
 */
export type HowToListen = "once" | "handover" | "later";

export class AdminEndpoint {
  readonly #deps: AdminDeps;
  readonly #log: Log;
  readonly #retryMs: number;
  #admin: Promise<Admin> | null = null;
  #closed = false;
  /** What does not answer yet, and why. */
  readonly #troubles = new Map<string, string>();
  readonly #retries = new Set<NodeJS.Timeout>();

  constructor(options: { readonly log: Log; readonly deps: AdminDeps; readonly retryMs?: number }) {
    this.#log = options.log;
    this.#deps = options.deps;
    this.#retryMs = options.retryMs ?? RETRY_MS;
  }

  /** Why an address or socket does not answer; null when all do that are wanted. */
  get trouble(): string | null {
    return [...this.#troubles.values()][0] ?? null;
  }

  async listenUnix(path: string, how: HowToListen): Promise<void> {
    await this.#try(path, how, async () => {
      const admin = await this.#open();
      await admin.listenUnix(path);
    });
  }

  /** @param address null for none */
  async listen(address: ListenAddress | null, how: HowToListen): Promise<void> {
    if (address !== null) await this.#try(address.address, how, () => this.#bind(address));
  }

  async #try(what: string, how: HowToListen, bind: () => Promise<void>): Promise<void> {
    const endMs = performance.now() + (how === "handover" ? HANDOVER_MS_MAX : 0);
    for (;;) {
      const error = await this.#attempt(what, bind);
      if (error === null) return;
      if (how === "once") throw error;
      if (performance.now() >= endMs || this.#closed) break;
      await new Promise((resolve) => setTimeout(resolve, HANDOVER_MS));
    }
    this.#log.error("the admin listener is not reachable: serving without it and trying again", { reason: this.#troubles.get(what) });
    this.#tryLater(what, bind);
  }

  #tryLater(what: string, bind: () => Promise<void>): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      void this.#attempt(what, bind).then((error) => error !== null && this.#tryLater(what, bind));
    }, this.#retryMs).unref();
    this.#retries.add(timer);
  }

  /** @returns null when it listens, or is not to listen any more */
  async #attempt(what: string, bind: () => Promise<void>): Promise<Error | null> {
    if (this.#closed) return null;
    try {
      await bind();
      this.#troubles.delete(what);
      return null;
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      this.#troubles.set(what, failure.message);
      return failure;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#retries) clearTimeout(timer);
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
